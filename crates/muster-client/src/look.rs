//! The way to a server, one step at a time, for whoever wants to know where it ends.
//!
//! Nothing that could be a credential is ever sent here: a step ends where a request would begin.

use std::net::SocketAddr;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use tokio::net::TcpStream;
use url::Url;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::dialer::{self, Dialer, Target};
use crate::error::DialError;
use crate::pins::Pins;
use crate::stream::Stream;

/// Which way a connection takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    /// Host and port of the server.
    pub server: String,
    /// Host and port of the proxy that is asked; `None`: the server itself is dialled.
    pub proxy: Option<String>,
    /// Whether the server has to prove who it is; without, it is on this machine.
    pub is_tls: bool,
}

/// What a server showed in its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its SubjectPublicKeyInfo, base64url.
    pub pin: String,
    /// When it ends to be valid; judged only where no key is pinned.
    pub expires_at: Timestamp,
}

impl Dialer {
    /// Tells which way a connection to `url` takes.
    pub fn way(&self, url: &Url) -> Result<Way, DialError> {
        let target = Target::of(url)?;
        let proxy = self.proxy.for_url(url).map(crate::proxy::Proxy::authority);
        Ok(Way { server: target.authority(), proxy, is_tls: target.is_tls })
    }

    /// Returns every address of the server, or of the proxy that is asked instead: then only the proxy looks the
    /// server's name up.
    pub async fn addresses(&self, url: &Url) -> Result<Vec<SocketAddr>, DialError> {
        let target = Target::of(url)?;
        let (host, port) = match self.proxy.for_url(url) {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (target.host.as_str(), target.port),
        };
        let shown = dialer::join_authority(host, port);
        self.within(self.timeouts().connect, &shown, "be looked up", dialer::resolve(host, port)).await
    }

    /// Opens a connection to one address and closes it.
    pub async fn knock(&self, address: SocketAddr) -> Result<(), DialError> {
        let shown = address.to_string();
        let connect = async {
            TcpStream::connect(address).await.map_err(|source| dialer::not_connected(&shown, source))
        };
        self.within(self.timeouts().connect, &shown, "accept a connection", connect).await.map(drop)
    }

    /// Opens the way to the server, through the proxy if there is one, and closes it.
    pub async fn pass(&self, url: &Url) -> Result<(), DialError> {
        self.arrive(url, &Target::of(url)?).await.map(drop)
    }

    /// Lets the server prove who it is; `None`: a server on this machine, without TLS.
    pub async fn verify(&self, url: &Url) -> Result<Option<Certificate>, DialError> {
        match self.connect(url).await? {
            Stream::Plain(_) => Ok(None),
            Stream::Tls(stream) => Ok(stream.get_ref().1.peer_certificates().and_then(certificate)),
        }
    }

    /// Returns the pin of the key a server presents that is not trusted: it is asked, never told anything.
    pub async fn presented_pin(&self, url: &Url) -> Option<String> {
        let nobody = Pins::nobody();
        let stranger = self.trusting(nobody).ok()?;
        match stranger.connect(url).await {
            Err(DialError::PinMismatch { source, .. }) => Some(source.got),
            _ => None,
        }
    }
}

fn certificate(chain: &[rustls::pki_types::CertificateDer<'_>]) -> Option<Certificate> {
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let pin = BASE64URL_NOPAD.encode(digest(&SHA256, leaf.public_key().raw).as_ref());
    let expires_at = Timestamp::from_millis(leaf.validity().not_after.timestamp().saturating_mul(1000));
    Some(Certificate { pin, expires_at })
}
