//! `GET /live`: the stream of events of the team one looks at, as the API tells it, so that pages know what changed.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, StatusCode};

use crate::query::Query;
use crate::visit::Visit;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// `GET /live`, `GET /live?after=`
///
/// A page of a neighbour under the same host name must not hold the streams of a person, nor the browser's connections.
pub(crate) async fn get(headers: HeaderMap, visit: Result<Visit, Response>) -> Response {
    let site = headers.get(&SEC_FETCH_SITE).map(http::HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return StatusCode::FORBIDDEN.into_response();
    }
    match visit {
        Ok(visit) => visit.api.forward(&stream_after(&visit.query)).await,
        // A stream is not sent elsewhere: its page looks anew, and is.
        Err(refused) if refused.status().is_redirection() => StatusCode::UNAUTHORIZED.into_response(),
        Err(refused) => refused.status().into_response(),
    }
}

/// Returns the path of the stream that goes on where a page was made.
fn stream_after(query: &Query) -> String {
    let after: Option<u64> = query.get("after").and_then(|after| after.parse().ok());
    after.map_or_else(|| "/v1/events/stream".to_owned(), |after| format!("/v1/events/stream?after={after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_after_a_position_and_after_nothing_else() {
        let asked = |query: &str| stream_after(&Query::parse(query));
        assert_eq!(asked("after=4711"), "/v1/events/stream?after=4711");
        assert_eq!([asked(""), asked("after=x%26kind"), asked("after=-1")], ["/v1/events/stream"; 3]);
    }
}
