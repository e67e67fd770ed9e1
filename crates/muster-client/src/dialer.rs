//! One connection, one request: resolve, connect (through a proxy), prove the server, speak HTTP/1.1.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, HOST, USER_AGENT};
use http::{HeaderValue, Request, StatusCode};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use crate::error::DialError;
use crate::exchange::{self, ExchangeError, Most, Response};
use crate::pins::{self, PinMismatch, Pins};
use crate::proxy::{self, Proxy, ProxyRules};
use crate::stream::Stream;

/// Largest answer that is read, in bytes.
pub const RESPONSE_LIMIT: usize = 4 * 1024 * 1024;
pub(crate) const MOST: Most = Most { head: 64 * 1024, body: RESPONSE_LIMIT };
/// How long one address may take at the least, however many a name has.
const LEAST_CONNECT: Duration = Duration::from_millis(250);
const PROXY_HEAD_LIMIT: usize = 8 * 1024;
const AGENT: &str = concat!("muster/", env!("CARGO_PKG_VERSION"));

/// Where a server is and who it has to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Addresses, in the order to try.
    pub urls: Vec<Url>,
    /// SHA-256 of the server's SubjectPublicKeyInfo, base64url (current, next); empty for publicly valid certificates.
    pub pins: Vec<String>,
}

impl Endpoint {
    /// Makes the dialer of this endpoint, with the proxy the environment names.
    pub fn dialer(&self, timeouts: Timeouts) -> Result<Dialer, DialError> {
        Dialer::new(&self.pins, ProxyRules::from_env()?, timeouts)
    }
}

/// How long each step may take.
#[derive(Debug, Clone, Copy)]
pub struct Timeouts {
    /// Name and TCP connection.
    pub connect: Duration,
    /// Proxy and TLS.
    pub handshake: Duration,
    /// From the request to the end of its answer.
    pub response: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let (ten, thirty) = (Duration::from_secs(10), Duration::from_secs(30));
        Self { connect: ten, handshake: ten, response: thirty }
    }
}

/// Opens connections to servers that hold a pinned key. Cheap to clone.
#[derive(Clone)]
pub struct Dialer {
    tls: TlsConnector,
    pub(crate) proxy: Arc<ProxyRules>,
    timeouts: Timeouts,
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer").field("timeouts", &self.timeouts).finish_non_exhaustive()
    }
}

impl Dialer {
    /// Makes a dialer that trusts the holders of `pins`, or the platform's certificates when there are none.
    pub fn new(pins: &[String], proxy: ProxyRules, timeouts: Timeouts) -> Result<Self, DialError> {
        let config = pins::client_config(Pins::parse(pins)?)?;
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), proxy: Arc::new(proxy), timeouts })
    }

    /// Returns the same dialer for other keys.
    pub(crate) fn trusting(&self, pins: Pins) -> Result<Self, DialError> {
        let tls = TlsConnector::from(Arc::new(pins::client_config(pins)?));
        Ok(Self { tls, ..self.clone() })
    }

    /// Returns the deadlines of this dialer.
    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// Connects to the server of `url` (`https`, `wss`; `http`, `ws` on this machine) and proves who it is.
    pub async fn connect(&self, url: &Url) -> Result<Stream, DialError> {
        let target = Target::of(url)?;
        let tcp = self.arrive(url, &target).await?;
        self.secure(tcp, &target).await
    }

    /// Opens the way to a server, through the proxy if there is one; nothing is said to the server yet.
    pub(crate) async fn arrive(&self, url: &Url, target: &Target) -> Result<TcpStream, DialError> {
        let Some(proxy) = self.proxy.for_url(url) else {
            return self.reach(&target.host, target.port, target.is_tls).await;
        };
        let reached = self.reach(&proxy.host, proxy.port, true).await;
        let tcp = reached.map_err(|error| error.of_proxy(&proxy.authority()))?;
        let authority = target.authority();
        let shown = format!("the proxy {}", proxy.authority());
        let tunnel = tunnel(tcp, proxy, &authority);
        self.within(self.timeouts.handshake, &shown, "connect to the server", tunnel).await
    }

    /// Sends one request to the server of `url` and reads the whole answer, over a connection of its own.
    ///
    /// Only path and query of the request's URI are used; `Host` is set from `url`.
    pub async fn request(&self, mut request: Request<Bytes>, url: &Url) -> Result<Response, DialError> {
        let stream = self.connect(url).await?;
        let authority = Target::of(url)?.authority();
        prepare(&mut request, url)?;
        request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        let exchange = async {
            exchange::exchange(stream, request, MOST).await.map_err(|error| no_answer(&authority, error))
        };
        self.within(self.timeouts.response, &authority, "answer", exchange).await
    }

    /// Runs one step under its deadline.
    pub(crate) async fn within<T>(
        &self,
        within: Duration,
        authority: &str,
        step: &'static str,
        work: impl Future<Output = Result<T, DialError>>,
    ) -> Result<T, DialError> {
        match tokio::time::timeout(within, work).await {
            Ok(result) => result,
            Err(_) => Err(DialError::TimedOut { authority: authority.to_owned(), step, within }),
        }
    }

    async fn reach(&self, host: &str, port: u16, may_leave: bool) -> Result<TcpStream, DialError> {
        let authority = join_authority(host, port);
        let connect = async {
            let addresses = resolve(host, port).await?;
            if !may_leave && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
                return Err(DialError::PlainHttp { authority: authority.clone() });
            }
            let each = (self.timeouts.connect / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX))
                .max(LEAST_CONNECT);
            first_that_answers(&addresses, each, host, &authority).await
        };
        let stream = self.within(self.timeouts.connect, &authority, "accept a connection", connect).await?;
        let _ = stream.set_nodelay(true);
        Ok(stream)
    }

    async fn secure(&self, tcp: TcpStream, target: &Target) -> Result<Stream, DialError> {
        if !target.is_tls {
            return Ok(Stream::Plain(tcp));
        }
        let authority = target.authority();
        let name = ServerName::try_from(target.host.clone())
            .map_err(|_| DialError::Url { url: format!("https://{authority}") })?;
        let handshake = async {
            let stream = self.tls.connect(name, tcp).await.map_err(|error| tls_error(&authority, error))?;
            Ok(Stream::Tls(Box::new(stream)))
        };
        self.within(self.timeouts.handshake, &authority, "finish the TLS handshake", handshake).await
    }
}

