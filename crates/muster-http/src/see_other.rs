//! A redirect after which a browser asks anew, with GET.

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, Operation, StatusCode as DocumentedStatus};
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderValue, StatusCode};

/// A 303 reply.
#[derive(Debug)]
pub struct SeeOther(HeaderMap);

impl SeeOther {
    /// Sends a browser to `location`, which the caller judged.
    pub fn new(location: HeaderValue) -> Self {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location);
        Self(headers)
    }

    /// Sets a cookie with it, beside others.
    #[must_use]
    pub fn cookie(mut self, cookie: HeaderValue) -> Self {
        self.0.append(SET_COOKIE, cookie);
        self
    }
}

impl IntoResponse for SeeOther {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SEE_OTHER;
        *response.headers_mut() = self.0;
        response
    }
}

impl OperationOutput for SeeOther {
    type Inner = ();

    fn operation_response(_: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let description = "The browser goes on to the `Location`.".to_owned();
        Some(openapi::Response { description, ..openapi::Response::default() })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<DocumentedStatus>, openapi::Response)> {
        let response = Self::operation_response(ctx, operation);
        response.map(|response| vec![(Some(DocumentedStatus::Code(303)), response)]).unwrap_or_default()
    }
}
