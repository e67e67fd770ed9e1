//! Replies of the dashboard: pages with their policy, redirects, and the page of a refusal.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::header::{CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, RETRY_AFTER, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::assets;
use crate::form::TEAM;
use crate::markup::escape;
use crate::refusal::Refusal;
use crate::shell::Shell;

/// Nothing of another place, nothing inline; a form goes nowhere else, and no page of another site shows this one.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
);
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// A rendered page, or why there is none.
#[derive(Debug)]
pub(crate) enum Rendered {
    Page(Response),
    Failed(Refusal),
}

/// Renders a page; its forms say for which team they are shown, if one is said.
pub(crate) fn page(template: &impl Template, team: Option<&str>) -> Rendered {
    match template.render() {
        Ok(html) => Rendered::Page(html_reply(StatusCode::OK, shown_for(html, team))),
        Err(error) => Rendered::Failed(Refusal::internal(error)),
    }
}

/// Lets every form that changes something say for which team it is shown: the choice is of the browser, not of the tab.
fn shown_for(html: String, team: Option<&str>) -> String {
    let Some(team) = team else { return html };
    let field = format!("<input type=\"hidden\" name=\"{TEAM}\" value=\"{}\">", escape(team));
    let mut shown = String::with_capacity(html.len() + 256);
    let mut rest = html.as_str();
    // Attributes hold no `>`: the templates escape it.
    while let Some((before, form)) = rest.split_once("<form method=\"post\"") {
        let (attributes, after) = form.split_once('>').unwrap_or((form, ""));
        shown.extend([before, "<form method=\"post\"", attributes, ">", &field]);
        rest = after;
    }
    shown.push_str(rest);
    shown
}

/// Renders a page that is seen before anybody signed in.
pub(crate) fn public_page(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => html_reply(status, html),
        Err(error) => render_bare(&Refusal::internal(error)),
    }
}

fn html_reply(status: StatusCode, html: String) -> Response {
    let mut response = (status, Html(html)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, POLICY);
    // Without a referrer of its own origin a browser says no origin with its forms either, and they would be refused.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(OPENER_POLICY, HeaderValue::from_static("same-origin"));
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    response
}

#[derive(Template)]
#[template(path = "refused.html")]
struct RefusedPage<'a> {
    heading: &'static str,
    says: String,
    instance: &'a str,
    styles: String,
    icon: String,
}

/// A refusal as a signed-in person sees it.
#[derive(Template)]
#[template(path = "refused_in_frame.html")]
struct FramedRefusal<'a> {
    shell: Shell,
    says: String,
    instance: &'a str,
}

/// Renders a refusal inside the frame of every page; its forms say for which team they are shown, if one is said.
pub(crate) fn render_framed(refusal: &Refusal, mut shell: Shell, team: Option<&str>) -> Response {
    heading(refusal.status).clone_into(&mut shell.title);
    let view = FramedRefusal { shell, says: refusal.says(), instance: refusal.instance() };
    match view.render() {
        Ok(html) => come_back_later(html_reply(refusal.status, shown_for(html, team)), refusal),
        Err(_) => render_bare(refusal),
    }
}

/// Renders a refusal without anything of the visit.
pub(crate) fn render_bare(refusal: &Refusal) -> Response {
    let view = RefusedPage {
        heading: heading(refusal.status),
        says: refusal.says(),
        instance: refusal.instance(),
        styles: assets::url("app.css"),
        icon: assets::url("favicon.svg"),
    };
    match view.render() {
        Ok(html) => come_back_later(html_reply(refusal.status, html), refusal),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn come_back_later(mut response: Response, refusal: &Refusal) -> Response {
    if let Some(seconds) = refusal.retry_after_secs {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

fn heading(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::FORBIDDEN => "You may not see this",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        status if status.is_server_error() => "That failed",
        _ => "That was refused",
    }
}

/// Sends a browser on to a path of this server.
pub(crate) fn see_other(path: &str, cookies: &HeaderMap) -> Response {
    let to = HeaderValue::try_from(own_path(path, "/")).unwrap_or(HeaderValue::from_static("/"));
    let mut response = StatusCode::SEE_OTHER.into_response();
    response.headers_mut().insert(LOCATION, to);
    for cookie in cookies.get_all(SET_COOKIE) {
        response.headers_mut().append(SET_COOKIE, cookie.clone());
    }
    response
}

/// Returns a path that a browser said, or another one where it leads elsewhere.
pub(crate) fn own_path<'p>(path: &'p str, otherwise: &'p str) -> &'p str {
    if is_own_path(path) { path } else { otherwise }
}

/// Whether a path stays on this server: `//host` and `/\host` do not.
fn is_own_path(path: &str) -> bool {
    let mut letters = path.chars();
    letters.next() == Some('/')
        && !matches!(letters.next(), Some('/' | '\\'))
        && path.chars().all(|letter| !letter.is_control() && letter != '\\')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_that_change_something_say_for_which_team_they_are_shown() {
        let html =
            "<form method=\"post\" action=\"/a\"><b></b></form><form method=\"get\"></form>".to_owned();
        assert_eq!(
            shown_for(html.clone(), Some("own")),
            "<form method=\"post\" action=\"/a\"><input type=\"hidden\" name=\"shown_for_team\" value=\"own\"><b></b>\
             </form><form method=\"get\"></form>"
        );
        assert_eq!(shown_for(html.clone(), None), html);
    }

    #[test]
    fn only_paths_of_this_server_are_gone_on_to() {
        for good in ["/", "/hosts?q=a", "/hosts/host_1", "/?a=//b"] {
            assert!(is_own_path(good), "{good}");
        }
        for bad in
            ["", "hosts", "//evil.example", "/\\evil.example", "https://evil.example", "/\t/evil", "/a\\b"]
        {
            assert!(!is_own_path(bad), "{bad}");
            assert_eq!(own_path(bad, "/hosts"), "/hosts");
        }
    }
}
