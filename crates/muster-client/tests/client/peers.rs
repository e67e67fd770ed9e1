//! Servers and proxies that record every byte they receive.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use muster_client::{Dialer, ProxyRules, Timeouts};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use url::Url;

pub(crate) type Record = Arc<Mutex<Vec<u8>>>;

pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) received: Record,
}

impl Peer {
    pub(crate) fn url(&self, scheme: &str) -> Url {
        format!("{scheme}://{}", self.address).parse().expect("url")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.received.lock().expect("record")).into_owned()
    }
}

/// A server key, its pin and an acceptor whose certificate names another host and is long expired.
pub(crate) fn identity() -> (TlsAcceptor, String) {
    let key = KeyPair::generate().expect("key");
    let pin = BASE64URL_NOPAD.encode(digest(&SHA256, &key.subject_public_key_info()).as_ref());
    (acceptor(&key, &key), pin)
}

/// The acceptor of a thief: the certificate of one key, signatures by another.
pub(crate) fn stolen_certificate() -> (TlsAcceptor, String) {
    let (key, own) = (KeyPair::generate().expect("key"), KeyPair::generate().expect("key"));
    let pin = BASE64URL_NOPAD.encode(digest(&SHA256, &key.subject_public_key_info()).as_ref());
    (acceptor(&key, &own), pin)
}

fn acceptor(certified: &KeyPair, signing: &KeyPair) -> TlsAcceptor {
    let mut params = CertificateParams::new(vec!["other.example".to_owned()]).expect("params");
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = params.self_signed(certified).expect("certificate");
    let private = PrivateKeyDer::try_from(signing.serialize_der()).expect("key");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let signer = provider.key_provider.load_private_key(private).expect("key");
    let presented = CertifiedKey::new(vec![certificate.der().clone()], signer);
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(SingleCertAndKey::from(presented)));
    TlsAcceptor::from(Arc::new(config))
}

/// Answers each connection's first head with `answer` and records what it reads.
pub(crate) async fn answering(answer: impl Into<Vec<u8>>, tls: Option<TlsAcceptor>) -> Peer {
    let answer: Vec<u8> = answer.into();
    listening(move |tcp, received| {
        let (answer, tls) = (answer.clone(), tls.clone());
        async move {
            match tls {
                None => reply(tcp, &answer, &received).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(tcp).await {
                        reply(stream, &answer, &received).await;
                    }
                }
            }
        }
    })
    .await
}

/// A proxy that records heads, answers `status` and, if that is 200, connects to `target` whatever was asked for.
pub(crate) async fn proxy(target: SocketAddr, status: &'static str) -> Peer {
    listening(move |mut tcp, received| async move {
        read_head(&mut tcp, &received).await;
        let _ = tcp.write_all(format!("HTTP/1.1 {status}\r\nX: y\r\n\r\n").as_bytes()).await;
        if status.starts_with("200")
            && let Ok(mut server) = TcpStream::connect(target).await
        {
            let _ = copy_bidirectional(&mut tcp, &mut server).await;
        }
    })
    .await
}

/// A proxy, or whatever, that records a head and never answers.
pub(crate) async fn silent() -> Peer {
    listening(|mut tcp, received| async move {
        read_head(&mut tcp, &received).await;
        let _ = tcp.read(&mut [0; 1]).await;
    })
    .await
}

async fn listening<F, W>(serve: F) -> Peer
where
    F: Fn(TcpStream, Record) -> W + Send + Sync + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bind");
    let address = listener.local_addr().expect("address");
    let received = Record::default();
    let record = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            tokio::spawn(serve(tcp, Arc::clone(&record)));
        }
    });
    Peer { address, received }
}

async fn reply(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8], received: &Record) {
    read_head(&mut stream, received).await;
    // In two pieces, as a network may deliver it.
    let (first, second) = answer.split_at(answer.len() / 2);
    let _ = stream.write_all(first).await;
    let _ = stream.flush().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    let _ = stream.write_all(second).await;
    let _ = stream.shutdown().await;
    // Closing with the request's body unread would reset the answer away.
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
}

async fn read_head(stream: &mut (impl AsyncRead + Unpin), received: &Record) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => {
                head.push(byte);
                received.lock().expect("record").push(byte);
            }
            Err(_) => return,
        }
    }
}

pub(crate) fn quick() -> Timeouts {
    let half = Duration::from_millis(500);
    Timeouts { connect: half, handshake: half, response: half }
}

pub(crate) fn dialer(pins: &[String]) -> Dialer {
    Dialer::new(pins, ProxyRules::none(), quick()).expect("dialer")
}

pub(crate) fn dialer_through(pins: &[String], proxy: &Peer) -> Dialer {
    let rules = ProxyRules::parse(&format!("http://user:word@{}", proxy.address), "").expect("rules");
    Dialer::new(pins, rules, quick()).expect("dialer")
}

/// The error and its sources, as a person sees them.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}
