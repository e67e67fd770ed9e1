//! The TLS listener: handshake deadline, protocol, the same rules inside.

use std::sync::Arc;
use std::time::Duration;

use muster_http::tls::load_or_create;
use muster_ids::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

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
