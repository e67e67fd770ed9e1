//! Every address that is none.

use axum::response::{IntoResponse, Response};
use http::header::ACCEPT;
use http::{HeaderMap, StatusCode, Uri};

use crate::refusal::Refusal;
use crate::respond::render_bare;

/// Answers people with a page; programs get the problem of the edge.
pub(crate) async fn get(uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if accepts.contains("text/html") && !uri.path().starts_with("/v1/") {
        render_bare(&Refusal::of(StatusCode::NOT_FOUND))
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
