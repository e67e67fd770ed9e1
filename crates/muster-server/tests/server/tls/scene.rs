//! A server as `muster serve` starts it, its admin, and whoever looks at its certificate.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use muster_server::serve::{Options, Running, TlsOptions, start};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A server with an admin.
pub(crate) struct Scene {
    pub(crate) running: Running,
    pub(crate) folder: TempDir,
    pub(crate) admin: String,
}

impl Scene {
    /// Starts a server whose certificate is `pair`, kept in files, or its own.
    pub(crate) async fn start(files: Option<(&KeyPair, bool)>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tls = files.map(|(key, pin)| {
            write_pair(folder.path(), key, 0..90);
            TlsOptions { files: Some(paths(folder.path())), pin, ..TlsOptions::default() }
        });
        Self::with(folder, tls.unwrap_or_default()).await
    }

    pub(crate) async fn with(folder: TempDir, tls: TlsOptions) -> Self {
        let options = options(&folder, tls);
        Self::of(folder, options).await
    }

    pub(crate) async fn of(folder: TempDir, options: Options) -> Self {
        let running = start(options).await.unwrap();
        let code = fs::read_to_string(running.setup_code_file()).unwrap();
        let mut scene = Self { running, folder, admin: String::new() };
        let made =
            scene.ask("POST", "/v1/setup", Some(json!({ "code": code.trim(), "admin_name": "Ada" }))).await;
        scene.admin = made.1["token"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned();
        scene
    }

    /// Asks as the admin; returns status and body.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.running.operators).await.unwrap();
        let (status, text) =
            exchange(&mut stream, method, path, &self.admin, body, self.running.operators.port()).await;
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    pub(crate) async fn metric(&self, name: &str) -> i64 {
        let mut stream = TcpStream::connect(self.running.operators).await.unwrap();
        let port = self.running.operators.port();
        let (_, text) = exchange(&mut stream, "GET", "/metrics", &self.admin, None, port).await;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        line.unwrap_or_else(|| panic!("{name} in {text}")).parse().unwrap()
    }

    /// Opens a connection to the machines' listener; returns it with the pin of what it was shown.
    pub(crate) async fn look(&self) -> (TlsStream<TcpStream>, String) {
        look(self.running.machines.port()).await
    }

    pub(crate) async fn pin(&self) -> String {
        self.look().await.1
    }

    /// Admits a host with a key pair; returns its id.
    pub(crate) async fn admit(&self, name: &str) -> muster_ids::HostId {
        let (status, made) = self.ask("POST", "/v1/hosts", Some(json!({ "name": name }))).await;
        assert_eq!(status, 201, "{made}");
        let host_id: muster_ids::HostId = made["host"]["id"].as_str().unwrap().parse().unwrap();
        let key = muster_proof::HostKey::generate();
        self.running
            .app
            .change(muster_store::Priority::Normal, self.running.app.clock.now(), move |unit| {
                let team_id = unit.tx.platform_team_id()?.unwrap();
                let now = unit.now;
                unit.tx.host_admit(team_id, host_id, now)?;
                unit.tx.host_key_insert(&muster_store::rows::HostKeyRow {
                    name: muster_ids::KeyName::Pair(key.thumbprint()),
                    team_id,
                    host_id,
                    material: key.public_key().as_bytes().to_vec(),
                    state: muster_store::rows::KeyState::Active,
                    ticket_id: None,
                    created_by: None,
                    created_at: now,
                    ended_at: None,
                    ended_by: None,
                    first_used_at: None,
                    last_used_at: None,
                })?;
                Ok(())
            })
            .await
            .unwrap();
        host_id
    }

    /// Says that the agent of a host keeps what was said last.
    pub(crate) async fn informed(&self, host_id: muster_ids::HostId) {
        let issued_at: Timestamp = self.running.app.installation.instruction_keys().said().issued_at;
        let kept = self.running.app.change(
            muster_store::Priority::Normal,
            self.running.app.clock.now(),
            move |unit| Ok(unit.tx.host_pins_kept(host_id, Some(issued_at))?),
        );
        kept.await.unwrap();
    }

    /// Looks at the files now, as the server does on SIGHUP, and waits until this holds.
    pub(crate) async fn reloaded(&self, what: &str, holds: impl AsyncFn(&Self) -> bool) {
        for _ in 0..200 {
            self.running.app.installation.tls.nudge.notify_one();
            tokio::time::sleep(Duration::from_millis(25)).await;
            if holds(self).await {
                return;
            }
        }
        panic!("never came true: {what}");
    }
}

pub(crate) fn options(folder: &TempDir, tls: TlsOptions) -> Options {
    let mut options = Options::new(folder.path().join("data"));
    options.operators = ([127, 0, 0, 1], 0).into();
    options.machines = ([127, 0, 0, 1], 0).into();
    options.tls = tls;
    options
}

pub(crate) fn paths(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("server.crt"), folder.join("server.key"))
}

/// Writes a pair that is valid for these days from an hour ago.
pub(crate) fn write_pair(folder: &Path, key: &KeyPair, days: std::ops::Range<i64>) {
    let (certificate, file) = paths(folder);
    fs::write(certificate, certificate_of(key, days)).unwrap();
    fs::write(&file, key.serialize_pem()).unwrap();
    fs::set_permissions(file, fs::Permissions::from_mode(0o600)).unwrap();
}

pub(crate) fn certificate_of(key: &KeyPair, days: std::ops::Range<i64>) -> String {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let now = muster_edge::Clock::system().now().as_secs();
    let at = |day: i64| {
        let secs = u64::try_from(now - 3600 + day * 86_400).unwrap();
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs)
    };
    (params.not_before, params.not_after) = (at(days.start), at(days.end));
    params.self_signed(key).unwrap().pem()
}

pub(crate) fn pin_of(key: &KeyPair) -> String {
    BASE64URL_NOPAD.encode(&muster_proof::digest::sha256(&key.subject_public_key_info()))
}

/// Sends one request and reads the answer; the connection stays open.
pub(crate) async fn exchange<S: AsyncReadExt + AsyncWriteExt + Unpin>(
    stream: &mut S,
    method: &str,
    path: &str,
    token: &str,
    body: Option<Value>,
    port: u16,
) -> (u16, String) {
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let authorization =
        if token.is_empty() { String::new() } else { format!("authorization: Bearer {token}\r\n") };
    let kind = if body.is_empty() { "" } else { "content-type: application/json\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n{authorization}{kind}content-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all([head.as_bytes(), body.as_bytes()].concat().as_slice()).await.unwrap();
    let mut received = Vec::new();
    loop {
        let mut buffer = [0; 8192];
        let count = stream.read(&mut buffer).await.unwrap();
        received.extend_from_slice(&buffer[..count]);
        let text = String::from_utf8_lossy(&received);
        let Some((head, rest)) = text.split_once("\r\n\r\n") else {
            assert!(count > 0, "closed before the head: {text}");
            continue;
        };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        if rest.len() >= length {
            return (head[9..12].parse().unwrap(), rest[..length].to_owned());
        }
        assert!(count > 0, "closed before the end: {text}");
    }
}

#[derive(Debug, Default)]
struct Looker(Mutex<String>);

impl ServerCertVerifier for Looker {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        *self.0.lock().unwrap() = muster_http::tls::spki_pin(leaf).unwrap();
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

/// Opens a connection and says which key it was shown.
pub(crate) async fn look(port: u16) -> (TlsStream<TcpStream>, String) {
    let looker = Arc::new(Looker::default());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&looker) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let tcp = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    let pin = looker.0.lock().unwrap().clone();
    (stream, pin)
}
