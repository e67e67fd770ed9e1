//! Answers that are missing, slow, too large, foreign or pointing elsewhere.

use bytes::Bytes;
use http::Request;
use muster_client::{DialError, RESPONSE_LIMIT};
use tokio::net::TcpListener;

use crate::peers::{answering, chain, dialer, identity};

fn request() -> Request<Bytes> {
    let builder = Request::post("http://ignored.example/v1/x?a=1").header("authorization", "Bearer canary");
    builder.body(Bytes::from_static(b"{}")).expect("request")
}

#[tokio::test]
async fn the_request_names_the_server_of_the_url_only() {
    let server = answering("HTTP/1.1 204 No Content\r\n\r\n", None).await;
    dialer(&[identity().1]).request(request(), &server.url("http")).await.expect("answer");
    let text = server.text();
    assert!(text.starts_with("POST /v1/x?a=1 HTTP/1.1\r\n"), "{text}");
    assert!(text.contains(&format!("host: {}\r\n", server.address)), "{text}");
    assert!(text.contains("connection: close\r\n") && text.contains("content-length: 2\r\n"), "{text}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_not_followed() {
    let elsewhere = answering("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", None).await;
    let redirect = format!(
        "HTTP/1.1 307 Temporary Redirect\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n",
        elsewhere.url("http")
    );
    let server = answering(redirect, None).await;
    let answer = dialer(&[identity().1]).request(request(), &server.url("http")).await.expect("answer");
    assert_eq!(answer.status.as_u16(), 307);
    assert_eq!(elsewhere.text(), "");
}

#[tokio::test]
async fn failures_say_cause_and_next_step() {
    let dialer = dialer(&[identity().1]);
    let free = TcpListener::bind("127.0.0.1:0").await.expect("bind").local_addr().expect("address");
    let url = format!("https://{free}").parse().expect("url");
    let error = dialer.request(request(), &url).await.expect_err("refused");
    assert!(matches!(error, DialError::Refused { .. }), "{error:?}");
    assert!(error.to_string().ends_with(&format!("is the server running at {free}?")), "{error}");

    let silent = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let silent = silent.local_addr().map(|address| (silent, address)).expect("address");
    let url = format!("https://{}", silent.1).parse().expect("url");
    let error = dialer.request(request(), &url).await.expect_err("silent");
    assert!(matches!(error, DialError::TimedOut { .. }), "{error:?}");

    let error =
        dialer.request(request(), &"https://muster.invalid".parse().expect("url")).await.expect_err("name");
    assert!(matches!(error, DialError::Resolve { .. } | DialError::TimedOut { .. }), "{error:?}");

    let plain = answering("HTTP/1.1 200 OK\r\n\r\n", None).await;
    let error = dialer.request(request(), &plain.url("https")).await.expect_err("no tls");
    assert!(matches!(error, DialError::Tls { .. } | DialError::TimedOut { .. }), "{error:?}");

    let ssh = answering("SSH-2.0-OpenSSH_9.2\r\n", None).await;
    let error = dialer.request(request(), &ssh.url("http")).await.expect_err("not http");
    assert!(matches!(error, DialError::NotHttp { .. }), "{error:?}");

    for url in ["ftp://127.0.0.1", "https://user:word@127.0.0.1", "unix:/run/x"] {
        let error = dialer.request(request(), &url.parse().expect("url")).await.expect_err(url);
        assert!(matches!(error, DialError::Url { .. }), "{error:?}");
        assert!(!chain(&error).contains("word"), "{error}");
    }
}

#[tokio::test]
async fn a_broken_or_endless_answer_is_an_error() {
    let dialer = dialer(&[identity().1]);
    let cut = answering("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", None).await;
    let error = dialer.request(request(), &cut.url("http")).await.expect_err("cut");
    assert!(matches!(error, DialError::Broken { .. }), "{error:?}");

    let length = RESPONSE_LIMIT + 1;
    let large = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}", "a".repeat(length));
    let large = answering(large, None).await;
    let error = dialer.request(request(), &large.url("http")).await.expect_err("large");
    assert!(matches!(error, DialError::TooLarge { .. }), "{error:?}");
}
