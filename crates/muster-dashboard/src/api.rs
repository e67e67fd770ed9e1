//! The API, as the pages ask it: in this process, in the name of the browser that asks.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, COOKIE, HOST, ORIGIN, RETRY_AFTER, USER_AGENT};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use muster_http::{ClientAddress, ConnectInfo, Unattended};
use muster_ids::TeamId;
use muster_wire::page::Page;
use muster_wire::problem::ProblemBody;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::Semaphore;
use tower::ServiceExt;

use crate::browser::is_unattended;
use crate::form::IdempotencyKey;
use crate::query::Query;
use crate::refusal::Refusal;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const MUSTER_TEAM: HeaderName = HeaderName::from_static("muster-team");
/// Most bytes of one answer; a page of 200 claims with all their evidence is far below.
const ANSWER_LIMIT: usize = 8 * 1024 * 1024;
/// Most questions of one page at a time.
const AT_A_TIME: usize = 4;
/// Most pages of a list that are looked through for one thing.
const LOOKED_THROUGH: usize = 25;

/// Who the browser is, and by which way it came: what the API judges. Nothing else of its request is handed on.
#[derive(Clone)]
struct Caller {
    headers: HeaderMap,
    extensions: Extensions,
}

impl Caller {
    fn of(parts: &Parts) -> Self {
        let mut headers = HeaderMap::new();
        for name in [COOKIE, HOST, ORIGIN, SEC_FETCH_SITE, USER_AGENT, LAST_EVENT_ID] {
            for value in parts.headers.get_all(&name) {
                headers.append(name.clone(), value.clone());
            }
        }
        let mut extensions = Extensions::new();
        // The routes of the API match anew: what the router noted of this request would be in their way.
        if let Some(connection) = parts.extensions.get::<ConnectInfo>() {
            extensions.insert(*connection);
        }
        if let Some(address) = parts.extensions.get::<ClientAddress>() {
            extensions.insert(*address);
        }
        if is_unattended(&parts.headers) {
            extensions.insert(Unattended);
        }
        Self { headers, extensions }
    }
}

/// The API in the name of one browser.
#[derive(Clone)]
pub(crate) struct Api {
    router: Router,
    caller: Caller,
    /// A page of many questions asks few at a time: it may not take the places of others.
    turns: Arc<Semaphore>,
}

/// An answer of the API with the headers it came with.
pub(crate) struct Answer<T> {
    pub(crate) body: T,
    pub(crate) headers: HeaderMap,
}

impl Api {
    pub(crate) fn new(router: Router, parts: &Parts) -> Self {
        Self { router, caller: Caller::of(parts), turns: Arc::new(Semaphore::new(AT_A_TIME)) }
    }

