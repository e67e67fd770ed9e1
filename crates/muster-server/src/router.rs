//! All routes, in one place, and the layers around them, in order. Those of two families stand beside it in this folder.

mod document;
mod events;
mod people;
mod public;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use aide::transform::TransformOperation;
use axum::{Extension, Router};
use muster_dashboard::Dashboard;
use muster_http::Edge;

use crate::api::{
    audit, claims, connect, enroll, enrolment_tokens, fork, heartbeat, hosts, jobs, leave, meta, oidc,
    oidc_sign_in, overview, refusals, registration_tokens, secrets, server_keys, settings, site_keys, sites,
    tickets,
};
use crate::app::App;

pub(crate) use document::header_parameter;
pub use document::{openapi_document, openapi_json};
pub use public::PUBLIC;

/// Gives an operation its one line in the documentation.
fn says(words: &'static str) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.summary(words)
}

fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .merge(people::routes())
        .api_route(
            "/v1/sites",
            get_with(sites::list, says("Lists the sites of the team"))
                .post_with(sites::create, says("Makes a site")),
        )
        .api_route(
            "/v1/overview",
            get_with(
                overview::get,
                says("Shows the fleet of the team at a glance, and what needs attention"),
            ),
        )
        .api_route("/v1/sites/{site_id}", get_with(sites::get, says("Shows a site")))
        .api_route(
            "/v1/sites/{site_id}/policy",
            put_with(sites::set_policy, says("Sets how a site admits machines")),
        )
        .api_route(
            "/v1/enroll",
            post_with(enroll::create, says("Asks to be admitted: the one door for machines")),
        )
        .api_route(
            "/v1/enroll/fork",
            post_with(
                fork::create,
                says("Asks for an identity of its own: a copy of a host, which made itself another key"),
            ),
        )
        .api_route(
            "/v1/enrolment-tokens",
            post_with(enrolment_tokens::create, says("Mints a one-time token (door 1), shown once")),
        )
        .api_route(
            "/v1/site-keys",
            post_with(site_keys::create, says("Mints a site key (door 3), shown once")),
        )
        .api_route(
            "/v1/site-keys/{ticket_id}/rotate",
            post_with(
                site_keys::rotate,
                says("Mints the next key of the same site, shown once; the former one admits for a while"),
            ),
        )
        .api_route("/v1/tickets", get_with(tickets::list, says("Lists tickets without their secrets")))
        .api_route(
            "/v1/tickets/{ticket_id}",
            get_with(tickets::get, says("Shows a ticket without its secret")),
        )
        .api_route(
            "/v1/tickets/{ticket_id}/revoke",
            post_with(tickets::revoke, says("Revokes a ticket; nothing it admitted changes")),
        )
        .api_route(
            "/v1/tickets/{ticket_id}/refusals",
            get_with(tickets::refusals, says("Says why machines were refused with a ticket")),
        )
        .api_route(
            "/v1/tickets/explain",
            post_with(
                tickets::explain::create,
                says("Says what a ticket would admit, before it is minted; mints nothing"),
            ),
        )
        .api_route(
            "/v1/tickets/{ticket_id}/explain",
            get_with(tickets::explain::get, says("Says what a ticket admits now")),
        )
        .api_route(
            "/v1/tickets/{ticket_id}/leak/preview",
            post_with(tickets::leak::preview, says("Shows what a leaked ticket admitted; changes nothing")),
        )
        .api_route(
            "/v1/tickets/{ticket_id}/leak",
            post_with(
                tickets::leak::create,
                says("Revokes a leaked ticket and suspends what it admitted, as previewed"),
            ),
        )
        .api_route(
            "/v1/refusals",
            get_with(refusals::list, says("Finds a refused request by what its machine quotes")),
        )
        .api_route(
            "/v1/hosts",
            get_with(hosts::list, says("Lists hosts")).post_with(
                hosts::create,
                says("Invites a host (door 2), with a registration token that is shown once"),
            ),
        )
        .api_route(
            "/v1/hosts/changes/preview",
            post_with(
                hosts::changes::preview,
                says("Shows what a change of up to 100 hosts would do; changes nothing"),
            ),
        )
        .api_route(
            "/v1/hosts/changes",
            post_with(
                hosts::changes::create,
                says("Tags, suspends, resumes, moves or retires up to 100 hosts, as previewed"),
            ),
        )
        .api_route("/v1/hosts/{host_id}", get_with(hosts::get, says("Shows a host")))
        .api_route(
            "/v1/hosts/{host_id}/history",
            get_with(
                hosts::history,
                says("Shows when a host could be reached, how it was, and what it said differently"),
            ),
        )
        .api_route(
            "/v1/hosts/{host_id}/registration-token",
            post_with(
                registration_tokens::create,
                says("Mints a registration token of a host anew and voids the older ones, or one to rejoin"),
            ),
        )
        .api_route(
            "/v1/hosts/{host_id}/retirement",
            get_with(hosts::retirement, says("Shows what retiring a host would destroy")),
        )
        .api_route(
            "/v1/hosts/{host_id}/retire",
            post_with(hosts::retire, says("Retires a host for good, as previewed")),
        )
        .api_route(
            "/v1/hosts/{host_id}/suspend",
            post_with(hosts::suspend, says("Suspends a host: it keeps its keys and is refused everything")),
        )
        .api_route(
            "/v1/hosts/{host_id}/resume",
            post_with(hosts::resume, says("Lets a suspended host work again")),
        )
        .api_route(
            "/v1/hosts/{host_id}/move",
            post_with(hosts::move_to, says("Moves a host to another site of its team; it stays who it is")),
        )
        .api_route(
            "/v1/hosts/{host_id}/keys",
            get_with(
                hosts::list_keys,
                says("Lists the keys of a host, also those that ended; never their secrets"),
            ),
        )
        .api_route(
            "/v1/hosts/{host_id}/keys/rotate",
            post_with(hosts::rotate_key, says("Asks a host for its next key pair, now or when it connects")),
        )
        .api_route(
            "/v1/hosts/{host_id}/keys/{key_name}/revoke",
            post_with(hosts::revoke_key, says("Revokes a key of a host; the host stays and may rejoin")),
        )
        .api_route(
            "/v1/hosts/{host_id}/agent-keys",
            post_with(
                hosts::mint_agent_key,
                says("Mints an agent key for a host without a key pair, shown once; a host has at most two"),
            ),
        )
        .api_route("/v1/hosts/{host_id}/tags", put_with(hosts::set_tags, says("Sets the tags of a host")))
        .api_route("/v1/claims", get_with(claims::list, says("Lists claims")))
        .api_route(
            "/v1/claims/decisions",
            post_with(
                claims::decide_many,
                says("Decides up to 100 claims, each by itself, on the evidence that was seen"),
            ),
        )
        .api_route("/v1/claims/{claim_id}", get_with(claims::get, says("Shows a claim with its evidence")))
        .api_route(
            "/v1/claims/{claim_id}/decision",
            post_with(claims::decide, says("Decides a claim on the evidence that was seen")),
        )
        .api_route(
            "/v1/claims/{claim_id}/clear",
            post_with(claims::clear, says("Clears a rejected claim, so that its key may ask again")),
        )
        .api_route(
            "/v1/hosts/{host_id}/secrets",
            get_with(secrets::list, says("Lists the secrets of a host, never their values")),
        )
        .api_route(
            "/v1/hosts/{host_id}/secrets/{name}",
            put_with(secrets::set, says("Merges a document into a secret of a host (RFC 7396)")),
        )
        .api_route(
            "/v1/secrets/{name}",
            put_with(
                secrets::push,
                says("Merges a document into a secret of up to 100 hosts (RFC 7396): all of them, or none"),
            ),
        )
        .api_route("/v1/hosts/{host_id}/jobs", post_with(jobs::create, says("Makes a job for a host")))
        .api_route("/v1/jobs", get_with(jobs::list, says("Lists jobs")))
        .api_route("/v1/jobs/{job_id}", get_with(jobs::get, says("Shows a job")))
        .api_route(
            "/v1/jobs/{job_id}/cancel",
            post_with(jobs::cancel, says("Cancels a job that waits; one that was sent goes on")),
        )
        .api_route("/v1/jobs/{job_id}/log", get_with(jobs::log, says("Reads the log of a job")))
        .api_route(
            "/v1/hosts/{host_id}/heartbeat",
            post_with(heartbeat::create, says("Gives a sign of life")),
        )
        .api_route("/v1/hosts/{host_id}/leave", post_with(leave::create, says("Retires the host that asks")))
        .api_route("/v1/agent/connect", get_with(connect::get, says("Opens the live channel (WebSocket)")))
        .api_route("/v1/sign-in/methods", get_with(oidc::methods, says("Says by what people may sign in")))
        .api_route(
            "/v1/oidc/providers",
            get_with(oidc::list, says("Lists the providers people sign in with, without their secrets")),
        )
        .api_route(
            "/v1/oidc/providers/{name}",
            put_with(oidc::set, says("Sets a provider people sign in with")),
        )
        .api_route(
            "/v1/oidc/providers/{name}/remove",
            post_with(oidc::remove, says("Removes a provider, and signs out who came by it")),
        )
        .api_route(
            "/v1/oidc/providers/{name}/check",
            post_with(oidc::check, says("Asks a provider for its documents and says what is wrong")),
        )
        .api_route(
            "/v1/oidc/{name}/start",
            get_with(oidc_sign_in::start, says("Sends a browser to a provider to sign in")),
        )
        .api_route(
            "/v1/oidc/callback",
            get_with(oidc_sign_in::callback, says("Takes a browser back from a provider, and signs in")),
        )
        .merge(events::routes())
        .api_route("/v1/audit", get_with(audit::list, says("Reads the audit trail in its sealed order")))
        .api_route(
            "/v1/installation/instruction-key",
            get_with(server_keys::instruction_key, says("Shows which keys sign instructions to agents")),
        )
        .api_route(
            "/v1/installation/instruction-key/next",
            post_with(
                server_keys::announce,
                says("Makes the next instruction key and tells every agent of it"),
            ),
        )
        .api_route(
            "/v1/installation/instruction-key/switch",
            post_with(server_keys::switch, says("Lets the next instruction key sign from now on")),
        )
        .api_route(
            "/v1/installation/instruction-key/finish",
            post_with(server_keys::finish, says("Destroys the former instruction key")),
        )
        .api_route(
            "/v1/installation/tls",
            get_with(
                server_keys::tls,
                says("Shows the certificate of the machines' listener, and who knows the next"),
            ),
        )
        .api_route(
            "/v1/installation/tls/rotate",
            post_with(
                server_keys::rotate_tls,
                says("Shows the server's own next key from now on, and announces another"),
            ),
        )
        .api_route(
            "/v1/settings",
            get_with(settings::list, says("Lists the settings of the installation"))
                .put_with(settings::set, says("Sets settings; those that are not named stay as they are")),
        )
        .api_route(
            "/v1/audit/export",
            get_with(audit::export, says("Downloads the audit trail as JSON lines")),
        )
        .api_route(
            "/v1/audit/verify",
            get_with(audit::verify, says("Verifies a part of the chain of the audit trail")),
        )
}

fn unlisted() -> Router<App> {
    Router::new()
        .route("/healthz", axum::routing::get(meta::healthz))
        .route("/readyz", axum::routing::get(meta::readyz))
        .route("/metrics", axum::routing::get(meta::metrics))
        .route("/v1/openapi.json", axum::routing::get(meta::openapi))
        .route("/docs", axum::routing::get(meta::docs))
}

/// Builds the router of both listeners; `edge` must be theirs, too.
pub fn router(app: App, edge: Edge) -> Router {
    let mut api = aide::openapi::OpenApi::default();
    let unlisted = unlisted().layer(Extension(document::render()));
    let (clock, entropy) = (app.clock.clone(), app.entropy);
    let api = routes().finish_api(&mut api).merge(unlisted).with_state(app);
    // The dashboard asks the API as everybody does; its request passed the edge already.
    let dashboard = muster_dashboard::routes(Dashboard { api: api.clone(), clock, entropy });
    muster_http::protect(api.merge(dashboard), edge)
}
