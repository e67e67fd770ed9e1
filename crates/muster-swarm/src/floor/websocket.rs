//! The floors of the channel: an echo, and a fan-out, with the small buffers that LIMITS found best.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use muster_proof::digest::sha256_base64url;
use muster_testkit::http as bytewise;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData as _};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;

/// As many bytes as the goal speaks of.
pub(crate) const PUSHED_BYTES: usize = 300;
const READ_BUFFER: usize = 1024;
const PIN_FILE: &str = "pin";
const QUEUE: usize = 4;

pub(super) async fn serve_echo(listen: SocketAddr) -> anyhow::Result<()> {
    let connect = |upgrade: WebSocketUpgrade| async move { lean(upgrade).on_upgrade(echo) };
    let router = Router::new().route("/v1/agent/connect", get(connect));
    Ok(axum::serve(TcpListener::bind(listen).await?, router).await?)
}

async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if matches!(message, Message::Text(_)) && socket.send(message).await.is_err() {
            return;
        }
    }
}

fn lean(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.read_buffer_size(READ_BUFFER).write_buffer_size(0)
}

/// The senders of all open sockets.
#[derive(Clone, Default)]
struct Hub(Arc<Mutex<Vec<mpsc::Sender<Utf8Bytes>>>>);

impl Hub {
    fn senders(&self) -> std::sync::MutexGuard<'_, Vec<mpsc::Sender<Utf8Bytes>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// With a folder it speaks TLS there, by a key it makes; a push is asked for in plain at the next port.
pub(super) async fn serve_fan_out(listen: SocketAddr, tls_in: Option<&Path>) -> anyhow::Result<()> {
    let hub = Hub::default();
    let sockets = Router::new().route("/v1/agent/connect", get(connect)).with_state(hub.clone());
    let pushes = Router::new().route("/push", get(push_to_all)).with_state(hub);
    let of_pushes = TcpListener::bind((listen.ip(), push_port(listen.port()))).await?;
    tokio::spawn(async move { axum::serve(of_pushes, pushes).await });
    let Some(folder) = tls_in else {
        return Ok(axum::serve(TcpListener::bind(listen).await?, sockets).await?);
    };
    let (acceptor, pin) = identity()?;
    std::fs::write(folder.join(PIN_FILE), pin)?;
    serve_tls(TcpListener::bind(listen).await?, sockets, acceptor).await
}

/// A key pair and a certificate like the server's own, and the pin of the key.
fn identity() -> anyhow::Result<(TlsAcceptor, String)> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = CertificateParams::new(["127.0.0.1".to_owned()])?.self_signed(&key)?;
    let pin = sha256_base64url(&key.subject_public_key_info());
    let private = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)?;
    Ok((TlsAcceptor::from(Arc::new(config)), pin))
}

async fn serve_tls(listener: TcpListener, router: Router, acceptor: TlsAcceptor) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (acceptor, service) = (acceptor.clone(), TowerToHyperService::new(router.clone()));
        tokio::spawn(async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            // A client that hangs up ends its connection, and nothing else.
            let _ = connection.with_upgrades().await;
        });
    }
}

async fn connect(State(hub): State<Hub>, upgrade: WebSocketUpgrade) -> Response {
    lean(upgrade).on_upgrade(move |socket| listen(socket, hub))
}

async fn listen(mut socket: WebSocket, hub: Hub) {
    let (sender, mut pushed) = mpsc::channel(QUEUE);
    hub.senders().push(sender);
    loop {
        tokio::select! {
            text = pushed.recv() => {
                let Some(text) = text else { return };
                if socket.send(Message::Text(text)).await.is_err() {
                    return;
                }
            }
            heard = socket.recv() => if !matches!(heard, Some(Ok(_))) { return },
        }
    }
}

async fn push_to_all(State(hub): State<Hub>) -> &'static str {
    let text = Utf8Bytes::from("x".repeat(PUSHED_BYTES));
    for sender in hub.senders().iter() {
        // A socket that is full or gone gets nothing; the client counts what arrives.
        let _ = sender.try_send(text.clone());
    }
    "pushed"
}

/// Asks a fan-out floor to push.
pub(super) async fn push(port: u16) -> anyhow::Result<()> {
    let address = SocketAddr::from(([127, 0, 0, 1], push_port(port)));
    let request = format!("GET /push HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = bytewise::ask(address, request.as_bytes(), Duration::from_secs(30)).await?;
    anyhow::ensure!(answer.is_some_and(|answer| answer.status == 200), "the floor pushes nothing");
    Ok(())
}

/// The ports that the kit gives out are above 10,000 and below 30,000: this one is nobody's.
fn push_port(port: u16) -> u16 {
    port + 20_000
}

/// Reads the pin of a fan-out floor over TLS.
pub(super) fn pin(folder: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(folder.join(PIN_FILE)).context("the floor has no TLS key")
}
