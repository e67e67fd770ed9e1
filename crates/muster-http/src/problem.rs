//! The one error reply of every endpoint: `application/problem+json` (RFC 9457).

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use aide::OperationOutput;
use aide::generate::GenContext;
use aide::openapi::{self, MediaType, Operation, SchemaObject};
use axum::response::{IntoResponse, Response};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use muster_wire::problem::{FieldError, ProblemBody};

use crate::request;

const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json; charset=utf-8");

/// An error reply: status, stable `code`, and a text written for the client.
///
/// `detail` is fixed text by type: nothing of the request, of SQL or of a file system can be in it. What went wrong
/// inside travels as [`Problem::caused_by`] to the log and never to the client.
#[derive(Debug)]
pub struct Problem(Box<Inner>);

#[derive(Debug)]
struct Inner {
    status: StatusCode,
    code: &'static str,
    detail: &'static str,
    errors: Vec<FieldError>,
    extensions: BTreeMap<&'static str, serde_json::Value>,
    headers: HeaderMap,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl Problem {
    /// Makes a problem of a status, a stable code in snake case and a fixed text.
    pub fn new(status: StatusCode, code: &'static str, detail: &'static str) -> Self {
        Self(Box::new(Inner {
            status,
            code,
            detail,
            errors: Vec::new(),
            extensions: BTreeMap::new(),
            headers: HeaderMap::new(),
            cause: None,
        }))
    }

    /// The fixed 500 of a failure inside; `cause` is logged once, with its chain, when the reply is made.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::of_status(StatusCode::INTERNAL_SERVER_ERROR).caused_by(cause)
    }

    /// The fixed 503 of something that is over its budget or not there now; the client may come back after `wait`.
    pub fn unavailable(wait: Duration) -> Self {
        Self::of_status(StatusCode::SERVICE_UNAVAILABLE).retry_after(wait)
    }

    /// The 404 of everything that is absent, foreign or hidden.
    pub fn not_found() -> Self {
        Self::of_status(StatusCode::NOT_FOUND)
    }

    /// The 422 of a well-formed request whose fields do not hold; add them with [`Problem::field`].
    pub fn validation() -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation", "the request has fields that do not hold")
    }

    /// The problem of a bare status, for replies that no handler wrote.
    pub fn of_status(status: StatusCode) -> Self {
        let (code, detail) = match status {
            StatusCode::BAD_REQUEST => ("bad_request", "the request is malformed"),
            StatusCode::UNAUTHORIZED => ("unauthorized", "the request carries no valid credential"),
            StatusCode::FORBIDDEN => ("forbidden", "the credential does not allow this"),
            StatusCode::NOT_FOUND => ("not_found", "there is nothing here"),
            StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "the path does not answer this method"),
            StatusCode::REQUEST_TIMEOUT => ("request_timeout", "the request took too long to arrive"),
            StatusCode::CONFLICT => ("conflict", "the request conflicts with the current state"),
            StatusCode::PAYLOAD_TOO_LARGE => ("body_too_large", "the request body is too large"),
            StatusCode::URI_TOO_LONG => ("uri_too_long", "the request target is too long"),
            StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                ("unsupported_media_type", "the request body must be uncompressed application/json in UTF-8")
            }
            StatusCode::UNPROCESSABLE_ENTITY => ("validation", "the request has fields that do not hold"),
            StatusCode::UPGRADE_REQUIRED => ("upgrade_required", "this path speaks WebSocket only"),
            StatusCode::TOO_MANY_REQUESTS => {
                ("too_many_requests", "too many failed attempts; come back later")
            }
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE => {
                ("headers_too_large", "the request headers are too large")
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                ("unavailable", "the server cannot answer this now; come back later")
            }
            status if status.is_server_error() => {
                ("internal", "the server failed to answer; quote the instance")
            }
            _ => ("refused", "the request was refused"),
        };
        let problem = Self::new(status, code, detail);
        match status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                problem.retry_after(Duration::from_secs(5))
            }
            _ => problem,
        }
    }

    /// Adds a field: a JSON pointer (RFC 6901) and a stable code.
    #[must_use]
    pub fn field(mut self, pointer: impl Into<String>, code: impl Into<String>) -> Self {
        self.0.errors.push(FieldError { pointer: pointer.into(), code: code.into() });
        self
    }

    /// Sets a header of the reply.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.insert(name, value);
        self
    }

    /// Adds a header of the reply beside others of that name (two `WWW-Authenticate` challenges).
    #[must_use]
    pub fn append_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Sets `Retry-After` in whole seconds, rounded up and at least one.
    #[must_use]
    pub fn retry_after(self, wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        self.header(RETRY_AFTER, HeaderValue::from(seconds.max(1)))
    }

    /// Adds an extension member (RFC 9457, section 3.2).
    #[must_use]
    pub fn extension(mut self, name: &'static str, value: impl Into<serde_json::Value>) -> Self {
        self.0.extensions.insert(name, value.into());
        self
    }

    /// Keeps what went wrong inside for the log; the client never sees it.
    #[must_use]
    pub fn caused_by(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Returns the HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// Returns the fixed text.
    pub fn detail(&self) -> &'static str {
        self.0.detail
    }

    /// Returns the body as it will be sent, with the id of the current request as its instance.
    pub fn body(&self) -> ProblemBody {
        ProblemBody {
            kind: format!("urn:muster:problem:{}", self.0.code),
            title: self.0.status.canonical_reason().unwrap_or("Error").to_owned(),
            status: self.0.status.as_u16(),
            detail: self.0.detail.to_owned(),
            instance: request::current().map(|id| format!("urn:muster:{id}")).unwrap_or_default(),
            code: self.0.code.to_owned(),
            errors: self.0.errors.clone(),
            extensions: self
                .0
                .extensions
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.0.cause {
            log_cause(cause.as_ref(), &self);
        }
        let bytes =
            serde_json::to_vec(&self.body()).expect("a problem holds strings, numbers and JSON values only");
        let mut response = Response::new(bytes.into());
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.extend(self.0.headers);
        headers.insert(CONTENT_TYPE, MEDIA_TYPE);
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    }
}

fn log_cause(cause: &(dyn Error + 'static), problem: &Problem) {
    let mut chain = cause.to_string();
    let mut source = cause.source();
    while let Some(error) = source {
        let _ = write!(chain, ": {error}");
        source = error.source();
    }
    let request = request::current().map(|id| id.to_string()).unwrap_or_default();
    tracing::error!(
        request.id = request,
        status = problem.0.status.as_u16(),
        code = problem.0.code,
        cause = %chain.escape_debug(),
        "request failed"
    );
}

impl OperationOutput for Problem {
    type Inner = ProblemBody;

    fn operation_response(ctx: &mut GenContext, _: &mut Operation) -> Option<openapi::Response> {
        let media = MediaType {
            schema: Some(SchemaObject {
                json_schema: ctx.schema.subschema_for::<ProblemBody>(),
                example: None,
                external_docs: None,
            }),
            ..MediaType::default()
        };
        Some(openapi::Response {
            description: "The request was not fulfilled (RFC 9457); `code` is stable.".to_owned(),
            content: [("application/problem+json".to_owned(), media)].into_iter().collect(),
            ..openapi::Response::default()
        })
    }

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<openapi::StatusCode>, openapi::Response)> {
        Self::operation_response(ctx, operation).map(|response| vec![(None, response)]).unwrap_or_default()
    }
}
