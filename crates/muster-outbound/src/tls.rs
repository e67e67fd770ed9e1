//! Whom a receiver has to be: the holder of a certificate the platform trusts, or that an operator added.

use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use tokio_rustls::TlsConnector;

use crate::error::OutboundError;

/// The TLS configuration, made when it is first needed: a machine without trusted certificates still serves.
#[derive(Clone)]
pub(crate) struct Tls {
    extra_roots: Arc<[CertificateDer<'static>]>,
    made: Arc<OnceLock<Result<TlsConnector, rustls::Error>>>,
}

impl Tls {
    pub(crate) fn new(extra_roots: Vec<CertificateDer<'static>>) -> Self {
        Self { extra_roots: extra_roots.into(), made: Arc::default() }
    }

    pub(crate) fn extra_roots(&self) -> &[CertificateDer<'static>] {
        &self.extra_roots
    }

    pub(crate) fn connector(&self) -> Result<TlsConnector, OutboundError> {
        self.made.get_or_init(|| make(&self.extra_roots)).clone().map_err(OutboundError::TrustStore)
    }
}

fn make(extra_roots: &[CertificateDer<'static>]) -> Result<TlsConnector, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(
        extra_roots.iter().cloned(),
        Arc::clone(&provider),
    )?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
