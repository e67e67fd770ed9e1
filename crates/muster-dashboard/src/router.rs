//! All pages and forms, in one place, and the layers around them.

use axum::Router;
use axum::extract::FromRef;
use axum::middleware::from_fn;
use axum::routing::{get, post};
use muster_edge::{Clock, Entropy};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

use crate::pages::{account, invitation, settings, team, teams};
use crate::pages::{add_host, approvals, sites, tickets};
use crate::pages::{audit, events, overview, webhooks};
use crate::pages::{host, jobs};
use crate::pages::{hosts, live, not_found, setup, sign_in, team_choice};
use crate::{assets, browser};

/// What the dashboard needs of the world: the API, which alone judges and does things, a clock, and names for forms.
#[derive(Debug, Clone)]
pub struct Dashboard {
    /// The routes of the API, without the edge: the request that became a page passed it.
    pub api: Router,
    /// For how long ago something is.
    pub clock: Clock,
    /// For naming forms.
    pub entropy: Entropy,
}

#[derive(Clone, FromRef)]
struct State {
    dashboard: Dashboard,
}

/// Builds the routes of the dashboard; the caller puts the edge around them and the API.
pub fn routes(dashboard: Dashboard) -> Router {
    let before_signing_in = Router::new()
        .route("/setup", get(setup::get).post(setup::create))
        .route("/invitation", get(invitation::get).post(invitation::accept))
        .route("/sign-in", get(sign_in::get).post(sign_in::create))
        .route("/sign-out", post(sign_in::end));
    let pages = Router::new()
        .route("/hosts", get(hosts::list))
        .route("/hosts/changes", post(hosts::changes::create))
        .route("/hosts/views", post(hosts::views::set))
        .route("/hosts/views/remove", post(hosts::views::remove))
        .route("/hosts/{host_id}", get(host::get))
        .route("/hosts/{host_id}/activity", get(host::activity::get))
        .route("/hosts/{host_id}/keys", get(host::keys::get))
        .route("/hosts/{host_id}/keys/rotate", post(host::keys::rotate))
        .route("/hosts/{host_id}/keys/mint", post(host::keys::mint))
        .route("/hosts/{host_id}/keys/{key_name}/revoke", get(host::keys::preview).post(host::keys::revoke))
        .route("/hosts/{host_id}/secrets", get(host::secrets::get).post(host::secrets::set))
        .route("/hosts/{host_id}/jobs", get(host::jobs::get).post(host::jobs::create))
        .route("/hosts/{host_id}/manage", get(host::manage::get))
        .route("/hosts/{host_id}/tags", post(host::manage::set_tags))
        .route("/hosts/{host_id}/resume", post(host::manage::resume))
        .route("/hosts/{host_id}/token", post(host::manage::mint))
        .route("/hosts/{host_id}/retire", get(host::retire::get).post(host::retire::create))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{job_id}", get(jobs::detail::get))
        .route("/jobs/{job_id}/log.txt", get(jobs::detail::download))
        .route("/jobs/{job_id}/cancel", post(jobs::detail::cancel))
        .route("/jobs/{job_id}/again", post(jobs::detail::again))
        .route("/hosts/add", get(add_host::get).post(add_host::create))
        .route("/hosts/add/preview", get(add_host::preview))
        .route("/approvals", get(approvals::list))
        .route("/approvals/decisions", post(approvals::decide::create_many))
        .route("/approvals/{claim_id}", get(approvals::one::get))
        .route("/approvals/{claim_id}/decision", post(approvals::decide::create))
        .route("/approvals/{claim_id}/clear", post(approvals::decide::clear))
        .route("/sites", get(sites::list))
        .route("/sites/add", get(sites::policy::add).post(sites::policy::create))
        .route("/sites/{site_id}", get(sites::one::get))
        .route("/sites/{site_id}/policy", get(sites::policy::get).post(sites::policy::set))
        .route("/tickets", get(tickets::list))
        .route("/tickets/refusals", get(tickets::refusals::get))
        .route("/tickets/{ticket_id}", get(tickets::one::get))
        .route("/tickets/{ticket_id}/arrival", get(tickets::arrival::get))
        .route("/tickets/{ticket_id}/rotate", get(tickets::rotate::get).post(tickets::rotate::create))
        .route("/tickets/{ticket_id}/revoke", get(tickets::revoke::get).post(tickets::revoke::create))
        .route("/tickets/{ticket_id}/leak", get(tickets::leak::get).post(tickets::leak::create))
        .route("/team-choice", post(team_choice::set))
        .route("/team", get(team::list))
        .route("/team/people/{user_id}", get(team::person::get))
        .route("/team/people/{user_id}/role", post(team::person::set_role))
        .route("/team/people/{user_id}/remove", get(team::person::preview).post(team::person::remove))
        .route("/team/invite", get(team::invitations::form).post(team::invitations::create))
        .route("/team/invitations", get(team::invitations::list))
        .route(
            "/team/invitations/{invitation_id}/revoke",
            get(team::invitations::preview).post(team::invitations::revoke),
        )
        .route("/teams", get(teams::list).post(teams::create))
        .route("/teams/{team_id}/owner", get(teams::owner).post(teams::create_owner))
        .route("/account", get(account::get))
        .route("/account/login", get(account::password::login).post(account::password::set_login))
        .route("/account/password", get(account::password::get).post(account::password::set))
        .route("/account/second-factor", get(account::second_factor::get).post(account::second_factor::begin))
        .route("/account/second-factor/confirm", post(account::second_factor::confirm))
        .route(
            "/account/second-factor/remove",
            get(account::second_factor::preview).post(account::second_factor::remove),
        )
        .route(
            "/account/sessions/end-others",
            get(account::sessions::preview).post(account::sessions::end_others),
        )
        .route("/account/sessions/{web_session_id}/end", post(account::sessions::end))
        .route("/account/tokens/new", get(account::tokens::form))
        .route("/account/tokens", post(account::tokens::create))
        .route(
            "/account/tokens/{token_id}/revoke",
            get(account::tokens::preview).post(account::tokens::revoke),
        )
        .route("/settings", get(settings::get).post(settings::set))
        .route("/settings/instruction-key", get(settings::instruction_key::get))
        .route("/settings/instruction-key/{step}", post(settings::instruction_key::take))
        .route("/settings/certificate", get(settings::certificate::get))
        .route(
            "/settings/certificate/rotate",
            get(settings::certificate::preview).post(settings::certificate::rotate),
        )
        .route("/settings/providers", get(settings::providers::list).post(settings::providers::create))
        .route("/settings/new-provider", get(settings::providers::new))
        .route("/settings/providers/{name}", get(settings::providers::get).post(settings::providers::set))
        .route("/settings/providers/{name}/check", post(settings::providers::check))
        .route(
            "/settings/providers/{name}/remove",
            get(settings::providers::preview).post(settings::providers::remove),
        )
        .route("/team/tokens", get(team::tokens::list))
        .route("/team/tokens/{token_id}/revoke", get(team::tokens::preview).post(team::tokens::revoke))
        .route("/", get(overview::get))
        .route("/events", get(events::list))
        .route("/events/{position}", get(events::get))
        .route("/audit", get(audit::list))
        .route("/audit/export", get(audit::export))
        .route("/audit/verify", get(audit::verify))
        .route("/webhooks", get(webhooks::list).post(webhooks::form::create))
        .route("/webhooks/new", get(webhooks::form::new))
        .route("/webhooks/{endpoint_id}", get(webhooks::detail::get))
        .route("/webhooks/{endpoint_id}/change", get(webhooks::form::change).post(webhooks::form::set))
        .route("/webhooks/{endpoint_id}/test", post(webhooks::detail::test))
        .route("/webhooks/{endpoint_id}/pause", post(webhooks::detail::pause))
        .route("/webhooks/{endpoint_id}/resume", post(webhooks::detail::resume))
        .route("/webhooks/{endpoint_id}/redeliver", post(webhooks::detail::redeliver_since))
        .route(
            "/webhooks/{endpoint_id}/deliveries/{delivery_id}/redeliver",
            post(webhooks::detail::redeliver),
        )
        .route(
            "/webhooks/{endpoint_id}/rotate",
            get(webhooks::ending::rotate_preview).post(webhooks::ending::rotate),
        )
        .route(
            "/webhooks/{endpoint_id}/remove",
            get(webhooks::ending::preview).post(webhooks::ending::remove),
        )
        .fallback(not_found::get);
    // The stream is as long as it is open: nothing may gather it.
    let smaller = SizeAbove::new(512).and(NotForContentType::new("text/event-stream"));
    Router::new()
        .route("/live", get(live::get))
        .merge(before_signing_in)
        .merge(pages)
        .layer(from_fn(browser::tell))
        .layer(CompressionLayer::new().compress_when(smaller))
        .route("/assets/{check}/{name}", get(assets::get))
        .with_state(State { dashboard })
}
