//! All routes, in one place, and the layers around them, in order.

mod document;

use aide::axum::ApiRouter;
use aide::axum::routing::{get, post, put};
use axum::{Extension, Router};
use muster_http::Edge;

use crate::api::{audit, me, meta, setup, sites, teams};
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
