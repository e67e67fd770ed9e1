//! Where a browser's request comes from: no page of another site changes anything here (DESIGN §8).

use axum::extract::FromRequestParts;
use http::header::{HOST, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use url::Url;

use crate::{ConnectInfo, ListenerKind, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Proof that a request was not made by a page of another site; for whatever changes state and is not judged by a credential of its own.
///
/// A program that is no browser says neither where it comes from nor has it a cookie, and passes.
#[derive(Debug, Clone, Copy)]
pub struct SameOrigin;

impl<S: Sync> FromRequestParts<S> for SameOrigin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match judge(parts) {
            Some(true) | None => Ok(Self),
            Some(false) => Err(foreign_origin()),
        }
    }
}

impl aide::OperationInput for SameOrigin {}

/// Refuses a request with a cookie unless a browser says that one of our own pages made it.
pub fn same_origin(parts: &Parts) -> Result<(), Problem> {
    if judge(parts) == Some(true) { Ok(()) } else { Err(foreign_origin()) }
}

/// Whether one of our own pages made a request; `None` when nobody says. Everything that is said must agree: a proxy, or
/// whatever made the request, may say one of the two.
fn judge(parts: &Parts) -> Option<bool> {
    let headers = &parts.headers;
    // The browser's own word; `none` is an address typed in by the person.
    let by_site = one(headers, &SEC_FETCH_SITE).map(|site| matches!(site, Some("same-origin" | "none")));
    let listener = parts.extensions.get::<ConnectInfo>().map(|connection| connection.listener);
    let by_origin =
        one(headers, &ORIGIN).map(|origin| origin.is_some_and(|origin| is_own(origin, headers, listener)));
    match (by_site, by_origin) {
        (Some(by_site), Some(by_origin)) => Some(by_site && by_origin),
        (by_site, by_origin) => by_site.or(by_origin),
    }
}

/// Returns the only value of a header: `Some(None)` when there is no such one, but something.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Option<&'a str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    Some(if values.next().is_some() { None } else { first.to_str().ok() })
}

fn is_own(origin: &str, headers: &HeaderMap, listener: Option<ListenerKind>) -> bool {
    let scheme = if listener == Some(ListenerKind::Operators) { "http" } else { "https" };
    let own = headers.get(HOST).and_then(|host| host.to_str().ok());
    let own = own.and_then(|host| Url::parse(&format!("{scheme}://{host}")).ok());
    let said = Url::parse(origin).ok();
    said.zip(own).is_some_and(|(said, own)| said.origin().is_tuple() && said.origin() == own.origin())
}

fn foreign_origin() -> Problem {
    let detail = "a page of another site may not change anything here";
    Problem::new(StatusCode::FORBIDDEN, "foreign_origin", detail)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn check(headers: &[(&str, &str)], expected: Option<bool>) {
        let mut request = Request::builder().method("POST").uri("/v1/sign-in");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        assert_eq!(judge(&parts), expected, "{headers:?}");
    }

    #[test]
    fn only_our_own_pages_are_of_our_origin() {
        let host = ("host", "muster.example:8643");
        check(&[host], None);
        check(&[host, ("sec-fetch-site", "same-origin")], Some(true));
        check(&[host, ("sec-fetch-site", "none")], Some(true));
        check(&[host, ("sec-fetch-site", "same-site")], Some(false));
        check(&[host, ("sec-fetch-site", "cross-site")], Some(false));
        check(
            &[host, ("sec-fetch-site", "cross-site"), ("origin", "https://muster.example:8643")],
            Some(false),
        );
        check(&[host, ("origin", "https://muster.example:8643")], Some(true));
        for site in ["same-origin", "none"] {
            let says = |origin| [host, ("sec-fetch-site", site), ("origin", origin)];
            check(&says("https://muster.example:8643"), Some(true));
            check(&says("https://evil.example"), Some(false));
            check(&says("null"), Some(false));
        }
        for origin in [
            "null",
            "https://evil.example",
            "https://muster.example",
            "https://muster.example:8643.evil.example",
            "http://muster.example:8643",
            "",
        ] {
            check(&[host, ("origin", origin)], Some(false));
        }
        let twice = [host, ("origin", "https://muster.example:8643"), ("origin", "https://evil.example")];
        check(&twice, Some(false));
    }
}
