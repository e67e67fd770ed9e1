//! Requests against local receivers that answer well, badly, slowly or not at all.
#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use muster_outbound::{Allowed, Options, Outbound, OutboundError, Unreachable};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

struct Receiver {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Receiver {
    /// Answers every connection with `head`, then `chunk` again and again, `every` so often, `times` times.
    async fn start(head: String, chunk: &'static [u8], times: usize, every: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, Ordering::SeqCst);
                let head = head.clone();
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = stream.read(&mut request).await;
                    stream.write_all(head.as_bytes()).await?;
                    for _ in 0..times {
                        stream.write_all(chunk).await?;
                        tokio::time::sleep(every).await;
                    }
                    Ok::<_, std::io::Error>(())
                });
            }
        });
        Self { address, connections }
    }

    async fn plain(head: &str) -> Self {
        Self::start(head.to_owned(), b"", 0, Duration::ZERO).await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?token=s3cret", self.address)
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn here() -> Allowed {
    Allowed::networks(&["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()])
}

fn to(url: &str) -> Request<Bytes> {
    Request::post(url).body(Bytes::from_static(b"{}")).unwrap()
}

fn hurried() -> Outbound {
    Outbound::new(Options { deadline: Duration::from_millis(300), ..Options::default() })
}

#[tokio::test]
async fn an_answer_comes_whole() {
    let head = "HTTP/1.1 202 Accepted\r\nx-receiver: yes\r\ncontent-length: 5\r\n\r\nhello";
    let receiver = Receiver::plain(head).await;
    let answer = Outbound::default().send(to(&receiver.url()), &here()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (StatusCode::ACCEPTED, &b"hello"[..]));
    assert_eq!(answer.headers["x-receiver"], "yes");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let inner = Receiver::plain("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    for status in [301, 302, 303, 307, 308] {
        let head =
            format!("HTTP/1.1 {status} Moved\r\nlocation: {}\r\ncontent-length: 0\r\n\r\n", inner.url());
        let receiver = Receiver::plain(&head).await;
        let answer = Outbound::default().send(to(&receiver.url()), &here()).await.unwrap();
        assert_eq!(answer.status.as_u16(), status);
    }
    assert_eq!(inner.connections(), 0);
}

#[tokio::test]
async fn an_endless_body_is_left_at_the_limit() {
    let head = "HTTP/1.1 200 OK\r\n\r\n".to_owned();
    let receiver = Receiver::start(head, &[b'a'; 8192], usize::MAX, Duration::ZERO).await;
    match Outbound::default().send(to(&receiver.url()), &here()).await {
        Err(OutboundError::TooLarge { status, limit: 65536, .. }) => assert_eq!(status, StatusCode::OK),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_body_of_the_limit_is_taken_and_the_limit_has_an_end() {
    let head = "HTTP/1.1 200 OK\r\ncontent-length: 65536\r\n\r\n".to_owned();
    let receiver = Receiver::start(head, &[b'a'; 8192], 8, Duration::ZERO).await;
    let answer = Outbound::default().send(to(&receiver.url()), &here()).await.unwrap();
    assert_eq!(answer.body.len(), 65536);
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", 1024 * 1024 + 1);
    let receiver = Receiver::start(head, &[b'a'; 8192], 129, Duration::ZERO).await;
    let greedy = Outbound::default().with_body_limit(usize::MAX);
    let answer = greedy.send(to(&receiver.url()), &here()).await;
    assert!(matches!(answer, Err(OutboundError::TooLarge { limit: 1_048_576, .. })), "{answer:?}");
}

#[tokio::test]
async fn the_deadline_stands_over_a_slow_body_and_over_silence() {
    let slow = "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n".to_owned();
    let receiver = Receiver::start(slow, b"a", 1000, Duration::from_millis(50)).await;
    let answer = hurried().send(to(&receiver.url()), &here()).await;
    assert!(matches!(answer, Err(OutboundError::TimedOut { .. })), "{answer:?}");
    let silent = Receiver::start(String::new(), b"", usize::MAX, Duration::from_secs(1)).await;
    let answer = hurried().send(to(&silent.url()), &here()).await;
    assert!(matches!(answer, Err(OutboundError::TimedOut { .. })), "{answer:?}");
}

#[tokio::test]
async fn what_is_not_http_or_has_a_huge_head_is_broken() {
    let huge = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "a".repeat(64 * 1024));
    for head in ["SSH-2.0-OpenSSH\r\n\r\n", "", &huge] {
        let receiver = Receiver::plain(head).await;
        let answer = Outbound::default().send(to(&receiver.url()), &here()).await;
        assert!(matches!(answer, Err(OutboundError::Broken { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn this_machine_is_refused_by_address_and_by_name_before_anything_is_sent() {
    let receiver = Receiver::plain("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "localhost", "LocalHost.", "[::1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]"] {
        let answer =
            Outbound::default().send(to(&format!("http://{host}:{port}/")), &Allowed::public_only()).await;
        match answer {
            Err(OutboundError::Refused { why, .. }) => assert_eq!(why, Unreachable::Loopback, "{host}"),
            other => panic!("{host}: {other:?}"),
        }
    }
    for host in ["0x7f.1", "2130706433", "127.1", "u:p@127.0.0.1"] {
        let Ok(request) = Request::post(format!("http://{host}:{port}/")).body(Bytes::new()) else {
            continue;
        };
        let answer = Outbound::default().send(request, &here()).await;
        assert!(matches!(answer, Err(OutboundError::Url { .. })), "{host}: {answer:?}");
    }
    let unspecified = to(&format!("http://0.0.0.0:{port}/"));
    let answer = Outbound::default().send(unspecified, &Allowed::public_only()).await;
    assert!(matches!(answer, Err(OutboundError::Refused { .. })), "{answer:?}");
    assert_eq!(receiver.connections(), 0);
}

#[tokio::test]
async fn a_name_of_this_machine_is_reached_when_its_network_is_listed() {
    let receiver = Receiver::plain("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let url = format!("http://localhost:{}/", receiver.address.port());
    let answer = Outbound::default().send(to(&url), &here()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK);
    let resolved = Outbound::default().resolve_checked("localhost", 25, &here()).await.unwrap();
    assert!(resolved.iter().all(|address| address.ip().is_loopback() && address.port() == 25));
    let refused = Outbound::default().resolve_checked("localhost", 25, &Allowed::public_only()).await;
    assert!(matches!(refused, Err(OutboundError::Refused { .. })));
}

#[tokio::test]
async fn errors_repeat_neither_path_nor_query() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let url = format!("http://{free}/T0/B0/s3cret?token=s3cret");
    let failed = Outbound::default().send(to(&url), &here()).await.unwrap_err();
    assert!(matches!(failed, OutboundError::Connect { .. }), "{failed:?}");
    assert!(!format!("{failed} {failed:?}").contains("s3cret"));
}

#[tokio::test]
async fn tls_proves_the_name_with_the_certificates_that_are_trusted() {
    let issued = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(issued.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![issued.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
            let _ = stream.shutdown().await;
        }
    });
    let trusting =
        Outbound::new(Options { extra_roots: vec![issued.cert.der().clone()], ..Options::default() });
    let named = format!("https://localhost:{port}/");
    assert_eq!(trusting.send(to(&named), &here()).await.unwrap().status, StatusCode::NO_CONTENT);
    let misnamed = trusting.send(to(&format!("https://127.0.0.1:{port}/")), &here()).await;
    assert!(matches!(misnamed, Err(OutboundError::Tls { .. })), "{misnamed:?}");
    let unknown = Outbound::default().send(to(&named), &here()).await;
    let is_refused = matches!(unknown, Err(OutboundError::Tls { .. } | OutboundError::TrustStore(_)));
    assert!(is_refused, "{unknown:?}");
}
