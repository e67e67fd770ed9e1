//! One request, one connection, one answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, TRANSFER_ENCODING, USER_AGENT};
use http::{HeaderValue, Request};
use muster_client::{ExchangeError, Most, Response, exchange};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::address::Allowed;
use crate::error::OutboundError;
use crate::resolve::Resolver;
use crate::target::{Host, Target};
use crate::tls::Tls;

/// The most of a body that anybody may ask to be read.
const MOST_BODY: usize = 1024 * 1024;
/// Largest head of an answer.
const HEAD_LIMIT: usize = 16 * 1024;
/// How long one address may take to take a connection, so that a dead one leaves time for the next.
const CONNECT_WITHIN: Duration = Duration::from_secs(4);
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// What requests may cost, and whom they trust beside the platform's certificates.
#[derive(Debug, Clone)]
pub struct Options {
    /// From the first look at the name to the last byte of the answer.
    pub deadline: Duration,
    /// Most bytes of an answer's body; at most 1 MiB.
    pub body_limit: usize,
    /// Certificates to trust beside the platform's.
    pub extra_roots: Vec<CertificateDer<'static>>,
}

impl Default for Options {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), body_limit: 64 * 1024, extra_roots: Vec::new() }
    }
}

/// Sends requests to addresses that somebody else chose. Clones share what they hold.
#[derive(Clone)]
pub struct Outbound {
    resolver: Resolver,
    tls: Tls,
    deadline: Duration,
    body_limit: usize,
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Outbound");
        shown.field("deadline", &self.deadline).field("body_limit", &self.body_limit).finish_non_exhaustive()
    }
}

impl Default for Outbound {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Outbound {
    /// Makes one.
    pub fn new(options: Options) -> Self {
        Self {
            resolver: Resolver::default(),
            tls: Tls::new(options.extra_roots),
            deadline: options.deadline,
            body_limit: options.body_limit.min(MOST_BODY),
        }
    }

    /// Returns one that reads up to this many bytes of a body, at most 1 MiB.
    #[must_use]
    pub fn with_body_limit(&self, bytes: usize) -> Self {
        Self { body_limit: bytes.min(MOST_BODY), ..self.clone() }
    }

    /// Returns one that waits this long altogether.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Returns the certificates that are trusted beside the platform's, for protocols other than HTTP.
    pub fn extra_roots(&self) -> &[CertificateDer<'static>] {
        self.tls.extra_roots()
    }

    /// Sends one request, whose URI is absolute, and reads the whole answer. Follows no redirect.
    pub async fn send(&self, request: Request<Bytes>, allowed: &Allowed) -> Result<Response, OutboundError> {
        match tokio::time::timeout(self.deadline, self.exchange(request, allowed)).await {
            Ok(answered) => answered,
            Err(_) => Err(OutboundError::TimedOut { within: self.deadline }),
        }
    }

    /// Resolves a host and judges every address it has, for protocols other than HTTP. Connect to these and no others.
    pub async fn resolve_checked(
        &self,
        host: &str,
        port: u16,
        allowed: &Allowed,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let host = Host::parse(host)?;
        match tokio::time::timeout(self.deadline, self.resolver.checked(&host, port, allowed)).await {
            Ok(resolved) => resolved,
            Err(_) => Err(OutboundError::TimedOut { within: self.deadline }),
        }
    }

    async fn exchange(
        &self,
        mut request: Request<Bytes>,
        allowed: &Allowed,
    ) -> Result<Response, OutboundError> {
        let target = Target::of(request.uri())?;
        prepare(&mut request, &target)?;
        let addresses = self.resolver.checked(&target.host, target.port, allowed).await?;
        let tcp = connect(&addresses, &target.host).await?;
        if !target.is_tls {
            return self.speak(tcp, request, &target.host).await;
        }
        let name = ServerName::try_from(target.host.to_string())
            .map_err(|_| OutboundError::Url { why: "its host is no name" })?;
        let failed = |source| OutboundError::Tls { host: target.host.to_string(), source };
        let tls = self.tls.connector()?.connect(name, tcp).await.map_err(failed)?;
        self.speak(tls, request, &target.host).await
    }

    async fn speak<S>(&self, io: S, request: Request<Bytes>, host: &Host) -> Result<Response, OutboundError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let host = host.to_string();
        let most = Most { head: HEAD_LIMIT, body: self.body_limit };
        exchange(io, request, most).await.map_err(|error| match error {
            ExchangeError::Broken(source) => OutboundError::Broken { host, source },
            ExchangeError::TooLarge { status } => {
                OutboundError::TooLarge { host, status, limit: self.body_limit }
            }
        })
    }
}

/// Sets what follows from the URL: the target in origin form, `Host`, `User-Agent`, and an end after one answer.
fn prepare(request: &mut Request<Bytes>, target: &Target) -> Result<(), OutboundError> {
    let unusable = |_| OutboundError::Url { why: "its path cannot be sent" };
    let host = match (&target.host, target.port, target.is_tls) {
        (Host::Ip(std::net::IpAddr::V6(ip)), port, _) => format!("[{ip}]:{port}"),
        (host, 443, true) | (host, 80, false) => host.to_string(),
        (host, port, _) => format!("{host}:{port}"),
    };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    *request.uri_mut() = path.parse().map_err(unusable)?;
    let headers = request.headers_mut();
    let host = HeaderValue::from_str(&host).map_err(|_| OutboundError::Url { why: "its host is no name" })?;
    headers.insert(HOST, host);
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.remove(TRANSFER_ENCODING);
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Ok(())
}

async fn connect(addresses: &[SocketAddr], host: &Host) -> Result<TcpStream, OutboundError> {
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(CONNECT_WITHIN, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Without it answers only come a little later.
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = None,
        }
    }
    Err(OutboundError::Connect { host: host.to_string(), source: last })
}
