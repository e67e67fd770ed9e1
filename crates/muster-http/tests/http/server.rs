//! A small server of every kind of route, and a client that writes raw bytes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::WebSocketUpgrade;
use axum::routing::{get, post};
use muster_edge::{Clock, Entropy};
use muster_http::{
    ClientAddress, CurrentRequest, Edge, Limits, ListenerKind, Problem, RawJson, Reply, Server, StrictJson,
    StrictPath, StrictQuery, protect, serve,
};
use muster_ids::HostId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Thing {
    name: String,
}

#[derive(Debug, Deserialize)]
struct ById {
    id: HostId,
}

#[derive(Debug, Deserialize)]
struct Page {
    limit: Option<u8>,
}

pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

/// Limits short enough for a test to wait them out.
pub(crate) fn short() -> Limits {
    Limits {
        max_connections: 8,
        handshake_within: Duration::from_millis(300),
        head_within: Duration::from_millis(300),
        body_within: Duration::from_millis(300),
        stall_within: Duration::from_millis(300),
        drain_within: Duration::from_millis(600),
        ..Limits::default()
    }
}

pub(crate) fn router() -> Router {
    Router::new()
        .route("/ok", get(async || Reply::<_>::new("ok")))
        .route("/things", post(async |StrictJson(thing): StrictJson<Thing, 1024>| Reply::<_>::new(thing)))
        .route(
            "/raw",
            post(async |raw: RawJson<Thing, 1024>| {
                raw.parse().map(|thing: Thing| Reply::<_, 201>::new((raw.bytes().len(), thing.name)))
            }),
        )
        .route("/hosts/{id}", get(async |StrictPath(path): StrictPath<ById>| path.id.to_string()))
        .route("/page", get(async |StrictQuery(page): StrictQuery<Page>| Reply::<_>::new(page.limit)))
        .route("/client", get(async |address: ClientAddress| address.to_string()))
        .route("/id", get(async |id: CurrentRequest| id.0.map(|id| id.to_string()).unwrap_or_default()))
        .route("/uri", get(async |uri: axum::http::Uri| uri.to_string()))
        .route("/panic", get(async || -> &'static str { panic!("secret inside") }))
        .route("/broken", get(async || Problem::internal("secret inside")))
        .route("/page.html", get(async || ([("content-security-policy", "default-src 'self'")], "<p>")))
        .route(
            "/slow",
            get(async || {
                tokio::time::sleep(Duration::from_millis(200)).await;
                "slow"
            }),
        )
        .route("/big", get(async || vec![b'x'; 64 * 1024 * 1024]))
        .route(
            "/ws",
            get(async |upgrade: WebSocketUpgrade| {
                upgrade.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
            }),
        )
}

pub(crate) async fn start(limits: Limits) -> Running {
    start_with(limits, None).await
}

pub(crate) async fn start_with(limits: Limits, tls: Option<TlsAcceptor>) -> Running {
    start_as(ListenerKind::Machines, limits, tls).await
}

pub(crate) async fn start_as(kind: ListenerKind, limits: Limits, tls: Option<TlsAcceptor>) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let edge = Edge::new(Clock::system(), Entropy);
    let app = protect(router(), edge.clone());
    let shutdown = CancellationToken::new();
    let server = Server { kind, app, tls, limits, edge };
    let task = tokio::spawn(serve(listener, server, shutdown.clone()));
    Running { address, shutdown, task }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|digits| digits.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let prefix = format!("{name}: ");
        self.head.lines().find_map(|line| line.strip_prefix(prefix.as_str()))
    }

    /// Expects a complete problem of this status and code, and returns its document.
    pub(crate) fn problem(&self, status: u16, code: &str) -> serde_json::Value {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/problem+json; charset=utf-8"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        let document: serde_json::Value = serde_json::from_str(&self.body).expect("the body is JSON");
        assert_eq!(document["status"], status, "{document}");
        assert_eq!(document["code"], code, "{document}");
        assert_eq!(document["type"], format!("urn:muster:problem:{code}"), "{document}");
        let id = self.header("x-request-id").expect("a request id");
        assert_eq!(document["instance"], format!("urn:muster:{id}"), "{document}");
        assert!(id.starts_with("req_"), "{id}");
        document
    }
}

/// Writes `request` as it is and reads until the server closes.
pub(crate) async fn raw(address: SocketAddr, request: impl AsRef<[u8]>) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("connect");
    // A refused upload may be reset while it is written; what matters is the answer.
    let _ = stream.write_all(request.as_ref()).await;
    Answer::parse(&drain(&mut stream).await)
}

/// Reads until the server closes; panics if it does not.
pub(crate) async fn drain(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let read = async {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk).await {
            bytes.extend_from_slice(&chunk[..count]);
        }
    };
    tokio::time::timeout(Duration::from_secs(5), read).await.expect("the server closes the connection");
    String::from_utf8_lossy(&bytes).into_owned()
}

pub(crate) async fn get_path(address: SocketAddr, path: &str) -> Answer {
    raw(address, format!("GET {path} HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n\r\n")).await
}

pub(crate) async fn post_json(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: muster\r\nConnection: close\r\n{headers}Content-Length: {}\r\n\r\n",
        body.len()
    );
    raw(address, [head.as_bytes(), body].concat()).await
}
