//! Request ids, security headers, Host and Authorization rules, the client's address.

use muster_http::ListenerKind;

use crate::server::{get_path, raw, short, start, start_as};

#[tokio::test]
async fn every_reply_carries_an_id_of_its_own_and_the_security_headers() {
    let server = start(short()).await;
    let asked = "GET /id HTTP/1.1\r\nHost: m\r\nX-Request-Id: chosen\r\nConnection: close\r\n\r\n";
    let (one, two) = (raw(server.address, asked).await, raw(server.address, asked).await);
    assert_eq!(one.header("x-request-id"), Some(one.body.as_str()));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
    assert!(one.body.starts_with("req_") && one.body.len() == 36, "{}", one.body);
    assert_eq!(one.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(one.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(one.header("cache-control"), Some("no-store"));
    let policy = "default-src 'none'; frame-ancestors 'none'";
    assert_eq!(one.header("content-security-policy"), Some(policy));
    let page = get_path(server.address, "/page.html").await;
    assert_eq!(page.header("content-security-policy"), Some("default-src 'self'"), "a page sets its own");
}

#[tokio::test]
async fn exactly_one_valid_host() {
    let server = start(short()).await;
    for hosts in [
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: \r\n",
        "Host: a b\r\n",
        "Host: u@a\r\n",
        "Host: a/b\r\n",
        "Host: a:99999999\r\n",
        "Host: \u{e9}\r\n",
    ] {
        let answer =
            raw(server.address, format!("GET /ok HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
        answer.problem(400, "invalid_host");
    }
    for host in ["a", "a.example:8643", "[::1]:8643", "127.0.0.1"] {
        let answer =
            raw(server.address, format!("GET /ok HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
                .await;
        assert_eq!(answer.status, 200, "{host}");
    }
    assert_eq!(raw(server.address, "GET /ok HTTP/1.0\r\n\r\n").await.status, 200);
}

/// A page of another site may resolve its own name to this machine; the browser still sends that name.
#[tokio::test]
async fn the_plain_listener_answers_to_loopback_names_only() {
    let server = start_as(ListenerKind::Operators, short(), None).await;
    let ask = async |host: &str| {
        raw(server.address, format!("GET /ok HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")).await
    };
    for host in
        ["evil.example", "evil.example:8600", "localhost.evil.example", "192.0.2.1:8600", "[2001:db8::1]"]
    {
        ask(host).await.problem(400, "invalid_host");
    }
    for host in ["127.0.0.1:8600", "localhost:8600", "LOCALHOST", "[::1]:8600"] {
        assert_eq!(ask(host).await.status, 200, "{host}");
    }
}

#[tokio::test]
async fn two_authorization_headers_are_400() {
    let server = start(short()).await;
    let request = "GET /ok HTTP/1.1\r\nHost: m\r\nAuthorization: Bearer a\r\nAuthorization: Bearer b\r\nConnection: close\r\n\r\n";
    raw(server.address, request).await.problem(400, "ambiguous_authorization");
}

#[tokio::test]
async fn a_foreign_authority_in_the_target_is_not_seen() {
    let server = start(short()).await;
    let request = "GET http://evil.example/uri?a=1 HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n";
    let answer = raw(server.address, request).await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "/uri?a=1"));
}

#[tokio::test]
async fn forwarded_for_is_ignored_without_a_configured_proxy() {
    let server = start(short()).await;
    let request = "GET /client HTTP/1.1\r\nHost: m\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: close\r\n\r\n";
    assert_eq!(raw(server.address, request).await.body, "127.0.0.1");
}
