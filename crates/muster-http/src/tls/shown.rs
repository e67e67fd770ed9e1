//! What a listener shows: one identity at a time, which may be another one for the next handshake.

use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;

use super::{TlsError, TlsIdentity};

/// The identity a listener shows. Clones share it; connections that are open keep what they were shown.
#[derive(Debug, Clone)]
pub struct Shown(Arc<Inner>);

#[derive(Debug)]
struct Inner(RwLock<Arc<TlsIdentity>>);

impl Shown {
    /// Begins with an identity.
    pub fn new(identity: TlsIdentity) -> Self {
        Self(Arc::new(Inner(RwLock::new(Arc::new(identity)))))
    }

    /// Shows another identity from the next handshake on.
    pub fn show(&self, identity: TlsIdentity) {
        *self.0.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(identity);
    }

    /// Returns the identity that is shown now.
    pub fn identity(&self) -> Arc<TlsIdentity> {
        self.0.identity()
    }

    /// Returns the acceptor of [`Server`](crate::Server): TLS 1.2 and 1.3, `http/1.1` only.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.0) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A session that is taken up again would skip the certificate, also one that was replaced meanwhile.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl Inner {
    fn identity(&self) -> Arc<TlsIdentity> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ResolvesServerCert for Inner {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.identity().certified))
    }
}
