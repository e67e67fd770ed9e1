//! The operator's side of the HTTP API: a base URL, a token, a team; typed calls and untyped JSON.
//!
//! One file per family of routes. To add a route, add a method to the file of its family; a list takes a
//! [`PageRequest`] and is read whole with [`collect`].

mod answer;
mod audit;
mod claims;
mod endpoints;
mod events;
mod hosts;
mod jobs;
mod oidc;
mod overview;
mod page;
mod people;
mod secrets;
mod server_keys;
mod settings;
mod sign_in;
mod sites;
mod tickets;
mod tokens;
mod views;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode};
use muster_ids::TeamId;
use muster_wire::problem::ProblemBody;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::Url;

use crate::dialer::Dialer;
use crate::download::Download;
use crate::error::DialError;
use crate::exchange::Response;

pub use answer::Answer;
pub use audit::AuditFilter;
pub use claims::ClaimFilter;
pub use events::{EventFilter, EventStream, Streamed};
pub use hosts::HostFilter;
pub use jobs::JobFilter;
pub use page::{PageRequest, collect};
pub use tickets::TicketFilter;

/// The header that names the team to act in.
pub const TEAM_HEADER: HeaderName = HeaderName::from_static("muster-team");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Calls the API as one operator.
#[derive(Debug, Clone)]
pub struct OperatorClient {
    dialer: Dialer,
    base: Url,
    token: Option<SecretString>,
    /// The cookie of a signed-in session, in place of a token.
    session: Option<HeaderValue>,
    team: Option<TeamId>,
}

/// Why a call gave no result.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No answer.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server refused or failed.
    #[error("{}", refusal(*status, problem.as_deref()))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// What the server says, if it says it as a problem.
        problem: Option<Box<ProblemBody>>,
        /// Seconds to wait before trying again, if the server says so.
        retry_after_secs: Option<u64>,
    },
    /// The request cannot be written as JSON or its path is not one.
    #[error("cannot write the request")]
    Request,
    /// A success that is not the JSON it should be.
    #[error(
        "the server answered with something this version does not understand; is it a Muster server of this version?"
    )]
    Answer(#[source] Option<serde_json::Error>),
}

fn refusal(status: StatusCode, problem: Option<&ProblemBody>) -> String {
    let Some(problem) = problem else {
        return format!("the server answered {status} without a reason; is this a Muster server?");
    };
    let fields: Vec<String> = problem.errors.iter().map(|e| format!("{} {}", e.pointer, e.code)).collect();
    let fields = if fields.is_empty() { String::new() } else { format!(" ({})", fields.join(", ")) };
    format!("{}{fields} [{}, {}]", problem.detail, problem.code, problem.instance)
}

impl ApiError {
    /// Returns the stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { problem: Some(problem), .. } => Some(&problem.code),
            _ => None,
        }
    }

    /// Returns the HTTP status of a refusal.
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }
}

impl OperatorClient {
    /// Makes a client of a server's base URL; without a token only the open routes answer.
    pub fn new(dialer: Dialer, base: Url, token: Option<SecretString>, team: Option<TeamId>) -> Self {
        Self { dialer, base, token, session: None, team }
    }

    /// Returns the base URL.
    pub fn base(&self) -> &Url {
        &self.base
    }

    /// Returns the team every call acts in; the token's own when `None`.
    pub fn team(&self) -> Option<TeamId> {
        self.team
    }

    /// Returns the same client, acting in `team`.
    #[must_use]
    pub fn in_team(mut self, team: TeamId) -> Self {
        self.team = Some(team);
        self
    }

