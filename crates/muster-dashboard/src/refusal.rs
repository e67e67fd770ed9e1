//! What the API refused, or what failed, as a person reads it.

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use muster_wire::problem::ProblemBody;

use crate::respond::render_bare;
use crate::words;

/// A refusal of the API, or a failure of the dashboard itself.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: StatusCode,
    pub(crate) problem: Option<Box<ProblemBody>>,
    pub(crate) retry_after_secs: Option<u64>,
}

impl Refusal {
    /// An answer of the API that is not as it should be. Where it breaks is logged, never what it holds.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        tracing::error!(kind = ?error.classify(), line, column, "an answer of the api cannot be read");
        Self::of(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A failure of the dashboard; the cause, which holds nothing of a request, is logged once, here.
    pub(crate) fn internal(cause: impl std::fmt::Display) -> Self {
        tracing::error!(cause = %cause.to_string().escape_debug(), "making a page failed");
        Self::of(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// A form, or a part of a page, of another team than the one that is looked at by now.
    pub(crate) fn other_team() -> Self {
        let problem = ProblemBody {
            kind: String::new(),
            title: String::new(),
            status: 409,
            detail: "you look at another team by now, and nothing was changed; open the page anew".to_owned(),
            instance: String::new(),
            code: "other_team".to_owned(),
            errors: Vec::new(),
            extensions: std::collections::BTreeMap::new(),
        };
        Self { status: StatusCode::CONFLICT, problem: Some(Box::new(problem)), retry_after_secs: None }
    }

    pub(crate) fn of(status: StatusCode) -> Self {
        Self { status, problem: None, retry_after_secs: None }
    }

    pub(crate) fn code(&self) -> &str {
        self.problem.as_ref().map_or("", |problem| &problem.code)
    }

    /// Returns what happened, and what to do about it.
    pub(crate) fn says(&self) -> String {
        words::refusal(self.status, self.code(), self.detail(), self.retry_after_secs)
    }

    fn detail(&self) -> &str {
        self.problem.as_ref().map_or("", |problem| &problem.detail)
    }

    /// Returns what to quote to whoever runs the server.
    pub(crate) fn instance(&self) -> &str {
        self.problem.as_ref().map_or("", |problem| &problem.instance)
    }

    /// Returns why a field of a form does not hold; `pointer` is its place in the request, `/name`.
    pub(crate) fn of_field(&self, pointer: &str) -> Option<String> {
        self.code_of_field(pointer).map(words::field_error)
    }

    /// Returns why a new password does not hold.
    pub(crate) fn of_password(&self, pointer: &str) -> Option<String> {
        self.code_of_field(pointer).map(words::password_error)
    }

    fn code_of_field(&self, pointer: &str) -> Option<&str> {
        let errors = &self.problem.as_ref()?.errors;
        let of_it =
            |at: &str| at == pointer || at.strip_prefix(pointer).is_some_and(|rest| rest.starts_with('/'));
        errors.iter().find(|error| of_it(&error.pointer)).map(|error| error.code.as_str())
    }

    /// Whether this is of a form: the person sees it again, with what they typed.
    pub(crate) fn is_of_form(&self) -> bool {
        matches!(
            self.status,
            StatusCode::BAD_REQUEST
                | StatusCode::CONFLICT
                | StatusCode::FORBIDDEN
                | StatusCode::GONE
                | StatusCode::UNPROCESSABLE_ENTITY
                | StatusCode::TOO_MANY_REQUESTS
                | StatusCode::SERVICE_UNAVAILABLE
        )
    }
}

/// A refusal as the answer of a page. The reply carries it along: `browser::tell` says it as the browser needs it.
#[derive(Debug)]
pub(crate) struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let mut response = render_bare(&self.0);
        response.extensions_mut().insert(self.0);
        response
    }
}
