//! Requests that two readers would understand differently.

use std::time::Duration;

use muster_testkit::http as bytewise;
use muster_wire::JoinString;
use muster_wire::ticket::MintedTicket;

use super::{Expect, Pair};
use crate::harness::{dialer, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heads_that_are_ambiguous_or_too_large() {
    let pair = Pair::start().await;
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let big = format!("x: {}\r\n", "a".repeat(500 * 1024));
    let medium = format!("x: {}\r\n", "a".repeat(17 * 1024));
    let post = "POST /v1/enroll HTTP/1.1\r\nhost: {authority}\r\ncontent-type: application/json\r\nconnection: close\r\n";
    let get = "GET /healthz HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n";
    let refused = [
        (
            "both framings",
            format!("{post}content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n"),
            "0\r\n\r\n",
        ),
        ("two lengths", format!("{post}content-length: 2\r\ncontent-length: 3\r\n\r\n"), "{}"),
        ("one length twice", format!("{post}content-length: 2\r\ncontent-length: 2\r\n\r\n"), "{}"),
        ("a signed length", format!("{post}content-length: +2\r\n\r\n"), "{}"),
        ("a negative length", format!("{post}content-length: -2\r\n\r\n"), "{}"),
        ("an unknown coding", format!("{post}transfer-encoding: gzip, chunked\r\n\r\n"), "0\r\n\r\n"),
        ("a folded line", format!("{get}x: a\r\n b\r\n\r\n"), ""),
        ("a space before the colon", format!("{get}x : a\r\n\r\n"), ""),
        ("NUL in a header", format!("{get}x: a\0b\r\n\r\n"), ""),
        ("no host", "GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n".to_owned(), ""),
        ("an empty host", "GET /healthz HTTP/1.1\r\nhost: \r\nconnection: close\r\n\r\n".to_owned(), ""),
        ("two hosts", format!("{get}host: evil.example\r\n\r\n"), ""),
        (
            "a host that is none",
            "GET /healthz HTTP/1.1\r\nhost: a b/c\r\nconnection: close\r\n\r\n".to_owned(),
            "",
        ),
        (
            "a host with a user",
            "GET /healthz HTTP/1.1\r\nhost: x@evil.example\r\nconnection: close\r\n\r\n".to_owned(),
            "",
        ),
        ("200 headers", format!("{get}{many}\r\n"), ""),
        ("500 KB of header", format!("{get}{big}\r\n"), ""),
        ("17 KiB of header", format!("{get}{medium}\r\n"), ""),
        ("garbage", "\u{1}\u{2}zq7canary\r\n\r\n".to_owned(), ""),
        ("a TLS hello", "\u{16}\u{3}\u{1}\u{2}\u{0}\u{1}\r\n\r\n".to_owned(), ""),
        ("HTTP/3.0", "GET /healthz HTTP/3.0\r\nhost: x\r\n\r\n".to_owned(), ""),
        (
            "CONNECT",
            "CONNECT evil.example:443 HTTP/1.1\r\nhost: evil.example:443\r\nconnection: close\r\n\r\n"
                .to_owned(),
            "",
        ),
        ("OPTIONS *", "OPTIONS * HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_owned(), ""),
    ];
    for (what, head, body) in refused {
        pair.check(what, &head, body.as_bytes(), Expect::Refused(&[400, 404, 405, 431, 501, 505])).await;
    }
    let absolute =
        "GET http://evil.example/healthz HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n";
    let verdict = pair.check("an absolute target", absolute, b"", Expect::Alike).await;
    assert_eq!(verdict.status, 200, "a foreign authority decides nothing");
    // Who speaks HTTP/2 could not read an answer.
    let preface = pair.sqlite.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"").await;
    assert!(preface.is_none_or(|answer| answer.status == 400));
    pair.assert_alive().await;
}

/// The configured URL decides what a join string says, never what a request claims (SECURITY B9).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b09_a_foreign_host_or_proxy_header_changes_no_link() {
    let pair = Pair::start().await;
    for target in [&pair.sqlite, &pair.postgres] {
        let minting = |host: &str| {
            format!(
                "POST /v1/enrolment-tokens HTTP/1.1\r\nhost: {host}\r\nx-forwarded-host: evil.example\r\n\
                 x-forwarded-for: 203.0.113.9\r\nforwarded: for=203.0.113.9;host=evil.example\r\n\
                 authorization: Bearer {{owner_token}}\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\
                 connection: close\r\n\r\n{{}}"
            )
        };
        // A web page may make a browser send a foreign name to loopback, but not choose another.
        let rebound = target.send(&minting("evil.example"), b"").await.unwrap();
        assert_eq!(rebound.status, 400, "{}", String::from_utf8_lossy(&rebound.body));
        let direct = target.send(&minting("{authority}"), b"").await.unwrap();
        let inside = dialer(&target.installation.pins)
            .connect(&target.installation.server.machines_url())
            .await
            .unwrap();
        let request = target.fill(&minting("evil.example"));
        let over_tls = bytewise::ask_over(inside, request.as_bytes()).await.unwrap().unwrap();
        for answer in [direct, over_tls] {
            assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
            let minted: MintedTicket = serde_json::from_slice(&answer.body).unwrap();
            let join: JoinString = minted.join_string.parse().unwrap();
            assert!(join.urls.iter().all(|url| url.host_str() == Some("127.0.0.1")), "{:?}", join.urls);
            let id = minted.ticket.id.to_string();
            let entries = until("the audit trail is not sealed", Duration::from_secs(5), async || {
                let entries = target.installation.audit().await;
                entries.iter().any(|entry| entry.target == id).then_some(entries)
            })
            .await;
            let chosen = entries.iter().any(|entry| entry.source.contains("203.0.113.9"));
            assert!(!chosen, "a stranger chose their own address");
        }
    }
}
