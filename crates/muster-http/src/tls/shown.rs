//! What a listener shows: one identity at a time, which may be another one for the next handshake.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::challenge::{CHALLENGE_PROTOCOL, Challenges, is_check};
use super::{TlsError, TlsIdentity};

/// The identity a listener shows. Clones share it; connections that are open keep what they were shown.
#[derive(Debug, Clone)]
pub struct Shown(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity: RwLock<Arc<TlsIdentity>>,
    /// Answers to those who check names, where names are checked.
    challenges: Option<Challenges>,
}

impl Shown {
    /// Begins with an identity.
    pub fn new(identity: TlsIdentity) -> Self {
        Self::with(identity, None)
    }

    /// Begins with an identity, and answers whoever checks a name (RFC 8737).
    pub fn answering(identity: TlsIdentity, challenges: Challenges) -> Self {
        Self::with(identity, Some(challenges))
    }

    fn with(identity: TlsIdentity, challenges: Option<Challenges>) -> Self {
        Self(Arc::new(Inner { identity: RwLock::new(Arc::new(identity)), challenges }))
    }

    /// Shows another identity from the next handshake on.
    pub fn show(&self, identity: TlsIdentity) {
        *self.0.identity.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// Returns the identity that is shown now.
    pub fn identity(&self) -> Arc<TlsIdentity> {
        self.0.identity()
    }

    /// Returns the acceptor of [`Server`](crate::Server): TLS 1.2 and 1.3, `http/1.1` only, beside checks of names.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        if self.0.challenges.is_some() {
            config.alpn_protocols.push(CHALLENGE_PROTOCOL.to_vec());
        }
        // A session that is taken up again would skip the certificate, also one that was replaced meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl Inner {
    fn identity(&self) -> Arc<TlsIdentity> {
        Arc::clone(&self.identity.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if is_check(&hello) {
            return self.challenges.as_ref()?.answer_to(&hello);
        }
        Some(Arc::clone(&self.identity().certified))
    }
}
