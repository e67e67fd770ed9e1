//! Certificates that are ordered from a directory (RFC 8555), which looks at the listener itself.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use muster_server::acme::{AcmeOptions, AcmePace};
use muster_server::serve::{Options, Running, TlsOptions, start};
use muster_testkit::acme::{AcmeDirectory, Knobs, Refusal};
use muster_testkit::ports;
use muster_wire::server_keys::CertificateOrder;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::tls::scene::{Scene, exchange, look, options};

const WITHIN: Duration = Duration::from_secs(30);

/// A directory, and the options of a server that orders from it.
struct Stage {
    directory: AcmeDirectory,
    options: Options,
    authority: CertificateDer<'static>,
}

impl Stage {
    /// `folder`: of the server.
    async fn new(folder: &TempDir, change: impl FnOnce(&mut Knobs)) -> Self {
        let machines = ports::free();
        let directory = AcmeDirectory::start(Knobs { listener: Some(machines), ..Knobs::default() }).await;
        directory.set(change);
        let authority = CertificateDer::from_pem_slice(directory.authority_pem().as_bytes()).unwrap();
        let ca_file = folder.path().join("ca.pem");
        fs::write(&ca_file, directory.authority_pem()).unwrap();
        let acme = AcmeOptions {
            names: vec!["localhost".to_owned()],
            contact: Some("ops@example.org".to_owned()),
            directory: directory.url(),
            ca_file: Some(ca_file),
            pace: AcmePace {
                look_every: Duration::from_millis(50),
                retry_after: Duration::from_millis(400),
                retry_most: Duration::from_secs(3600),
            },
        };
        let mut options = options(folder, TlsOptions { acme: Some(acme), ..TlsOptions::default() });
        options.machines = machines;
        Self { directory, options, authority }
    }

    async fn start(&self) -> Running {
        start(self.options.clone()).await.unwrap()
    }

    fn acme(&mut self) -> &mut AcmeOptions {
        self.options.tls.acme.as_mut().unwrap()
    }

    /// Connects as somebody who trusts the authority of the directory, and checks the name.
    async fn connects(&self, name: &str) -> Result<TlsStream<TcpStream>, std::io::Error> {
        connects(self.options.machines, &self.authority, name).await
    }
}

async fn connects(
    machines: SocketAddr,
    authority: &CertificateDer<'static>,
    name: &str,
) -> Result<TlsStream<TcpStream>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(authority.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(machines).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(name.to_owned()).unwrap(), tcp).await
}

fn order(running: &Running) -> CertificateOrder {
    running.app.installation.tls.order().unwrap()
}

