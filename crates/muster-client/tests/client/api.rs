//! The operator API's requests and refusals.

use muster_client::api::{AuditFilter, HostFilter, PageRequest, collect};
use muster_client::{ApiError, DialError, OperatorClient};
use muster_wire::page::Order;
use muster_wire::ticket::CreateSiteKey;
use secrecy::SecretString;

use crate::peers::{Peer, answering, dialer, identity};

fn client(server: &Peer) -> OperatorClient {
    let token = Some(SecretString::from("mso_canary".to_owned()));
    OperatorClient::new(dialer(&[identity().1]), server.url("http"), token, None)
}

#[tokio::test]
async fn json_goes_out_and_comes_back() {
    let server = answering("HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\n{\"a\":1}", None).await;
    let client = client(&server);
    let answer: serde_json::Value =
        client.post("/v1/things", &serde_json::json!({"b": 2})).await.expect("answer");
    assert_eq!(answer, serde_json::json!({"a": 1}));
    let _: serde_json::Value = client.post_once("/v1/things", &(), "key-1").await.expect("answer");
    let text = server.text();
    assert!(text.starts_with("POST /v1/things HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("authorization: Bearer mso_canary\r\n"), "{text}");
    assert!(text.contains("content-type: application/json\r\n"), "{text}");
    assert!(text.contains("idempotency-key: key-1\r\n"), "{text}");
    assert!(!format!("{client:?}").contains("canary"), "{client:?}");
    assert!(!text.contains("muster-team"), "{text}");
}

#[tokio::test]
async fn a_chosen_team_is_named_with_every_call() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"items\":[]}", None).await;
    let team_id = "team_0192f0c1a2b37c4d8e5f60718293a4b5".parse().expect("an id");
    let client = client(&server).in_team(team_id);
    assert!(client.sites(&PageRequest::first()).await.expect("a page").items.is_empty());
    let text = server.text();
    assert!(text.starts_with("GET /v1/sites?limit=200 HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("muster-team: team_0192f0c1a2b37c4d8e5f60718293a4b5\r\n"), "{text}");
}

#[tokio::test]
async fn the_newest_of_the_audit_trail_are_asked_for_and_not_looked_for() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"items\":[]}", None).await;
    let (client, filter) = (client(&server), AuditFilter::default());
    let newest = collect(Some(50), async |page| client.audit(&filter, Order::Desc, &page).await);
    assert!(newest.await.expect("a page").items.is_empty());
    client.audit(&filter, Order::Asc, &PageRequest::first()).await.expect("a page");
    let text = server.text();
    assert!(text.starts_with("GET /v1/audit?order=desc&limit=50 HTTP/1.1\r\n"), "{text}");
    assert!(text.contains("GET /v1/audit?limit=200 HTTP/1.1\r\n"), "{text}");
}

#[tokio::test]
async fn what_is_said_beside_a_saved_view_wins_over_it() {
    let server = answering("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{\"items\":[]}", None).await;
    let client = client(&server);
    let view = Some("q=a%26b&held=false&seen_before=7d&tag=web".to_owned());
    let alone = HostFilter { view: view.clone(), ..HostFilter::default() };
    client.hosts(&alone, &PageRequest::first()).await.expect("a page");
    let narrowed = HostFilter { held: Some(true), door: Some(3), tag: "db".parse().ok(), ..alone };
    client.hosts(&narrowed, &PageRequest::default()).await.expect("a page");
    let text = server.text();
    assert!(
        text.starts_with("GET /v1/hosts?q=a%26b&held=false&seen_before=7d&tag=web&limit=200 HTTP/1.1\r\n"),
        "{text}"
    );
    assert!(
        text.contains("GET /v1/hosts?q=a%26b&seen_before=7d&tag=db&door=3&held=true HTTP/1.1\r\n"),
        "{text}"
    );
}

#[tokio::test]
async fn an_empty_success_is_unit() {
    let server = answering("HTTP/1.1 204 No Content\r\n\r\n", None).await;
    client(&server).delete::<()>("/v1/things/1").await.expect("deleted");
    let error = client(&server).get::<Vec<u8>>("/v1/things").await.expect_err("no list");
    assert!(matches!(error, ApiError::Answer(_)), "{error:?}");
}

#[tokio::test]
async fn a_problem_is_told_in_its_own_words() {
    let body = r#"{"type":"urn:muster:problem:validation","title":"Unprocessable Content","status":422,"detail":"the request has fields that do not hold","instance":"urn:muster:req_1","code":"validation","errors":[{"pointer":"/name","code":"too_long"}],"hint":1}"#;
    let head = format!(
        "HTTP/1.1 422 Unprocessable Content\r\nRetry-After: 7\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let server = answering(format!("{head}{body}"), None).await;
    let error = client(&server).get::<()>("/v1/things").await.expect_err("refused");
    assert_eq!((error.code(), error.status().map(|s| s.as_u16())), (Some("validation"), Some(422)));
    let words = "the request has fields that do not hold (/name too_long) [validation, urn:muster:req_1]";
    assert_eq!(error.to_string(), words);
    let ApiError::Refused { problem: Some(problem), retry_after_secs, .. } = error else {
        panic!("a problem")
    };
    assert_eq!((problem.extensions["hint"].as_u64(), retry_after_secs), (Some(1), Some(7)));

    let server = answering("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 6\r\n\r\n<html>", None).await;
    let error = client(&server).get::<()>("/v1/things").await.expect_err("gateway");
    assert!(error.to_string().contains("502"), "{error}");
}

#[tokio::test]
async fn a_lost_reply_of_a_minting_call_is_asked_for_once_more_with_the_same_key() {
    let server = answering("HTTP/1.1 201 Created\r\nContent-Length: 999\r\n\r\n{", None).await;
    let key = CreateSiteKey {
        site_id: "site_0192f0c1a2b37c4d8e5f60718293a4b5".parse().expect("an id"),
        expires_in_secs: None,
        max_uses: None,
        ephemeral_hours: None,
        require_key: false,
    };
    let error = client(&server).create_site_key(&key).await.expect_err("cut off twice");
    assert!(matches!(error, ApiError::Dial(DialError::Broken { .. })), "{error:?}");
    let text = server.text();
    let keys: Vec<&str> = text.lines().filter(|line| line.starts_with("idempotency-key: ")).collect();
    assert_eq!(keys.len(), 2, "{text}");
    assert_eq!(keys[0], keys[1]);
}
