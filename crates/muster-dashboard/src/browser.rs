//! The browser's side of every exchange: what a page's outcome becomes for a person, a script, or a program.
//!
//! Handlers know nothing of it. They answer with a page, a redirect or a refusal; here a refusal for want of a session
//! becomes the way to sign in and back, one that a signed-in person met has the frame of every page, a redirect that a script met becomes one for its page, and a problem that a person
//! met becomes a page.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCEPT, CONTENT_TYPE, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::refusal::Refusal;
use crate::respond::{render_bare, render_framed, see_other};
use crate::visit::SeenFrame;

pub(crate) const HX_REQUEST: HeaderName = HeaderName::from_static("hx-request");
const HX_REDIRECT: HeaderName = HeaderName::from_static("hx-redirect");
/// Most bytes of a problem.
const PROBLEM_LIMIT: usize = 64 * 1024;

/// What of a request decides how its outcome is told.
struct Asked {
    by_script: bool,
    by_person: bool,
    /// Whether it asks for a page, and changes nothing.
    is_of_page: bool,
    return_to: String,
}

impl Asked {
    fn of(request: &Request) -> Self {
        let path = request.uri().path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
        Self {
            by_script: is_by_script(request.headers()),
            by_person: accepts_pages(request.headers()),
            is_of_page: request.method().is_safe(),
            // A form is no page to come back to.
            return_to: if request.method().is_safe() { path.to_owned() } else { "/".to_owned() },
        }
    }
}

/// Whether a script refreshes a part of a page.
pub(crate) fn is_by_script(headers: &HeaderMap) -> bool {
    headers.contains_key(&HX_REQUEST)
}

/// Whether a page asks by itself, to stay true: a screen nobody looks at must not keep somebody signed in.
pub(crate) fn is_unattended(headers: &HeaderMap) -> bool {
    let is_stream = |value: &http::HeaderValue| value.as_bytes().starts_with(b"text/event-stream");
    is_by_script(headers) || headers.get(ACCEPT).is_some_and(is_stream)
}

/// Whether whoever asks shows pages.
pub(crate) fn accepts_pages(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).and_then(|value| value.to_str().ok()).is_some_and(|media| media.contains("text/html"))
}

/// Tells the outcome of a request as the browser needs it.
pub(crate) async fn tell(mut request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let frame = SeenFrame::default();
    request.extensions_mut().insert(frame.clone());
    let mut response = next.run(request).await;
    if let Some(refusal) = response.extensions_mut().remove::<Refusal>() {
        response = refused(&asked, &refusal, &frame, response);
    }
    if asked.by_script && response.status() == StatusCode::SEE_OTHER {
        // A script would follow it and take another page for its own.
        if let Some(to) = response.headers_mut().remove(LOCATION) {
            response.headers_mut().insert(HX_REDIRECT, to);
            *response.status_mut() = StatusCode::NO_CONTENT;
        }
    }
    if asked.by_person && is_problem(&response) { as_page(response).await } else { response }
}

fn refused(asked: &Asked, refusal: &Refusal, frame: &SeenFrame, bare: Response) -> Response {
    if refusal.status == StatusCode::UNAUTHORIZED {
        let to: String = form_urlencoded::byte_serialize(asked.return_to.as_bytes()).collect();
        return see_other(&format!("/sign-in?return_to={to}"), &HeaderMap::new());
    }
    match frame.shell() {
        Some((shell, team)) if asked.is_of_page => render_framed(refusal, shell, team.as_deref()),
        _ => bare,
    }
}

fn is_problem(response: &Response) -> bool {
    let media = response.headers().get(CONTENT_TYPE);
    media.is_some_and(|media| media.as_bytes().starts_with(b"application/problem+json"))
}

/// Makes a page of a problem; what says when to come back, or how, stays.
async fn as_page(response: Response) -> Response {
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, PROBLEM_LIMIT).collect().await.map(http_body_util::Collected::to_bytes);
    let problem = body.ok().and_then(|body| serde_json::from_slice(&body).ok());
    let retry_after = parts.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut page = render_bare(&Refusal { status: parts.status, problem, retry_after_secs: retry_after });
    for name in [RETRY_AFTER, http::header::WWW_AUTHENTICATE, http::header::ALLOW] {
        for value in parts.headers.get_all(&name) {
            page.headers_mut().append(name.clone(), value.clone());
        }
    }
    page
}
