//! The WebSocket: refusals come back whole, frames are bounded.

use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderValue};
use muster_client::{DialError, MESSAGE_LIMIT, WsDialError};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::peers::{answering, dialer, identity};

fn credential() -> HeaderMap {
    HeaderMap::from_iter([(http::header::AUTHORIZATION, HeaderValue::from_static("Bearer canary"))])
}

#[tokio::test]
async fn messages_go_both_ways_and_large_ones_are_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let url = format!("ws://{}/v1/agent/connect?a=1", listener.local_addr().expect("address"));
    let (tls, pin) = identity();
    let secure = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let secure_url = format!("wss://{}/v1/agent/connect", secure.local_addr().expect("address"));
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            echo(tcp).await;
        }
    });
    tokio::spawn(async move {
        while let Ok((tcp, _)) = secure.accept().await {
            echo(tls.accept(tcp).await.expect("handshake")).await;
        }
    });
    for url in [url, secure_url] {
        let dialer = dialer(std::slice::from_ref(&pin));
        let mut socket = dialer.websocket(&url.parse().expect("url"), credential()).await.expect("open");
        // The server speaks first, in the same packet as its 101.
        assert_eq!(socket.next().await.expect("frame").expect("frame"), Message::text("challenge"));
        socket.send(Message::text("hello")).await.expect("sent");
        assert_eq!(socket.next().await.expect("frame").expect("frame"), Message::text("hello"));
        socket.send(Message::text("grow")).await.expect("sent");
        assert!(socket.next().await.expect("frame").is_err(), "a message over the limit ends the channel");
    }
}

async fn echo(stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin) {
    let config = WebSocketConfig::default().write_buffer_size(64 * 1024);
    let mut socket =
        tokio_tungstenite::accept_async_with_config(stream, Some(config)).await.expect("upgrade");
    socket.send(Message::text("challenge")).await.expect("sent");
    while let Some(Ok(message)) = socket.next().await {
        let is_grow = message == Message::text("grow");
        let reply = if is_grow { Message::text("a".repeat(MESSAGE_LIMIT + 1)) } else { message };
        if socket.send(reply).await.is_err() || is_grow {
            return;
        }
    }
}

#[tokio::test]
async fn a_refusal_comes_back_whole() {
    let body = format!("{{\"code\":\"key_revoked\",\"revoked\":\"{}\"}}", "a".repeat(20_000));
    let answer =
        format!("HTTP/1.1 401 Unauthorized\r\nDPoP-Nonce: n\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let (tls, pin) = identity();
    let server = answering(answer, Some(tls)).await;
    let refused = dialer(&[pin]).websocket(&server.url("wss"), credential()).await.expect_err("refused");
    let WsDialError::Refused(response) = refused else { panic!("{refused:?}") };
    assert_eq!(response.status.as_u16(), 401);
    assert_eq!(response.headers["dpop-nonce"], "n");
    assert_eq!(response.body, body);
    let asked = server.text();
    assert!(
        asked.contains("authorization: Bearer canary\r\n") && asked.contains("upgrade: websocket\r\n"),
        "{asked}"
    );
}

#[tokio::test]
async fn what_is_not_a_websocket_is_not_taken_for_one() {
    let dialer = dialer(&[identity().1]);
    for answer in [
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
    ] {
        let server = answering(answer, None).await;
        let error = dialer.websocket(&server.url("ws"), credential()).await.expect_err(answer);
        assert!(matches!(error, WsDialError::NotWebSocket { .. }), "{answer}: {error:?}");
    }
    let redirect =
        answering("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", None)
            .await;
    let error = dialer.websocket(&redirect.url("ws"), credential()).await.expect_err("redirect");
    assert!(matches!(&error, WsDialError::Refused(response) if response.status.as_u16() == 302), "{error:?}");
    let error =
        dialer.websocket(&"ws://192.0.2.1/".parse().expect("url"), credential()).await.expect_err("plain");
    assert!(matches!(error, WsDialError::Dial(DialError::PlainHttp { .. })), "{error:?}");
}
