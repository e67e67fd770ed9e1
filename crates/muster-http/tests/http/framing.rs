//! Heads that hyper refuses by itself, and heads that two readers would frame differently.

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::server::{Answer, drain, raw, short, start};

#[tokio::test]
async fn heads_that_do_not_parse_are_400_problems() {
    let server = start(short()).await;
    for head in [
        "\x01\x02garbage\r\n\r\n",
        "GET  /ok HTTP/1.1\r\nHost: m\r\n\r\n",
        "GET /ok HTTP/3.0\r\nHost: m\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: m\r\nContent-Length: +5\r\n\r\nhello",
        "GET /ok HTTP/1.1\r\nHost: m\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nhello",
        "GET /ok HTTP/1.1\r\nHost: m\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: m\r\nX: a\r\n b\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost : m\r\n\r\n",
        "GET /ok HTTP/1.1\r\nHost: m\r\nX: a\0b\r\n\r\n",
    ] {
        let answer = raw(server.address, head).await;
        answer.problem(400, "bad_request");
        assert_eq!(answer.header("connection"), Some("close"), "{head:?}");
        let length: usize = answer.header("content-length").expect("length").parse().expect("number");
        assert_eq!(length, answer.body.len());
    }
}

#[tokio::test]
async fn large_heads_are_431_problems() {
    let server = start(short()).await;
    let long = format!("GET /ok HTTP/1.1\r\nHost: m\r\nX: {}\r\n\r\n", "a".repeat(17 * 1024));
    raw(server.address, long).await.problem(431, "headers_too_large");
    let endless = format!("GET /ok HTTP/1.1\r\nHost: m\r\n{}", "X: aaaaaaaaaaaaaaaa\r\n".repeat(50_000));
    raw(server.address, endless).await.problem(431, "headers_too_large");
    let many = format!("GET /ok HTTP/1.1\r\nHost: m\r\n{}\r\n", "X: a\r\n".repeat(200));
    raw(server.address, many).await.problem(431, "headers_too_large");
    let fits =
        format!("GET /ok HTTP/1.1\r\nHost: m\r\nConnection: close\r\nX: {}\r\n\r\n", "a".repeat(12 * 1024));
    assert_eq!(raw(server.address, fits).await.status, 200);
}

#[tokio::test]
async fn a_length_said_twice_is_refused() {
    let server = start(short()).await;
    for lengths in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
    ] {
        let body = "0\r\n\r\nGET /ok HTTP/1.1\r\nHost: smuggled\r\n\r\n";
        let head =
            format!("POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\n{lengths}\r\n");
        let mut stream = TcpStream::connect(server.address).await.expect("connect");
        stream.write_all(format!("{head}{body}").as_bytes()).await.expect("write");
        let text = drain(&mut stream).await;
        assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "nothing is smuggled: {text}");
        let answer = Answer::parse(&text);
        answer.problem(400, "ambiguous_framing");
        assert_eq!(answer.header("connection"), Some("close"));
    }
}

#[tokio::test]
async fn a_kept_alive_connection_answers_after_a_problem() {
    let server = start(short()).await;
    let absent = "GET /absent HTTP/1.1\r\nHost: m\r\n\r\n";
    let chunked = "POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nc\r\n{\"name\":\"a\"}\r\n0\r\n\r\n";
    let sized = "POST /things HTTP/1.1\r\nHost: m\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{\"name\":\"b\"}";
    let mut stream = TcpStream::connect(server.address).await.expect("connect");
    for request in [absent, chunked, sized, "garbage\r\n\r\n"] {
        stream.write_all(request.as_bytes()).await.expect("write");
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
    }
    let text = drain(&mut stream).await;
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["404", "200", "200", "400"], "{text}");
    assert!(text.ends_with('}'), "the last answer is whole: {text}");
}
