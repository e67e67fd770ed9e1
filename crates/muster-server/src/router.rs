//! All routes, in one place, and the layers around them, in order.

mod document;

use aide::axum::ApiRouter;
use aide::axum::routing::{get_with, post_with, put_with};
use aide::transform::TransformOperation;
use axum::{Extension, Router};
use muster_http::Edge;

use crate::api::{
    audit, claims, connect, enroll, enrolment_tokens, heartbeat, hosts, jobs, leave, me, meta,
    registration_tokens, secrets, setup, site_keys, sites, teams, tickets,
};
use crate::app::App;

pub use document::{openapi_document, openapi_json};

/// Routes anybody may call, with what protects them instead of a permission.
pub const PUBLIC: &[(&str, &str)] = &[
    ("/v1/setup", "the one-time setup code, printed on the server machine"),
    ("/healthz", "says nothing but that the process runs"),
    ("/readyz", "says nothing but that the database answers"),
    ("/metrics", "served on the operators' loopback listener only; holds no names"),
    ("/v1/openapi.json", "the same for every installation"),
    ("/docs", "the same for every installation"),
];

/// Gives an operation its one line in the documentation.
fn says(words: &'static str) -> impl FnOnce(TransformOperation<'_>) -> TransformOperation<'_> {
    move |operation| operation.summary(words)
}

fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route(
            "/v1/setup",
            get_with(setup::status, says("Says whether the first admin exists"))
                .post_with(setup::create, says("Makes the first admin with the one-time setup code")),
        )
        .api_route("/v1/me", get_with(me::get, says("Says who the token acts as")))
        .api_route(
            "/v1/teams",
            get_with(teams::list, says("Lists teams")).post_with(teams::create, says("Makes a team")),
        )
        .api_route(
            "/v1/teams/{team_id}/owners",
            post_with(
                teams::create_owner,
                says("Makes an owner of a team, with an API token that is shown once"),
            ),
        )
        .api_route(
            "/v1/sites",
            get_with(sites::list, says("Lists the sites of the team"))
                .post_with(sites::create, says("Makes a site")),
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
            "/v1/enrolment-tokens",
            post_with(enrolment_tokens::create, says("Mints a one-time token (door 1), shown once")),
        )
        .api_route(
            "/v1/site-keys",
            post_with(site_keys::create, says("Mints a site key (door 3), shown once")),
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
            "/v1/hosts",
            get_with(hosts::list, says("Lists hosts")).post_with(
                hosts::create,
                says("Invites a host (door 2), with a registration token that is shown once"),
            ),
        )
        .api_route("/v1/hosts/{host_id}", get_with(hosts::get, says("Shows a host")))
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
        .api_route("/v1/hosts/{host_id}/tags", put_with(hosts::set_tags, says("Sets the tags of a host")))
        .api_route("/v1/claims", get_with(claims::list, says("Lists claims")))
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
        .api_route("/v1/hosts/{host_id}/jobs", post_with(jobs::create, says("Makes a job for a host")))
        .api_route("/v1/jobs", get_with(jobs::list, says("Lists jobs")))
        .api_route("/v1/jobs/{job_id}", get_with(jobs::get, says("Shows a job")))
        .api_route("/v1/jobs/{job_id}/log", get_with(jobs::log, says("Reads the log of a job")))
        .api_route(
            "/v1/hosts/{host_id}/heartbeat",
            post_with(heartbeat::create, says("Gives a sign of life")),
        )
        .api_route("/v1/hosts/{host_id}/leave", post_with(leave::create, says("Retires the host that asks")))
        .api_route("/v1/agent/connect", get_with(connect::get, says("Opens the live channel (WebSocket)")))
        .api_route("/v1/audit", get_with(audit::list, says("Reads the audit trail in its sealed order")))
}

fn unlisted() -> Router<App> {
    Router::new()
        .route("/healthz", axum::routing::get(meta::healthz))
        .route("/readyz", axum::routing::get(meta::readyz))
        .route("/metrics", axum::routing::get(meta::metrics))
        .route("/v1/openapi.json", axum::routing::get(meta::openapi))
        .route("/docs", axum::routing::get(meta::docs))
}

/// Builds the router of both listeners.
pub fn router(app: App) -> Router {
    let edge = Edge::new(app.clock.clone(), app.entropy);
    let mut api = aide::openapi::OpenApi::default();
    let router = routes().finish_api(&mut api).merge(unlisted()).with_state(app);
    let router = router.layer(Extension(document::render()));
    muster_http::protect(router, edge)
}