    /// `GET path`.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        parse(&self.send(Method::GET, path, None, HeaderMap::new()).await?)
    }

    /// `POST path` with a JSON body.
    pub async fn post<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        parse(&self.send(Method::POST, path, Some(write(body)?), HeaderMap::new()).await?)
    }

    /// `POST path` without a body.
    pub async fn post_empty<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        parse(&self.send(Method::POST, path, None, HeaderMap::new()).await?)
    }

    /// `POST path` with a JSON body and an `Idempotency-Key`, for routes that mint something shown once.
    pub async fn post_once<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        idempotency_key: &str,
    ) -> Result<T, ApiError> {
        let key = HeaderValue::from_str(idempotency_key).map_err(|_| ApiError::Request)?;
        let headers = HeaderMap::from_iter([(HeaderName::from_static("idempotency-key"), key)]);
        parse(&self.send(Method::POST, path, Some(write(body)?), headers).await?)
    }

    /// `POST path` with a JSON body and an `Idempotency-Key` of its own; a lost reply is asked for once more.
    async fn mint<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        let key = data_encoding::HEXLOWER.encode(&muster_edge::Entropy.bytes::<16>());
        self.mint_as(path, body, &key).await
    }

    /// `POST path` with a JSON body and this `Idempotency-Key`; a lost reply is asked for once more.
    async fn mint_as<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
        key: &str,
    ) -> Result<T, ApiError> {
        match self.post_once(path, body, key).await {
            Err(ApiError::Dial(DialError::Broken { .. })) => self.post_once(path, body, key).await,
            answer => answer,
        }
    }

    /// `PUT path` with a JSON body.
    pub async fn put<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        parse(&self.send(Method::PUT, path, Some(write(body)?), HeaderMap::new()).await?)
    }

    /// `PATCH path` with a JSON body.
    pub async fn patch<B: Serialize + Sync, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ApiError> {
        parse(&self.send(Method::PATCH, path, Some(write(body)?), HeaderMap::new()).await?)
    }

    /// `DELETE path`; a 204 parses as `()`.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        parse(&self.send(Method::DELETE, path, None, HeaderMap::new()).await?)
    }

    /// Sends a request and returns the answer to it as it is, if it is a success (for logs and other text).
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        headers: HeaderMap,
    ) -> Result<Response, ApiError> {
        let request = self.request(method, path, body, headers)?;
        let response = self.dialer.request(request, &self.base).await?;
        if response.status.is_success() { Ok(response) } else { Err(refused(&response)) }
    }

    /// `GET path`, whose answer is read while it arrives.
    pub async fn download(&self, path: &str) -> Result<Download, ApiError> {
        let request = self.request(Method::GET, path, None, HeaderMap::new())?;
        self.dialer.download(request, &self.base).await?.map_err(|response| refused(&response))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        headers: HeaderMap,
    ) -> Result<Request<Bytes>, ApiError> {
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| ApiError::Request)?;
        *request.headers_mut() = headers;
        if let Some(body) = body {
            request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            *request.body_mut() = body;
        }
        if let Some(token) = &self.token {
            let value = HeaderValue::from_str(&format!("Bearer {}", token.expose_secret()));
            let mut value = value.map_err(|_| ApiError::Request)?;
            value.set_sensitive(true);
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        if let Some(session) = &self.session {
            request.headers_mut().insert(COOKIE, session.clone());
            // No page sent it: this program speaks for itself.
            request.headers_mut().insert(SEC_FETCH_SITE, HeaderValue::from_static("none"));
        }
        if let Some(team) = self.team {
            let value = HeaderValue::from_str(&team.to_string()).map_err(|_| ApiError::Request)?;
            request.headers_mut().insert(TEAM_HEADER, value);
        }
        Ok(request)
    }
}

fn refused(response: &Response) -> ApiError {
    let retry_after = response.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
    ApiError::Refused {
        status: response.status,
        problem: serde_json::from_slice(&response.body).ok().map(Box::new),
        retry_after_secs: retry_after.and_then(|seconds| seconds.parse().ok()),
    }
}

fn write<B: Serialize>(body: &B) -> Result<Bytes, ApiError> {
    serde_json::to_vec(body).map(Bytes::from).map_err(|_| ApiError::Request)
}

fn parse<T: DeserializeOwned>(response: &Response) -> Result<T, ApiError> {
    let body: &[u8] = if response.body.is_empty() { b"null" } else { &response.body };
    serde_json::from_slice(body).map_err(|error| ApiError::Answer(Some(error)))
}
