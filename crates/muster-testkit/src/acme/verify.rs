//! A look at a listener: whether it proves a name by `tls-alpn-01` (RFC 8737, section 3).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

const PROTOCOL: &[u8] = b"acme-tls/1";
const ACME_IDENTIFIER: &str = "1.3.6.1.5.5.7.1.31";
const WITHIN: Duration = Duration::from_secs(5);

/// Keeps the certificate it is shown, and trusts everybody.
#[derive(Debug, Default)]
struct Witness(Mutex<Vec<u8>>);

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = leaf.to_vec();
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Looks at a listener for the proof of a name, and says what is wrong with what it shows.
pub(super) async fn verify(listener: SocketAddr, name: &str, proof: &str) -> Result<(), String> {
    let shown = tokio::time::timeout(WITHIN, shown_by(listener, name)).await;
    let shown = shown.map_err(|_| "the listener did not answer in time".to_owned())??;
    let (_, certificate) = X509Certificate::from_der(&shown).map_err(|error| error.to_string())?;
    let names = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
    let names = names.map(|names| names.value.general_names.clone()).unwrap_or_default();
    if names != [GeneralName::DNSName(name)] {
        return Err(format!("the certificate is not for {name} alone"));
    }
    let mut extensions = certificate.extensions().iter();
    let proven = extensions.find(|extension| extension.oid.to_id_string() == ACME_IDENTIFIER);
    let Some(proven) = proven.filter(|extension| extension.critical) else {
        return Err("the certificate has no critical acmeIdentifier".to_owned());
    };
    let expected = [&[0x04, 0x20], digest(&SHA256, proof.as_bytes()).as_ref()].concat();
    if proven.value != expected {
        return Err("the acmeIdentifier is another one".to_owned());
    }
    Ok(())
}

async fn shown_by(listener: SocketAddr, name: &str) -> Result<Vec<u8>, String> {
    let witness = Arc::new(Witness::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    let tcp = TcpStream::connect(listener).await.map_err(|error| error.to_string())?;
    let server_name = ServerName::try_from(name.to_owned()).map_err(|error| error.to_string())?;
    let stream = TlsConnector::from(Arc::new(config)).connect(server_name, tcp).await;
    let stream = stream.map_err(|error| error.to_string())?;
    if stream.get_ref().1.alpn_protocol() != Some(PROTOCOL) {
        return Err("the listener does not speak acme-tls/1".to_owned());
    }
    Ok(std::mem::take(&mut witness.0.lock().unwrap_or_else(PoisonError::into_inner)))
}
