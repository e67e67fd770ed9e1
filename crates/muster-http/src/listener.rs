//! The accept loop: everything a connection may cost is bounded before a byte of it is read.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::connection::{GuardedStream, Place, ReplyBody, Signals};
use crate::edge::{self, Edge};
use crate::sources::Sources;
use crate::tls::CHALLENGE_PROTOCOL;
use crate::{BODY_WITHIN, ConnectInfo, ListenerKind};

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Open connections, upgraded ones included; one more is closed as it is accepted.
    pub max_connections: usize,
    /// Open connections of one IPv4 address or IPv6 /64; one more is closed as it is accepted.
    ///
    /// Upgraded ones do not count: a handler vouched for them, and thousands of machines may stand behind one
    /// address. What is left is requests, so that one source alone cannot hold all connections.
    pub max_per_source: usize,
    /// The same for an address of this machine or a trusted proxy. No limit by default: a proxy speaks for everybody,
    /// and a process on this machine has other ways to use it up.
    pub max_per_loopback: usize,
    /// Time for the TLS handshake.
    pub handshake_within: Duration,
    /// Time for a request head, and how long a kept-alive connection may idle between requests.
    pub head_within: Duration,
    /// Time for a request body.
    pub body_within: Duration,
    /// How long a peer may leave written bytes unread.
    pub stall_within: Duration,
    /// Time for requests in flight to finish at shutdown.
    pub drain_within: Duration,
    /// Largest request head, in bytes; 8 KiB at least.
    pub max_head_bytes: usize,
    /// Most header fields of a request.
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 20_000,
            max_per_source: 2048,
            max_per_loopback: usize::MAX,
            handshake_within: Duration::from_secs(10),
            head_within: Duration::from_secs(10),
            body_within: BODY_WITHIN,
            stall_within: Duration::from_secs(30),
            drain_within: Duration::from_secs(10),
            max_head_bytes: 16 * 1024,
            max_headers: 64,
        }
    }
}

/// One listener's side of the server.
#[derive(Clone)]
pub struct Server {
    /// Which face it is.
    pub kind: ListenerKind,
    /// The protected router; see [`protect`](crate::protect).
    pub app: Router,
    /// TLS, unless the listener is plain.
    pub tls: Option<TlsAcceptor>,
    /// What connections may cost.
    pub limits: Limits,
    /// Clock, randomness, proxies.
    pub edge: Edge,
}

struct Shared {
    server: Server,
    edge: Arc<Edge>,
    http: http1::Builder,
    shutdown: CancellationToken,
    abort: CancellationToken,
}

/// Accepts connections until `shutdown`, then lets requests in flight finish within the drain time.
///
/// Upgraded connections are their owners' to end; they count against the cap as long as they live.
pub async fn serve(listener: TcpListener, server: Server, shutdown: CancellationToken) {
    let places = Arc::new(Semaphore::new(server.limits.max_connections));
    let sources = Sources::new(
        server.limits.max_per_source,
        server.limits.max_per_loopback,
        Arc::clone(&server.edge.proxies),
    );
    let drain_within = server.limits.drain_within;
    let shared = Arc::new(Shared::new(server, shutdown.clone()));
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => match (Arc::clone(&places).try_acquire_owned(), sources.take(peer)) {
                (Ok(place), Some(at_source)) => {
                    let place = Place { _connection: place, at_source: Some(at_source) };
                    connections.spawn(converse(Arc::clone(&shared), stream, peer, place));
                }
                _ => tracing::debug!("closed a connection over a cap"),
            },
            Err(error) if is_of_one_peer(&error) => {}
            Err(error) => {
                // Out of descriptors or memory: existing connections go on and free some.
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    connections.close();
    if tokio::time::timeout(drain_within, connections.wait()).await.is_err() {
        shared.abort.cancel();
        connections.wait().await;
    }
}

fn is_of_one_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

async fn converse(shared: Arc<Shared>, stream: TcpStream, peer: SocketAddr, place: Place) {
    let _ = stream.set_nodelay(true);
    let Some(tls) = shared.server.tls.clone() else {
        return shared.speak(stream, peer, place).await;
    };
    let handshake = tokio::time::timeout(shared.server.limits.handshake_within, tls.accept(stream));
    let accepted = tokio::select! {
        accepted = handshake => accepted,
        () = shared.shutdown.cancelled() => return,
    };
    match accepted {
        // Whoever checked a name saw what it came for (RFC 8737, section 3).
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(CHALLENGE_PROTOCOL) => {}
        Ok(Ok(stream)) => shared.speak(stream, peer, place).await,
        Ok(Err(error)) => tracing::debug!(%error, "tls handshake failed"),
        Err(_) => tracing::debug!("tls handshake timed out"),
    }
}

impl Shared {
    fn new(server: Server, shutdown: CancellationToken) -> Self {
        let limits = &server.limits;
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(limits.head_within)
            .max_buf_size(limits.max_head_bytes)
            .max_header_size(limits.max_head_bytes)
            .max_headers(limits.max_headers)
            .keep_alive(true);
        let edge = Arc::new(server.edge.clone());
        Self { server, edge, http, shutdown, abort: CancellationToken::new() }
    }

    async fn speak<IO>(&self, io: IO, peer: SocketAddr, place: Place)
    where
        IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.server.limits;
        let info = ConnectInfo { peer, listener: self.server.kind, body_within: limits.body_within };
        let signals = Arc::new(Signals::new(place));
        let stall_within = limits.stall_within;
        let io = GuardedStream::new(io, Arc::clone(&self.edge), Arc::clone(&signals), stall_within);
        let service = service_fn(|request| answer(self, &signals, info, request));
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(io), service).with_upgrades());
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.shutdown.cancelled() => {
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    outcome = connection.as_mut() => outcome,
                    () = self.abort.cancelled() => return,
                }
            }
        };
        if let Err(error) = outcome {
            tracing::debug!(%error, "connection ended");
        }
    }
}

async fn answer(
    shared: &Shared,
    signals: &Arc<Signals>,
    info: ConnectInfo,
    mut request: Request<Incoming>,
) -> Result<Response<ReplyBody>, Infallible> {
    let answering = signals.begin();
    let headers = request.headers();
    let has_body = headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING);
    let response = if signals.is_ambiguous() {
        edge::ambiguous_framing(&shared.edge)
    } else {
        // The authority of an absolute-form target is the client's to choose; nothing behind this line sees it.
        *request.uri_mut() = path_only(request.uri());
        request.extensions_mut().insert(info);
        let Ok(response) = shared.server.app.clone().call(request.map(Body::new)).await;
        response
    };
    if has_body && !response.status().is_success() {
        signals.note_refusal();
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        signals.vouch();
    }
    Ok(response.map(|body| ReplyBody { body, answering }))
}

fn path_only(uri: &Uri) -> Uri {
    match uri.path_and_query() {
        Some(path) if uri.scheme().is_some() => Uri::from(path.clone()),
        _ => uri.clone(),
    }
}
