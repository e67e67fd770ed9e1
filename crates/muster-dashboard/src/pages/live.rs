//! `GET /live`: the stream of events of the team one looks at, as the API tells it, so that pages know what changed.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::visit::Visit;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `GET /live`
///
/// A page of a neighbour under the same host name must not hold the streams of a person, nor the browser's connections.
pub(crate) async fn get(headers: HeaderMap, visit: Result<Visit, Response>) -> Response {
    let site = headers.get(&SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return StatusCode::FORBIDDEN.into_response();
    }
    match visit {
        Ok(visit) => visit.api.forward("/v1/events/stream").await,
        // A stream is not sent elsewhere: its page looks anew, and is.
        Err(refused) if refused.status().is_redirection() => StatusCode::UNAUTHORIZED.into_response(),
        Err(refused) => refused.status().into_response(),
    }
}
