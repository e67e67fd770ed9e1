//! `htu` compares URLs, not spellings — and repairs nothing.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_proof::HtuUrl;

#[track_caller]
fn check_same(one: &str, other: &str) {
    assert_eq!(HtuUrl::parse(one).unwrap(), HtuUrl::parse(other).unwrap());
}

#[track_caller]
fn check_other(one: &str, other: &str) {
    assert_ne!(HtuUrl::parse(one).unwrap(), HtuUrl::parse(other).unwrap());
}

#[test]
fn spellings_of_one_url_are_equal() {
    check_same("https://muster.example/v1/enroll", "HTTPS://Muster.EXAMPLE:443/v1/enroll");
    check_same("https://muster.example/v1/agent/connect", "wss://muster.example/v1/agent/connect");
    check_same("https://muster.example:8643/x", "wss://muster.example:8643/x");
    check_same("http://127.0.0.1/x", "ws://127.0.0.1:80/x");
    check_same("https://[2001:DB8::1]/x", "https://[2001:db8:0::1]/x");
    check_same("https://muster.example", "https://muster.example/");
}

#[test]
fn other_urls_are_not_equal() {
    check_other("https://muster.example/v1/enroll", "http://muster.example/v1/enroll");
    check_other("https://muster.example/v1/enroll", "https://muster.example/v1/Enroll");
    check_other("https://muster.example/v1/enroll", "https://muster.example/v1/enroll/");
    check_other("https://muster.example/x", "https://muster.example:8643/x");
    check_other("https://muster.example/x", "https://muster.example.evil.example/x");
    check_other("https://muster.example:80/x", "https://muster.example/x");
}

#[test]
fn texts_that_are_no_plain_url_are_refused() {
    for text in [
        "",
        "/v1/enroll",
        "muster.example/v1/enroll",
        "ftp://muster.example/x",
        "data:text/plain,x",
        "https:///x?",
        "https://muster.example/x?",
        "https://muster.example/x?a=b",
        "https://muster.example/x#",
        "https://muster.example/x#y",
        "https://user@muster.example/x",
        "https://user:word@muster.example/x",
        "https://muster.example@evil.example/x",
        " https://muster.example/x",
        "https://muster.example/x\n",
        "https://muster.exa\tmple/x",
        "https:\\\\muster.example\\x",
        "https://müster.example/x",
        "https://muster.example:99999/x",
    ] {
        assert!(HtuUrl::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn path_is_put_below_a_public_url_with_or_without_a_path() {
    for public_url in ["https://muster.example", "https://muster.example/", "https://MUSTER.example:443"] {
        let url = HtuUrl::below(public_url, "/v1/enroll").unwrap();
        assert_eq!(url.as_str(), "https://muster.example/v1/enroll");
    }
    let url = HtuUrl::below("https://example.com/muster/", "v1/enroll").unwrap();
    assert_eq!(url.to_string(), "https://example.com/muster/v1/enroll");
    assert!(HtuUrl::below("https://muster.example", "/v1/hosts?cursor=x").is_err());
}