/// The parts of a URL that decide where a connection goes.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

impl Target {
    pub(crate) fn of(url: &Url) -> Result<Self, DialError> {
        let unusable = || DialError::Url { url: format!("{}://{}", url.scheme(), url.authority()) };
        let is_tls = match url.scheme() {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return Err(unusable()),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DialError::Url {
                url: format!("{}://…@{}", url.scheme(), url.host_str().unwrap_or("")),
            });
        }
        let host = url.host().ok_or_else(unusable)?;
        let is_local = proxy::names_this_machine(&host);
        let host = match host {
            Host::Domain(name) => name.to_owned(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        };
        let port = url.port_or_known_default().ok_or_else(unusable)?;
        if !is_tls && !is_local {
            return Err(DialError::PlainHttp { authority: join_authority(&host, port) });
        }
        Ok(Self { host, port, is_tls })
    }

    pub(crate) fn authority(&self) -> String {
        join_authority(&self.host, self.port)
    }
}

/// Writes host and port as an authority, IPv6 addresses in brackets.
pub(crate) fn join_authority(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// Looks up every address of a name.
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, DialError> {
    let resolved = tokio::net::lookup_host((host, port)).await;
    let unknown = |source| DialError::Resolve { host: host.to_owned(), source };
    let addresses: Vec<SocketAddr> = resolved.map_err(|source| unknown(Some(source)))?.collect();
    if addresses.is_empty() { Err(unknown(None)) } else { Ok(addresses) }
}

/// Tries one address after the other; one that swallows packets leaves time for the next.
async fn first_that_answers(
    addresses: &[SocketAddr],
    each: Duration,
    host: &str,
    authority: &str,
) -> Result<TcpStream, DialError> {
    let mut last = None;
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(io::ErrorKind::TimedOut.into()),
        }
    }
    Err(match last {
        None => DialError::Resolve { host: host.to_owned(), source: None },
        Some(source) => not_connected(authority, source),
    })
}

pub(crate) fn not_connected(authority: &str, source: io::Error) -> DialError {
    let authority = authority.to_owned();
    match source.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused { authority, source },
        _ => DialError::Unreachable { authority, source },
    }
}

/// Asks the proxy for a tunnel (RFC 9110, section 9.3.6). Nothing of the server's is said before the tunnel stands.
async fn tunnel(mut tcp: TcpStream, proxy: &Proxy, authority: &str) -> Result<TcpStream, DialError> {
    let broken = |source| DialError::ProxyBroken { proxy: proxy.authority(), source };
    let mut head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
    if let Some(value) = proxy.authorization() {
        head.push_str(&format!("Proxy-Authorization: {value}\r\n"));
    }
    head.push_str("\r\n");
    tcp.write_all(head.as_bytes()).await.map_err(|error| broken(Some(error)))?;
    let mut answer = Vec::new();
    // Byte by byte: what follows the blank line belongs to TLS.
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() == PROXY_HEAD_LIMIT {
            return Err(broken(None));
        }
        answer.push(tcp.read_u8().await.map_err(|error| broken(Some(error)))?);
    }
    let status = answer.strip_prefix(b"HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.and_then(|digits| StatusCode::from_bytes(digits).ok()).ok_or_else(|| broken(None))?;
    if !status.is_success() {
        let (proxy, authority) = (proxy.authority(), authority.to_owned());
        return Err(DialError::ProxyRefused { proxy, authority, status });
    }
    Ok(tcp)
}

fn tls_error(authority: &str, error: io::Error) -> DialError {
    let authority = authority.to_owned();
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    if let Some(rustls::Error::Other(other)) = cause
        && let Some(mismatch) = other.0.downcast_ref::<PinMismatch>()
    {
        return DialError::PinMismatch { authority, source: mismatch.clone() };
    }
    DialError::Tls { authority, source: error }
}

/// Sets what follows from the URL: the target in origin form, `Host`, `User-Agent`.
pub(crate) fn prepare<B>(request: &mut Request<B>, url: &Url) -> Result<(), DialError> {
    let unusable = || DialError::Url { url: format!("{}://{}", url.scheme(), url.authority()) };
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = path.parse().map_err(|_| unusable())?;
    let host = HeaderValue::from_str(url.authority()).map_err(|_| unusable())?;
    request.headers_mut().insert(HOST, host);
    request.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Ok(())
}

pub(crate) fn no_answer(authority: &str, error: ExchangeError) -> DialError {
    match error {
        ExchangeError::Broken(source) => hyper_error(authority, source),
        ExchangeError::TooLarge { .. } => {
            DialError::TooLarge { authority: authority.to_owned(), limit: RESPONSE_LIMIT }
        }
    }
}

pub(crate) fn hyper_error(authority: &str, source: hyper::Error) -> DialError {
    let authority = authority.to_owned();
    if source.is_parse() {
        return DialError::NotHttp { authority, source };
    }
    DialError::Broken { authority, source }
}

#[cfg(test)]
mod tests;
