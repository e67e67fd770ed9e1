//! JSON bodies, paths and queries at the wire.

use crate::server::{Answer, get_path, post_json, raw, short, start};

const JSON: &str = "Content-Type: application/json\r\n";

#[tokio::test]
async fn a_good_body_is_answered() {
    let server = start(short()).await;
    let answer = post_json(server.address, "/things", JSON, b"{\"name\":\"a\"}").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "{\"name\":\"a\"}"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let answer = post_json(server.address, "/raw", JSON, b"{ \"name\":\"a\" }").await;
    assert_eq!((answer.status, answer.body.as_str()), (201, "[14,\"a\"]"));
}

#[tokio::test]
async fn other_media_types_and_compressed_bodies_are_415() {
    let server = start(short()).await;
    for headers in [
        "",
        "Content-Type: text/plain\r\n",
        "Content-Type: application/x-www-form-urlencoded\r\n",
        "Content-Type: application/json; charset=utf-16\r\n",
        "Content-Type: application/json\r\nContent-Type: application/json\r\n",
        "Content-Type: application/json\r\nContent-Encoding: gzip\r\n",
    ] {
        let answer = post_json(server.address, "/things", headers, b"{\"name\":\"a\"}").await;
        answer.problem(415, "unsupported_media_type");
    }
}

#[tokio::test]
async fn a_large_body_is_413_before_it_is_read() {
    let server = start(short()).await;
    let announced = "POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nContent-Length: 2147483648\r\n\r\n{";
    raw(server.address, announced).await.problem(413, "body_too_large");
    let body = format!("{{\"name\":\"{}\"}}", "a".repeat(1024));
    post_json(server.address, "/things", JSON, body.as_bytes()).await.problem(413, "body_too_large");

    let exact = format!("{{\"name\":\"{}\"}}", "a".repeat(1024 - 11));
    assert_eq!(exact.len(), 1024);
    assert_eq!(post_json(server.address, "/things", JSON, exact.as_bytes()).await.status, 200);
}

#[tokio::test]
async fn an_endless_chunked_body_is_413() {
    let server = start(short()).await;
    let head = "POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 512, "a".repeat(512));
    let answer = raw(server.address, format!("{head}{}", chunk.repeat(400))).await;
    answer.problem(413, "body_too_large");
}

#[tokio::test]
async fn broken_json_is_400_and_wrong_fields_are_422_without_an_echo() {
    let server = start(short()).await;
    let answer = post_json(server.address, "/things", JSON, b"{\"name\":").await;
    answer.problem(400, "malformed_json");
    let answer = post_json(server.address, "/things", JSON, b"{\"<canary>\":\"canary\"}").await;
    let document = answer.problem(422, "validation");
    assert_eq!(document["errors"], serde_json::json!([{"pointer": "", "code": "unknown_field"}]));
    assert!(!answer.body.contains("canary"), "{}", answer.body);
}

#[tokio::test]
async fn bad_ids_are_400_and_unknown_paths_404() {
    let server = start(short()).await;
    for id in ["x", "..%2f..", "%00", "%ff", "host_0", "%2e%2e", &"a".repeat(2000)] {
        let answer = get_path(server.address, &format!("/hosts/{id}")).await;
        answer.problem(400, "invalid_path");
    }
    let good = format!("/hosts/host_{}", "0".repeat(32));
    assert_eq!(get_path(server.address, &good).await.status, 200);
    for path in ["/", "/absent", "//ok", "/ok/", "/OK", "/ok%2f", "/ok;x", "/ok%00", "/../ok", "/%ff"] {
        get_path(server.address, path).await.problem(404, "not_found");
    }
}

#[tokio::test]
async fn bad_queries_are_400() {
    let server = start(short()).await;
    for query in ["limit=-1", "limit=256", "limit=1&limit=1", "other=1", "limit=%ff"] {
        get_path(server.address, &format!("/page?{query}")).await.problem(400, "invalid_query");
    }
    assert_eq!(get_path(server.address, "/page?limit=3").await.body, "3");
}

#[tokio::test]
async fn wrong_methods_are_405_with_allow() {
    let server = start(short()).await;
    for method in ["POST", "PUT", "DELETE", "TRACE", "PROPFIND", "EVIL"] {
        let request =
            format!("{method} /ok HTTP/1.1\r\nHost: m\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
        let answer = raw(server.address, request).await;
        answer.problem(405, "method_not_allowed");
        assert_eq!(answer.header("allow"), Some("get,head"), "{method}");
    }
    let connect = raw(server.address, "CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n").await;
    connect.problem(405, "method_not_allowed");
    let head = raw(server.address, "HEAD /ok HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await;
    assert_eq!((head.status, head.body.as_str()), (200, ""));
}

#[tokio::test]
async fn failures_inside_are_one_fixed_500() {
    let server = start(short()).await;
    for path in ["/panic", "/broken"] {
        let answer: Answer = get_path(server.address, path).await;
        answer.problem(500, "internal");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
    assert_eq!(get_path(server.address, "/ok").await.status, 200);
}

#[tokio::test]
async fn a_refused_upgrade_is_a_problem() {
    let server = start(short()).await;
    get_path(server.address, "/ws").await.problem(400, "bad_request");
    let old = "GET /ws HTTP/1.1\r\nHost: m\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
               Sec-WebSocket-Version: 12\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let answer = raw(server.address, old).await;
    assert_eq!(answer.header("content-type"), Some("application/problem+json; charset=utf-8"), "{answer:?}");
    assert!((400..500).contains(&answer.status));
}
