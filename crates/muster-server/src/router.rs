//! All routes, in one place, and the layers around them, in order.

mod document;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post, put};
use axum::{Extension, Router};
use muster_http::Edge;

use crate::api::{audit, claims, connect, enroll, enrolment_tokens, heartbeat, hosts, jobs, leave, me, meta, registration_tokens, secrets, setup, site_keys, sites, teams, tickets};
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

fn routes() -> ApiRouter<App> {
    ApiRouter::new()
        .api_route("/v1/setup", get(setup::status).post(setup::create))
        .api_route("/v1/me", get(me::get))
        .api_route("/v1/teams", get(teams::list).post(teams::create))
        .api_route("/v1/teams/{team_id}/owners", post(teams::create_owner))
        .api_route("/v1/sites", get(sites::list).post(sites::create))
        .api_route("/v1/sites/{site_id}", get(sites::get))
        .api_route("/v1/sites/{site_id}/policy", put(sites::set_policy))
        .api_route("/v1/enroll", post(enroll::create))
        .api_route("/v1/enrolment-tokens", post(enrolment_tokens::create))
        .api_route("/v1/site-keys", post(site_keys::create))
        .api_route("/v1/tickets", get(tickets::list))
        .api_route("/v1/tickets/{ticket_id}", get(tickets::get))
        .api_route("/v1/tickets/{ticket_id}/revoke", post(tickets::revoke))
        .api_route("/v1/tickets/{ticket_id}/refusals", get(tickets::refusals))
        .api_route("/v1/hosts", get(hosts::list).post(hosts::create))
        .api_route("/v1/hosts/{host_id}", get(hosts::get))
        .api_route("/v1/hosts/{host_id}/registration-token", post(registration_tokens::create))
        .api_route("/v1/hosts/{host_id}/retirement", get(hosts::retirement))
        .api_route("/v1/hosts/{host_id}/retire", post(hosts::retire))
        .api_route("/v1/hosts/{host_id}/suspend", post(hosts::suspend))
        .api_route("/v1/hosts/{host_id}/resume", post(hosts::resume))
        .api_route("/v1/hosts/{host_id}/tags", put(hosts::set_tags))
        .api_route("/v1/claims", get(claims::list))
        .api_route("/v1/claims/{claim_id}", get(claims::get))
        .api_route("/v1/claims/{claim_id}/decision", post(claims::decide))
        .api_route("/v1/claims/{claim_id}/clear", post(claims::clear))
        .api_route("/v1/hosts/{host_id}/secrets", get(secrets::list))
        .api_route("/v1/hosts/{host_id}/secrets/{name}", put(secrets::set))
        .api_route("/v1/hosts/{host_id}/jobs", post(jobs::create))
        .api_route("/v1/jobs", get(jobs::list))
        .api_route("/v1/jobs/{job_id}", get(jobs::get))
        .api_route("/v1/jobs/{job_id}/log", get(jobs::log))
        .api_route("/v1/hosts/{host_id}/heartbeat", post(heartbeat::create))
        .api_route("/v1/hosts/{host_id}/leave", post(leave::create))
        .api_route("/v1/agent/connect", get(connect::get))
        .api_route("/v1/audit", get(audit::list))
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
