//! The TLS listener: handshake deadline, protocol, the same rules inside.

use std::sync::Arc;
use std::time::Duration;

use muster_http::tls::{Challenges, Shown, load_or_create};
use muster_ids::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::server::{Answer, drain, short, start_with};

const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

fn connector(folder: &std::path::Path, alpn: &[u8]) -> TlsConnector {
    let pem = std::fs::read(folder.join("tls.crt")).expect("certificate");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).expect("pem")).expect("root");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn tls_is_served_and_refuses_other_protocols_and_slow_handshakes() {
    let folder = tempfile::tempdir().expect("folder");
    let identity = load_or_create(folder.path(), &["localhost".into(), "127.0.0.1".into()], NOW)
        .expect("identity")
        .identity;
    let acceptor = identity.acceptor().expect("acceptor");
    let server = start_with(short(), Some(acceptor)).await;
    let name = || ServerName::try_from("127.0.0.1").expect("name");

    let tcp = TcpStream::connect(server.address).await.expect("connect");
    let mut tls = connector(folder.path(), b"http/1.1").connect(name(), tcp).await.expect("handshake");
    tls.write_all(b"GET /absent HTTP/1.1\r\nHost: m\r\nConnection: close\r\n\r\n").await.expect("write");
    let mut text = String::new();
    tls.read_to_string(&mut text).await.expect("a clean end");
    Answer::parse(&text).problem(404, "not_found");

    let tcp = TcpStream::connect(server.address).await.expect("connect");
    assert!(connector(folder.path(), b"h2").connect(name(), tcp).await.is_err());

    let mut silent = TcpStream::connect(server.address).await.expect("connect");
    let closed = tokio::time::timeout(Duration::from_secs(1), drain(&mut silent)).await;
    assert_eq!(closed.expect("closed in time"), "");
}

#[tokio::test]
async fn c28_acme_whoever_checks_a_name_sees_its_answer_and_nothing_else() {
    let folder = tempfile::tempdir().expect("folder");
    let identity = load_or_create(folder.path(), &["localhost".into()], NOW).expect("identity").identity;
    let pin = identity.spki_pin.clone();
    let challenges = Challenges::default();
    let shown = Shown::answering(identity, challenges.clone());
    let server = start_with(short(), Some(shown.acceptor().expect("acceptor"))).await;
    let shown = |alpn: &'static [&'static [u8]], name: &'static str| {
        let address = server.address;
        async move {
            let tcp = TcpStream::connect(address).await.expect("connect");
            let name = ServerName::try_from(name).expect("name");
            trusting(alpn).connect(name, tcp).await
        }
    };
    let spki_pin = |tls: &TlsStream<TcpStream>| {
        let certificates = tls.get_ref().1.peer_certificates().expect("certificates");
        muster_http::tls::spki_pin(&certificates[0]).expect("a certificate")
    };
    assert!(shown(&[b"acme-tls/1"], "localhost").await.is_err(), "nobody asked for a check");
    challenges.answer("LOCALHOST", &[7; 32]).expect("answered");
    let mut check = shown(&[b"acme-tls/1"], "localhost").await.expect("handshake");
    let answer = check.get_ref().1.peer_certificates().expect("certificates")[0].to_vec();
    assert!(answer.windows(34).any(|bytes| bytes[..2] == [0x04, 0x20] && bytes[2..] == [7; 32]));
    // Nothing is spoken after it (RFC 8737, section 3).
    let _ = check.write_all(b"GET /healthz HTTP/1.1\r\nHost: m\r\n\r\n").await;
    let mut text = Vec::new();
    let _ = check.read_to_end(&mut text).await;
    assert!(text.is_empty(), "{}", String::from_utf8_lossy(&text));

    assert!(shown(&[b"acme-tls/1"], "other.example").await.is_err(), "a name nobody checks");
    for alpn in [&[b"http/1.1" as &[u8]] as &[&[u8]], &[], &[b"acme-tls/1", b"http/1.1"]] {
        assert_eq!(spki_pin(&shown(alpn, "localhost").await.expect("handshake")), pin, "{alpn:?}");
    }
    challenges.clear();
    assert!(shown(&[b"acme-tls/1"], "localhost").await.is_err(), "the check is over");
}

/// Connects to anybody.
fn trusting(alpn: &[&[u8]]) -> TlsConnector {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

#[derive(Debug)]
struct Anybody;

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
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
