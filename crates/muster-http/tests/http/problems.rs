//! What a problem says and what it keeps to itself.

use std::time::Duration;

use axum::response::IntoResponse;
use http::header::{ALLOW, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use muster_http::Problem;

#[test]
fn fields_extensions_and_headers_are_sent() {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "use_dpop_nonce", "a fresh nonce is needed")
        .field("/a", "missing")
        .extension("nonce", "n")
        .append_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        .append_header(WWW_AUTHENTICATE, HeaderValue::from_static("DPoP"));
    let body = serde_json::to_value(problem.body()).expect("body");
    let expected = serde_json::json!({
        "type": "urn:muster:problem:use_dpop_nonce", "title": "Unauthorized", "status": 401,
        "detail": "a fresh nonce is needed", "instance": "", "code": "use_dpop_nonce",
        "errors": [{"pointer": "/a", "code": "missing"}], "nonce": "n",
    });
    assert_eq!(body, expected);
    let response = problem.into_response();
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers().get_all(WWW_AUTHENTICATE).iter().count(), 2);
}

#[test]
fn waits_are_whole_seconds_and_at_least_one() {
    for (wait, seconds) in [(0, "1"), (1, "1"), (1000, "1"), (1001, "2"), (60_000, "60")] {
        let response = Problem::unavailable(Duration::from_millis(wait)).into_response();
        assert_eq!(response.headers()[RETRY_AFTER], seconds);
    }
    let busy = Problem::of_status(StatusCode::TOO_MANY_REQUESTS).into_response();
    assert!(busy.headers().contains_key(RETRY_AFTER), "429 always says when to come back");
}

#[test]
fn every_status_has_a_code_and_a_cause_is_never_in_the_body() {
    for status in (400..600).filter_map(|status| StatusCode::from_u16(status).ok()) {
        let problem = Problem::of_status(status).caused_by("canary in the cause");
        let body = serde_json::to_string(&problem.body()).expect("body");
        assert!(!body.contains("canary"), "{body}");
        assert_eq!(problem.status(), status);
        assert!(!problem.code().is_empty());
        assert!(!problem.into_response().headers().contains_key(ALLOW));
    }
}
