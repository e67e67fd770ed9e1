//! Health, metrics and the documentation of the API.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use muster_http::{ConnectInfo, ListenerKind, Problem};

use crate::app::App;
use crate::failure::Failure;

/// The OpenAPI document and the page made of it, rendered once.
#[derive(Debug, Clone)]
pub struct Documentation {
    /// `GET /v1/openapi.json`
    pub json: Arc<str>,
    /// `GET /docs`
    pub html: Arc<str>,
}

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers too.
pub async fn readyz(State(app): State<App>) -> Result<&'static str, Problem> {
    app.store.check().await.map_err(Failure::from)?;
    Ok("ready\n")
}

/// `GET /metrics`: on the operators' listener only.
pub async fn metrics(State(app): State<App>, connection: ConnectInfo) -> Result<Response, Problem> {
    if connection.listener != ListenerKind::Operators {
        return Err(Problem::not_found());
    }
    app.metrics.certificate(&app.installation.tls);
    let text = app.metrics.render(app.store.committed()).map_err(Problem::internal)?;
    let media = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(CONTENT_TYPE, media)], text).into_response())
}

/// `GET /v1/openapi.json`
pub async fn openapi(Extension(documentation): Extension<Documentation>) -> Response {
    const MEDIA: (HeaderName, HeaderValue) = (CONTENT_TYPE, HeaderValue::from_static("application/json"));
    ([MEDIA], documentation.json.to_string()).into_response()
}

/// `GET /docs`
pub async fn docs(Extension(documentation): Extension<Documentation>) -> Response {
    const POLICY: HeaderValue = HeaderValue::from_static(
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    );
    ([(CONTENT_SECURITY_POLICY, POLICY)], Html(documentation.html.to_string())).into_response()
}
