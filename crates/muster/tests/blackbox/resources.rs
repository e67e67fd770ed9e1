//! What a stranger may cost: idle and dripping sockets (SECURITY B13, C13, C21).

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_client::Stream;
use muster_testkit::http as bytewise;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::harness::{Backend, Installation, Server, dialer};

const SOCKETS: usize = 50;
const CLOSED_WITHIN: Duration = Duration::from_secs(13);
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// Sends `bytes` at once and then `drip` once a second; returns how long the server kept the socket.
async fn hold<S: AsyncRead + AsyncWrite + Unpin>(
    mut socket: S,
    bytes: Vec<u8>,
    drip: Option<u8>,
) -> Duration {
    let started = Instant::now();
    let _ = socket.write_all(&bytes).await;
    let _ = socket.flush().await;
    let mut answer = [0; 4096];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(1), socket.read(&mut answer)).await;
        match read {
            Ok(Ok(0) | Err(_)) => return started.elapsed(),
            // An answer; the end follows.
            Ok(Ok(_)) => {}
            Err(_) if started.elapsed() > CLOSED_WITHIN * 2 => return started.elapsed(),
            Err(_) => {
                if let Some(byte) = drip {
                    let _ = socket.write_all(&[byte]).await;
                    let _ = socket.flush().await;
                }
            }
        }
    }
}

async fn plain(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

fn slow_body() -> Vec<u8> {
    b"POST /v1/enroll HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 16000\r\n\r\n{"
        .to_vec()
}

fn slow_head() -> Vec<u8> {
    b"GET /healthz HTTP/1.1\r\nhost: x\r\nx-slow: ".to_vec()
}

/// A TLS record that never ends: handshake, version, 512 bytes to come.
fn slow_hello() -> Vec<u8> {
    vec![0x16, 0x03, 0x01, 0x02, 0x00]
}

/// Asks every half second; returns the slowest answer.
async fn slowest_answer(server: &Server, span: Duration) -> Duration {
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", server.operators);
    let started = Instant::now();
    let mut slowest = Duration::ZERO;
    while started.elapsed() < span {
        let asked = started.elapsed();
        let answer =
            bytewise::ask(server.operators, request.as_bytes(), Duration::from_secs(10)).await.unwrap();
        assert_eq!(answer.map(|answer| answer.status), Some(200));
        slowest = slowest.max(started.elapsed() - asked);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    slowest
}

/// Slow: it waits for the server's deadlines.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b13_idle_and_dripping_sockets_are_closed_while_others_are_answered() {
    let installation = Installation::start(Backend::Sqlite).await;
    let server = &installation.server;
    let tls = dialer(&installation.pins);
    let url = server.machines_url();
    let inside = || async { tls.connect(&url).await.unwrap() };
    let mut held: Vec<futures_util::future::BoxFuture<'_, (&str, Duration)>> = Vec::new();
    for _ in 0..SOCKETS {
        held.push(Box::pin(async {
            ("plain, idle", hold(plain(server.operators).await, vec![], None).await)
        }));
        held.push(Box::pin(async {
            ("plain, head drips", hold(plain(server.operators).await, slow_head(), Some(b'x')).await)
        }));
        held.push(Box::pin(async {
            ("plain, body drips", hold(plain(server.operators).await, slow_body(), Some(b' ')).await)
        }));
        held.push(Box::pin(async {
            ("machines, idle before TLS", hold(plain(server.machines).await, vec![], None).await)
        }));
        held.push(Box::pin(async {
            ("machines, hello drips", hold(plain(server.machines).await, slow_hello(), Some(0)).await)
        }));
        held.push(Box::pin(async {
            let stream: Stream = inside().await;
            ("machines, head drips inside TLS", hold(stream, slow_head(), Some(b'x')).await)
        }));
    }
    let (held, slowest) = tokio::join!(join_all(held), slowest_answer(server, Duration::from_secs(12)));
    for (kind, span) in held {
        assert!(span <= CLOSED_WITHIN, "{kind}: open for {span:?}");
    }
    assert!(slowest < ANSWERS_WITHIN, "a real request took {slowest:?}");
    assert_eq!(server.ask(Method::GET, "/healthz", None, None).await.status, 200);
    assert_eq!(installation.machine("real").enrol(&installation.site_key.token).await.unwrap().status, 201);
}
