//! Every address that is none.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri};

use crate::browser::accepts_pages;
use crate::refusal::{Refusal, Refused};
use crate::visit::Visit;

/// Answers people with a page, in the frame of every page where they are signed in; programs get the problem of the edge.
pub(crate) async fn get(uri: Uri, headers: HeaderMap, _frame: Result<Visit, Response>) -> Response {
    if accepts_pages(&headers) && !uri.path().starts_with("/v1/") {
        Refused::from(Refusal::of(StatusCode::NOT_FOUND)).into_response()
    } else {
        StatusCode::NOT_FOUND.into_response()
    }
}