    /// Reads something. `path` is a path of the API with its query.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Refusal> {
        Ok(self.ask(Method::GET, path, None::<&()>, None).await?.body)
    }

    /// Reads something that may be hidden from this person: `None` for what the API refuses or does not have.
    pub(crate) async fn get_if_shown<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Refusal> {
        match self.get(path).await {
            Ok(body) => Ok(Some(body)),
            Err(refusal) if matches!(refusal.status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                Ok(None)
            }
            Err(refusal) => Err(refusal),
        }
    }

    /// Looks one thing up in a list of those that the API does not show alone, the newest first.
    pub(crate) async fn find<T: DeserializeOwned>(
        &self,
        list: &str,
        is_it: impl Fn(&T) -> bool,
    ) -> Result<T, Refusal> {
        let mut query = Query::parse("limit=200&order=desc");
        for _ in 0..LOOKED_THROUGH {
            let page: Page<T> = self.get(&query.on(list)).await?;
            if let Some(found) = page.items.into_iter().find(&is_it) {
                return Ok(found);
            }
            let Some(cursor) = page.next_cursor else { break };
            query = query.with("cursor", &cursor);
        }
        Err(Refusal::of(StatusCode::NOT_FOUND))
    }

    /// Asks for a change.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refusal> {
        Ok(self.ask(Method::POST, path, Some(body), None).await?.body)
    }

    /// Asks for a change whose answer is shown once: sent again with the same key, it has the same answer.
    pub(crate) async fn post_once<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answer<T>, Refusal> {
        self.ask(Method::POST, path, Some(body), key).await
    }

    /// The API in the name of whoever holds an invitation; `None` for text that cannot be one.
    pub(crate) fn invited(&self, invitation: &str) -> Option<Self> {
        let mut credential = HeaderValue::try_from(format!("Bearer {invitation}")).ok()?;
        credential.set_sensitive(true);
        let mut api = self.clone();
        api.caller.headers.remove(COOKIE);
        api.caller.headers.insert(AUTHORIZATION, credential);
        Some(api)
    }

    /// The API as it is about another team.
    pub(crate) fn of_team(&self, team_id: TeamId) -> Self {
        let mut api = self.clone();
        if let Ok(team) = HeaderValue::try_from(team_id.to_string()) {
            api.caller.headers.insert(MUSTER_TEAM, team);
        }
        api
    }

    /// Sets something.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Refusal> {
        Ok(self.ask(Method::PUT, path, Some(body), None).await?.body)
    }

    /// Hands an answer on as it is: a stream, a download.
    pub(crate) async fn forward(&self, path: &str) -> Response {
        self.send(Method::GET, path, Bytes::new(), None).await
    }

    /// Hands a download on as it is, or says why there is none.
    pub(crate) async fn download(&self, path: &str) -> Result<Response, Refusal> {
        let response = self.forward(path).await;
        if response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(Refusal::internal)?.to_bytes();
        Err(refused(&parts, &body))
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
        key: Option<&IdempotencyKey>,
    ) -> Result<Answer<T>, Refusal> {
        let body = match body {
            Some(body) => Bytes::from(serde_json::to_vec(body).map_err(Refusal::internal)?),
            None => Bytes::new(),
        };
        let _turn = self.turns.acquire().await.map_err(Refusal::internal)?;
        let (parts, body) = self.send(method, path, body, key).await.into_parts();
        let body = Limited::new(body, ANSWER_LIMIT).collect().await.map_err(Refusal::internal)?.to_bytes();
        if parts.status.is_success() {
            // A reply without a body is as good as an empty one.
            let json = if body.is_empty() { b"null".as_slice() } else { &body };
            let body = serde_json::from_slice(json).map_err(|error| Refusal::unreadable(&error))?;
            return Ok(Answer { body, headers: parts.headers });
        }
        Err(refused(&parts, &body))
    }

    async fn send(&self, method: Method, path: &str, body: Bytes, key: Option<&IdempotencyKey>) -> Response {
        let mut request = Request::new(Body::empty());
        *request.headers_mut() = self.caller.headers.clone();
        *request.extensions_mut() = self.caller.extensions.clone();
        match path.parse() {
            Ok(uri) => *request.uri_mut() = uri,
            Err(_) => return bare(StatusCode::NOT_FOUND),
        }
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
        if method != Method::GET {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            if let Some(key) = key {
                headers.insert(IDEMPOTENCY_KEY, key.header());
            }
            *request.body_mut() = Body::from(body);
        }
        *request.method_mut() = method;
        match self.router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

fn refused(parts: &http::response::Parts, body: &[u8]) -> Refusal {
    let problem: Option<Box<ProblemBody>> = serde_json::from_slice(body).ok();
    let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    Refusal { status: parts.status, problem, retry_after_secs: retry_after }
}

fn bare(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Makes one segment of a path of any text: nothing in it leads elsewhere.
pub(crate) fn segment(text: &str) -> String {
    use std::fmt::Write as _;
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        // A segment of dots alone is a way up.
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'~' | b':') {
            segment.push(char::from(byte));
        } else {
            let _ = write!(segment, "%{byte:02X}");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_team_takes_the_place_of_the_one_before() {
        let (parts, ()) = http::Request::new(()).into_parts();
        let (first, second) =
            ("team_01890a5dac96774bbcceb302099a8001", "team_01890a5dac96774bbcceb302099a8002");
        let team = |text: &str| text.parse().unwrap();
        let api = Api::new(Router::new(), &parts).of_team(team(first)).of_team(team(second));
        let asked: Vec<_> = api.caller.headers.get_all(MUSTER_TEAM).iter().collect();
        assert_eq!(asked, [second]);
    }

    #[test]
    fn a_segment_is_one_segment_whatever_it_holds() {
        assert_eq!(segment("repo-1"), "repo-1");
        assert_eq!(segment("../x?y#z/%"), "%2E%2E%2Fx%3Fy%23z%2F%25");
        assert_eq!(segment("."), "%2E");
    }
}
