//! What happens to every request of every route, in this order, whether or not the route exists:
//!
//! 1. the request gets its id; one the client sends is ignored;
//! 2. the rules of one `Host` and at most one `Authorization`, and no `CONNECT`;
//! 3. the client address is decided;
//! 4. the handler runs; a panic becomes the fixed 500;
//! 5. an error without a body of its own becomes a problem;
//! 6. security headers, the request id and one access line.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    HOST, REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use http::uri::Authority;
use http::{HeaderName, HeaderValue, Method, StatusCode, Version};
use muster_edge::{Clock, Entropy};
use muster_ids::RequestId;

use crate::{ClientAddress, ConnectInfo, ListenerKind, Problem, TrustedProxies, request};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the edge needs of the world.
#[derive(Debug, Clone)]
pub struct Edge {
    /// For request ids and durations.
    pub clock: Clock,
    /// For request ids.
    pub entropy: Entropy,
    /// Whose `X-Forwarded-For` is believed.
    pub proxies: Arc<TrustedProxies>,
}

impl Edge {
    /// Makes an edge that trusts no proxy.
    pub fn new(clock: Clock, entropy: Entropy) -> Self {
        Self { clock, entropy, proxies: Arc::new(TrustedProxies::none()) }
    }

    /// Believes the `X-Forwarded-For` of these.
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies: Arc::new(proxies), ..self }
    }

    /// Makes the id of a request that arrives now.
    pub(crate) fn request_id(&self) -> RequestId {
        RequestId::from_uuid(self.entropy.uuid(self.clock.now()))
    }
}

/// Puts the edge around a finished router. Call it last: it covers the routes and fallbacks present then.
pub fn protect(router: Router, edge: Edge) -> Router {
    router.layer(from_fn_with_state(edge, pass))
}

async fn pass(State(edge): State<Edge>, request: Request, next: Next) -> Response {
    let started = edge.clock.monotonic();
    let id = edge.request_id();
    let method = known_method(request.method());
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = request::scope(id, answer(&edge, request, next)).await;
    tracing::debug!(
        request.id = %id,
        method,
        path = path.as_ref().map_or("-", MatchedPath::as_str),
        status = response.status().as_u16(),
        duration_ms = edge.clock.monotonic().saturating_sub(started).as_millis(),
        "answered"
    );
    finish(response, id)
}

async fn answer(edge: &Edge, mut request: Request, next: Next) -> Response {
    if let Err(problem) = admit(&request) {
        return problem.into_response();
    }
    if let Some(info) = request.extensions().get::<ConnectInfo>() {
        let address = ClientAddress::of(info.peer, request.headers(), &edge.proxies);
        request.extensions_mut().insert(address);
    }
    match AssertUnwindSafe(next.run(request)).catch_unwind().await {
        Ok(response) => with_problem_body(response),
        Err(_) => Problem::internal("the handler panicked").into_response(),
    }
}

/// Refuses requests whose meaning would depend on who reads them.
fn admit(request: &Request) -> Result<(), Problem> {
    if request.method() == Method::CONNECT {
        let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE");
        return Err(Problem::of_status(StatusCode::METHOD_NOT_ALLOWED).header(ALLOW, allowed));
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    let named = host.and_then(authority);
    let is_one_valid = match host {
        Some(_) => hosts.next().is_none() && named.is_some(),
        None => request.version() < Version::HTTP_11,
    };
    if !is_one_valid {
        let detail = "the request must carry exactly one valid host header";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_host", detail));
    }
    let connection = request.extensions().get::<ConnectInfo>();
    let on_loopback = connection.is_some_and(|connection| connection.listener == ListenerKind::Operators);
    if on_loopback && named.is_some_and(|named| !names_loopback(&named)) {
        // A page of another site that resolves its own name to this machine must not reach the plain listener.
        let detail = "this listener answers to loopback names only";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_host", detail));
    }
    if request.headers().get_all(AUTHORIZATION).iter().count() > 1 {
        let detail = "the request carries more than one authorization header";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "ambiguous_authorization", detail));
    }
    Ok(())
}

fn names_loopback(named: &Authority) -> bool {
    let host = named.host().trim_start_matches('[').trim_end_matches(']');
    let is_address = host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

/// Returns what a `Host` names: a host, and a port or none.
fn authority(value: &HeaderValue) -> Option<Authority> {
    let named: Authority = value.to_str().ok()?.parse().ok()?;
    let is_host_alone = named.as_str() == named.host();
    let is_one = !named.host().is_empty()
        && !named.as_str().contains('@')
        && (is_host_alone || named.port_u16().is_some());
    is_one.then_some(named)
}

/// Gives errors that no handler wrote (404, 405, an extractor's 400, a refused upgrade) the one error body.
fn with_problem_body(response: Response) -> Response {
    let is_error = response.status().is_client_error() || response.status().is_server_error();
    let is_bare = response
        .headers()
        .get(CONTENT_TYPE)
        .is_none_or(|media| media.as_bytes().to_ascii_lowercase().starts_with(b"text/plain"));
    if !is_error || !is_bare {
        return response;
    }
    let mut problem = Problem::of_status(response.status()).into_response();
    let kept = response.headers();
    for name in kept.keys().filter(|name| !describes_a_body(name)) {
        problem.headers_mut().remove(name);
        for value in kept.get_all(name) {
            problem.headers_mut().append(name.clone(), value.clone());
        }
    }
    problem
}

fn describes_a_body(name: &HeaderName) -> bool {
    name == CONTENT_TYPE || name == CONTENT_LENGTH || name == TRANSFER_ENCODING
}

/// Sets what every reply carries; a handler's own policy of content, referrer and caching stays.
pub(crate) fn finish(mut response: Response, id: RequestId) -> Response {
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(REFERRER_POLICY).or_insert(HeaderValue::from_static("no-referrer"));
    headers
        .entry(CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// The reply to a request that two readers would frame differently; its connection ends.
pub(crate) fn ambiguous_framing(edge: &Edge) -> Response {
    let id = edge.request_id();
    let detail = "the request must say its length exactly once";
    let problem = Problem::new(StatusCode::BAD_REQUEST, "ambiguous_framing", detail)
        .header(CONNECTION, HeaderValue::from_static("close"));
    finish(request::within(id, || problem.into_response()), id)
}

/// A method is a token the client chooses; only the known ones are written to the log.
fn known_method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::TRACE => "TRACE",
        Method::CONNECT => "CONNECT",
        _ => "other",
    }
}
