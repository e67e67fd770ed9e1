//! Servers that pose as somebody else, and keep every byte they are sent: on the wire, and inside of TLS if anybody
//! was let in.

use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{self, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;

/// How long one connection is listened to.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whoever vouches for certificates.
#[derive(Debug)]
pub struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// Makes one that nobody knows yet.
    ///
    /// # Panics
    /// When no certificate can be made.
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Returns its certificate, as `SSL_CERT_FILE` takes it.
    pub fn pem(&self) -> &str {
        &self.pem
    }
}

/// What a server shows in its handshake.
#[derive(Clone)]
pub struct Face {
    tls: TlsAcceptor,
    /// SHA-256 of the SubjectPublicKeyInfo it shows, base64url.
    pub pin: String,
}

impl std::fmt::Debug for Face {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Face").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// What is wrong with a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// Nothing.
    Nothing,
    /// It is not valid any more.
    Expired,
    /// It is not valid yet.
    Early,
    /// The certificate is shown without the key it names.
    Stolen,
}

impl Face {
    /// Makes a face for `name`, vouched for by `authority`, or by nobody but itself.
    ///
    /// # Panics
    /// When no certificate can be made.
    pub fn new(name: &str, authority: Option<&Authority>, wrong: Wrong) -> Self {
        let key = KeyPair::generate().expect("a key");
        let pin = BASE64URL_NOPAD.encode(digest(&SHA256, &key.subject_public_key_info()).as_ref());
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
        let (from, until) = match wrong {
            Wrong::Expired => (2001, 2002),
            Wrong::Early => (2090, 2091),
            Wrong::Nothing | Wrong::Stolen => (2024, 2090),
        };
        params.not_before = rcgen::date_time_ymd(from, 1, 1);
        params.not_after = rcgen::date_time_ymd(until, 1, 1);
        let certificate = match authority {
            Some(authority) => params.signed_by(&key, &authority.issuer),
            None => params.self_signed(&key),
        };
        let certificate = certificate.expect("a certificate").der().clone();
        let own = KeyPair::generate().expect("a key");
        let signing = if wrong == Wrong::Stolen { &own } else { &key };
        Self { tls: acceptor(certificate, signing), pin }
    }
}

pub(crate) fn acceptor(certificate: CertificateDer<'static>, signing: &KeyPair) -> TlsAcceptor {
    let private = PrivateKeyDer::try_from(signing.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(private).expect("a key");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(CertifiedKey::new(vec![certificate], signer))));
    TlsAcceptor::from(Arc::new(config))
}

/// What an imposter does with a connection.
#[derive(Debug, Clone)]
pub enum Manner {
    /// Answers what comes in plain text.
    Plain,
    /// Shows a face, and answers whoever believes it.
    Tls(Face),
    /// Shows a face, and breaks off after so many bytes of its handshake.
    CutHandshake(Face, usize),
}

/// An imposter that listens until it is dropped.
#[derive(Debug)]
pub struct Imposter {
    address: SocketAddr,
    heard: Arc<Heard>,
    task: AbortHandle,
}

#[derive(Debug, Default)]
struct Heard {
    connections: AtomicU64,
    wire: Mutex<Vec<u8>>,
    inside: Mutex<Vec<u8>>,
}

impl Drop for Imposter {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Imposter {
    /// Listens on a free port of `ip`; answers each request head with these bytes.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(ip: IpAddr, manner: Manner, answer: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let heard = Arc::<Heard>::default();
        let (shared, answer) = (Arc::clone(&heard), Arc::<[u8]>::from(answer.as_bytes()));
        let task = tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let (heard, manner, answer) = (Arc::clone(&shared), manner.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    // A client that hangs up is what most of them are for.
                    let _ = tokio::time::timeout(PATIENCE, receive(tcp, manner, &answer, &heard)).await;
                });
            }
        });
        Self { address, heard, task: task.abort_handle() }
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns how many connections came.
    pub fn connections(&self) -> u64 {
        self.heard.connections.load(Ordering::SeqCst)
    }

    /// Returns every byte of the wire.
    pub fn wire(&self) -> Vec<u8> {
        self.heard.wire.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns every byte it could read: what came in plain text, or inside of TLS.
    pub fn inside(&self) -> Vec<u8> {
        self.heard.inside.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn receive(tcp: TcpStream, manner: Manner, answer: &[u8], heard: &Heard) -> io::Result<()> {
    match manner {
        Manner::Plain => converse(Tapped { tcp, heard, left: None }, answer, heard).await,
        Manner::Tls(face) => {
            let stream = face.tls.accept(Tapped { tcp, heard, left: None }).await?;
            converse(stream, answer, heard).await
        }
        Manner::CutHandshake(face, bytes) => {
            let stream = face.tls.accept(Tapped { tcp, heard, left: Some(bytes) }).await?;
            converse(stream, answer, heard).await
        }
    }
}

async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    answer: &[u8],
    heard: &Heard,
) -> io::Result<()> {
    let (mut head, mut chunk) = (Vec::new(), [0; 4096]);
    let mut answered = false;
    loop {
        let length = stream.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        heard.inside.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..length]);
        head.extend_from_slice(&chunk[..length]);
        if !answered && head.windows(4).any(|four| four == b"\r\n\r\n") {
            answered = true;
            stream.write_all(answer).await?;
            stream.shutdown().await?;
        }
    }
}

/// A connection that is listened to, and may break after so many bytes to the client.
struct Tapped<'a> {
    tcp: TcpStream,
    heard: &'a Heard,
    left: Option<usize>,
}

impl AsyncRead for Tapped<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.tcp).poll_read(cx, buf);
        let mut wire = self.heard.wire.lock().unwrap_or_else(PoisonError::into_inner);
        wire.extend_from_slice(&buf.filled()[before..]);
        polled
    }
}

impl AsyncWrite for Tapped<'_> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let Some(left) = self.left else { return Pin::new(&mut self.tcp).poll_write(cx, bytes) };
        if left == 0 {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let polled = Pin::new(&mut self.tcp).poll_write(cx, &bytes[..bytes.len().min(left)]);
        if let Poll::Ready(Ok(written)) = polled {
            self.left = Some(left - written);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
