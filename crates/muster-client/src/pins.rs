//! Who the server has to be: the holder of a pinned key.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::error::DialError;

/// SHA-256 hashes of the SubjectPublicKeyInfo of the keys a server may hold; none means publicly valid certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pins(Vec<[u8; 32]>);

impl Pins {
    /// Parses pins in base64url without padding.
    pub fn parse(pins: &[String]) -> Result<Self, DialError> {
        let parse = |pin: &String| {
            let bytes = BASE64URL_NOPAD.decode(pin.as_bytes()).ok()?;
            <[u8; 32]>::try_from(bytes).ok()
        };
        let parsed = pins.iter().map(|pin| parse(pin).ok_or_else(|| DialError::Pin { pin: pin.clone() }));
        parsed.collect::<Result<_, _>>().map(Self)
    }

    /// The key nobody holds: whoever answers is told nothing.
    pub(crate) fn nobody() -> Self {
        Self(vec![[0; 32]])
    }

    /// Tells whether the platform's trust store decides.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The server holds another key than the pinned ones.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected the key {}, got {got}", expected.join(" or "))]
pub struct PinMismatch {
    /// The pins, base64url.
    pub expected: Vec<String>,
    /// The pin of the presented key, base64url.
    pub got: String,
}

/// Accepts a certificate by its key alone.
///
/// The handshake signature proves that the server holds the key, and the key is the identity: pinned by whoever gave
/// out the join string. Name and dates are not judged: the server is reached by whatever address works, and a machine
/// with a wrong clock (no RTC, first boot) must be able to join.
pub(crate) struct PinVerifier {
    pins: Pins,
    provider: Arc<CryptoProvider>,
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PinVerifier").field(&self.pins).finish()
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let (_, leaf) = X509Certificate::from_der(end_entity)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let got = digest(&SHA256, leaf.public_key().raw);
        if self.pins.0.iter().any(|pin| pin.as_slice() == got.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        let expected = self.pins.0.iter().map(|pin| BASE64URL_NOPAD.encode(pin)).collect();
        let mismatch = PinMismatch { expected, got: BASE64URL_NOPAD.encode(got.as_ref()) };
        Err(Error::Other(OtherError(Arc::new(mismatch))))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Makes the TLS configuration for `pins`: by key, or by the platform's trust store when there are none.
pub(crate) fn client_config(pins: Pins) -> Result<ClientConfig, DialError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if pins.is_empty() {
        let platform = rustls_platform_verifier::Verifier::new(Arc::clone(&provider));
        Arc::new(platform.map_err(DialError::TrustStore)?)
    } else {
        Arc::new(PinVerifier { pins, provider: Arc::clone(&provider) })
    };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A ticket of an earlier connection would skip the certificate; each connection proves the key anew.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(config)
}