async fn until<T>(what: &str, mut holds: impl AsyncFnMut() -> Option<T>) -> T {
    let waited = tokio::time::timeout(WITHIN, async {
        loop {
            if let Some(found) = holds().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("never came true: {what}"))
}

/// Waits until an order failed for the `times`th time; returns how it goes.
async fn failed(running: &Running, times: u32) -> CertificateOrder {
    until("an order fails", async || Some(order(running)).filter(|order| order.failures >= times)).await
}

async fn succeeded(running: &Running) {
    let until = tokio::time::Instant::now() + WITHIN;
    while order(running).temporary {
        assert!(tokio::time::Instant::now() < until, "no certificate comes: {:?}", order(running));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_the_first_certificate_comes_and_a_restart_orders_none() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(&folder, |knobs| knobs.bad_nonces = 1).await;
    let scene = Scene::of(folder, stage.options.clone()).await;
    succeeded(&scene.running).await;
    stage.connects("localhost").await.unwrap();
    let seen = stage.directory.seen();
    assert_eq!((seen.accounts, seen.orders, seen.looks, seen.signed), (1, 1, 1, 1));
    assert_eq!(seen.contacts, ["mailto:ops@example.org"]);

    let (_, status) = scene.ask("GET", "/v1/installation/tls", None).await;
    assert_eq!((&status["kind"], &status["problem"]), (&"acme".into(), &serde_json::Value::Null));
    assert_eq!((&status["order"]["temporary"], &status["order"]["failures"]), (&false.into(), &0.into()));
    // For agents it is what a publicly valid one in files is: nobody's pin, and the name in the address.
    let (_, minted) = scene.ask("POST", "/v1/enrolment-tokens", Some(serde_json::json!({}))).await;
    let join: muster_wire::JoinString = minted["join_string"].as_str().unwrap().parse().unwrap();
    assert_eq!(join.pins, [""; 0]);
    assert_eq!(join.urls[0].host_str(), Some("localhost"));
    let (code, refused) = scene.ask("POST", "/v1/installation/tls/rotate", Some(serde_json::json!({}))).await;
    assert_eq!((code, &refused["code"]), (409, &"not_own_certificate".into()));
    let days = (scene.metric("muster_certificate_expires_at_seconds").await
        - muster_edge::Clock::system().now().as_secs())
        / 86_400;
    assert!((89..=90).contains(&days), "{days}");
    assert_eq!(scene.metric("muster_certificate_order_failures").await, 0);
    let acme = scene.folder.path().join("data/tls/acme");
    for file in ["account.json", "certificate.pem"] {
        assert_eq!(fs::metadata(acme.join(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    assert_eq!(fs::read_dir(&acme).unwrap().count(), 2, "nothing is left over");

    let pin = scene.pin().await;
    scene.running.stop().await;
    let running = stage.start().await;
    assert_eq!(look(running.machines.port()).await.1, pin, "it is shown from the first connection on");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(stage.directory.seen(), seen, "nobody asked the directory");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_a_certificate_is_renewed_before_it_ends_and_open_connections_stay() {
    let folder = tempfile::tempdir().unwrap();
    let lives_for = Duration::from_secs(12);
    let stage = Stage::new(&folder, |knobs| knobs.lives_for = lives_for).await;
    let running = stage.start().await;
    succeeded(&running).await;
    let (port, before) = (running.machines.port(), order(&running).renew_at.unwrap());
    let mut open = stage.connects("localhost").await.unwrap();
    assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200);
    let pin = look(port).await.1;
    let shown = until("another one is shown", async || {
        stage.connects("localhost").await.expect("there is always one that is valid");
        // An idle one would be closed after ten seconds.
        assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200);
        Some(look(port).await.1).filter(|shown| *shown != pin)
    })
    .await;
    assert_ne!(shown, pin, "each has a key of its own");
    assert!(order(&running).renew_at.unwrap() > before);
    assert_eq!(order(&running).failures, 0);
    assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200, "the open one goes on");
    assert_eq!(stage.directory.seen().accounts, 1);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_without_its_directory_a_server_starts_and_shows_what_it_has() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(&folder, |_| {}).await;
    let running = stage.start().await;
    succeeded(&running).await;
    let pin = look(running.machines.port()).await.1;
    running.stop().await;

    // Another name is wanted, and nobody answers.
    stage.acme().names = vec!["localhost".to_owned(), "muster.example".to_owned()];
    stage.acme().directory = format!("https://{}/directory", ports::free());
    let running = stage.start().await;
    let order = failed(&running, 1).await;
    let why = order.problem.unwrap();
    assert!(why.starts_with("the directory does not answer: cannot connect to 127.0.0.1"), "{why}");
    assert!(!order.temporary && order.next_try_at > order.tried_at);
    assert_eq!(look(running.machines.port()).await.1, pin);
    stage.connects("localhost").await.unwrap();
    running.stop().await;

    // It is back.
    stage.acme().directory = stage.directory.url();
    let running = stage.start().await;
    until("the other name is there", async || stage.connects("muster.example").await.ok()).await;
    stage.connects("localhost").await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_the_very_first_start_needs_no_directory_and_deceives_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(&folder, |_| {}).await;
    stage.acme().directory = format!("https://{}/directory", ports::free());
    let scene = Scene::of(folder, stage.options.clone()).await;
    let order = failed(&scene.running, 1).await;
    assert!(order.temporary && order.renew_at.is_none());
    let (_, status) = scene.ask("GET", "/v1/installation/tls", None).await;
    assert!(status["expires_at"].is_null(), "{status}");
    let why = status["order"]["problem"].as_str().unwrap();
    assert!(why.contains("does not answer"), "{why}");
    assert!(scene.metric("muster_certificate_order_failures").await >= 1);
    assert_eq!(scene.metric("muster_certificate_expires_at_seconds").await, 0);
    let (mut open, _) = scene.look().await;
    let port = scene.running.machines.port();
    assert_eq!(exchange(&mut open, "GET", "/healthz", "", None, port).await.0, 200);
    stage.connects("localhost").await.map(|_| ()).unwrap_err();
    let first = scene.pin().await;
    scene.running.stop().await;
    // What nobody trusts is kept nowhere.
    let running = stage.start().await;
    assert_ne!(look(running.machines.port()).await.1, first);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_a_proof_that_does_not_hold_is_told_and_not_tried_in_a_loop() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(&folder, |knobs| knobs.expects_another = true).await;
    let running = stage.start().await;
    let order = failed(&running, 1).await;
    let why = order.problem.unwrap();
    assert_eq!(
        why,
        "the directory could not verify localhost: the acmeIdentifier is another one (unauthorized)"
    );
    assert!(order.temporary);
    // Failures are 0.4, 0.8, 1.6 s apart, a quarter less at the least.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let orders = stage.directory.seen().orders;
    assert!((2..=5).contains(&orders), "{orders} orders");
    assert_eq!(stage.directory.seen().accounts, 1, "the account is kept");

    stage.directory.set(|knobs| knobs.expects_another = false);
    running.app.installation.tls.look_again();
    succeeded(&running).await;
    stage.connects("localhost").await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_a_directory_that_says_when_to_come_back_is_left_alone_until_then() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = Refusal { status: 429, retry_after: Some("3600".to_owned()), times: 1 };
    let stage = Stage::new(&folder, |knobs| knobs.refusal = Some(refusal)).await;
    let running = stage.start().await;
    let order = failed(&running, 1).await;
    assert_eq!(order.problem.as_deref(), Some("the directory refused: too many of them (rateLimited)"));
    let wait = order.next_try_at.unwrap().as_secs() - order.tried_at.unwrap().as_secs();
    assert!((3599..=3601).contains(&wait), "{wait} s");
    let requests = stage.directory.seen().requests;
    for _ in 0..5 {
        running.app.installation.tls.look_again();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(stage.directory.seen().requests, requests, "nobody asks before its time");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_each_failure_of_a_directory_is_told_and_the_order_after_it_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let refusal = Refusal { status: 500, retry_after: None, times: 1 };
    let stage = Stage::new(&folder, |knobs| knobs.refusal = Some(refusal)).await;
    let running = stage.start().await;
    let order_after = async |what: &str, said: &str| {
        let is_said = |order: CertificateOrder| order.problem.is_some_and(|why| why.contains(said));
        until(what, async || is_said(order(&running)).then_some(())).await;
    };
    order_after("no words", "the directory answered 500").await;
    succeeded(&running).await;

    // Whatever fails now, the one that is shown goes on.
    let file = running.app.installation.tls.acme().unwrap().certificate_file();
    let pin = async || look(running.machines.port()).await.1;
    let shown = pin().await;
    stage.directory.set(|knobs| knobs.gives_up = true);
    fs::remove_file(&file).unwrap();
    order_after("given up", "the order is given up").await;
    assert_eq!(pin().await, shown);
    stage.directory.set(|knobs| knobs.gives_up = false);
    until("it is there again", async || file.exists().then_some(())).await;
    until("it is shown", async || (pin().await != shown).then_some(())).await;

    // Too short to be of use: it would be ordered again and again.
    stage.directory.set(|knobs| knobs.lives_for = Duration::ZERO);
    fs::remove_file(&file).unwrap();
    order_after("over at once", "cannot be used").await;
    // The directory lost its accounts meanwhile.
    stage.directory.forget_accounts();
    stage.directory.set(|knobs| knobs.lives_for = Knobs::default().lives_for);
    until("it is there again", async || file.exists().then_some(())).await;
    assert_eq!(stage.directory.seen().accounts, 2);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_agents_that_pin_the_next_key_of_a_server_find_it_under_the_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::new(&folder, |_| {}).await;
    let mut own = stage.options.clone();
    own.tls = TlsOptions::default();
    let running = start(own).await.unwrap();
    let next = running.app.installation.tls.next_pins();
    running.stop().await;
    let running = stage.start().await;
    succeeded(&running).await;
    assert_eq!([look(running.machines.port()).await.1], next[..]);
    stage.connects("localhost").await.unwrap();
    running.stop().await;
}

#[tokio::test]
async fn c28_acme_a_directory_that_cannot_be_asked_at_all_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(&folder, |_| {}).await;
    let refused = async |stage: &Stage| match start(stage.options.clone()).await {
        Ok(_) => panic!("it started"),
        Err(error) => format!("{error:#}"),
    };
    fs::write(folder.path().join("ca.pem"), "no certificate").unwrap();
    assert!(refused(&stage).await.contains("does not hold a certificate"));
    stage.acme().ca_file = None;
    stage.acme().directory = "http://acme.example/directory".to_owned();
    assert!(refused(&stage).await.contains("not an https URL"));
    stage.options.tls.files = Some(("a".into(), "b".into()));
    assert!(refused(&stage).await.contains("not both"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_a_stop_does_not_wait_for_a_directory_that_never_answers() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::new(&folder, |_| {}).await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    stage.acme().directory = format!("https://{}/directory", silent.local_addr().unwrap());
    let running = stage.start().await;
    let (_held, _) = silent.accept().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), running.stop()).await.expect("it stops");
}
