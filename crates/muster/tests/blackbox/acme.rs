//! A certificate that is ordered, under real agents: they check chain and name by the roots of their machine, and trust
//! nothing else (SECURITY C28).

use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_testkit::acme::{AcmeDirectory, Knobs};
use muster_testkit::pebble::Pebble;
use muster_wire::JoinString;
use muster_wire::server_keys::{TlsKind, TlsStatus};

use crate::harness::{Agent, Backend, Installation, Server, until};

const WITHIN: Duration = Duration::from_secs(30);

async fn status(installation: &Installation) -> TlsStatus {
    installation.admin.api.get("/v1/installation/tls").await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_agents_connect_by_name_and_a_restart_orders_nothing() {
    let mut server = Server::prepare(Backend::Sqlite);
    let directory = AcmeDirectory::start(Knobs {
        listener: Some(server.machines),
        expects_another: true,
        ..Knobs::default()
    })
    .await;
    let folder = server.folder().to_owned();
    let roots = folder.join("roots.pem");
    fs::write(&roots, directory.authority_pem()).unwrap();
    let roots = roots.display().to_string();
    server.set_public_urls(vec![format!("https://localhost:{}", server.machines.port())]);
    let url = directory.url();
    server.add_arguments(&["--acme-domain", "localhost", "--acme-directory", &url, "--acme-ca-file", &roots]);
    server.launch().await;
    let mut installation = Installation::over(server).await;
    let join_string = installation.token().await.join_string;
    let join: JoinString = join_string.parse().unwrap();
    assert_eq!(join.pins, [""; 0], "the join string of a publicly valid certificate");
    let agent = |name: &str, roots: &str| {
        let mut agent = Agent::new(&folder, name, &format!("c28-{name}"));
        agent.environment.push(("SSL_CERT_FILE", roots.to_owned()));
        agent
    };

    // Nothing is there yet that anybody may trust, and whoever looks is told why.
    let pending = until("the order does not fail", WITHIN, async || {
        let status = status(&installation).await;
        status.order.clone().is_some_and(|order| order.problem.is_some()).then_some(status)
    })
    .await;
    let order = pending.order.unwrap();
    assert_eq!((pending.kind, pending.expires_at, order.temporary), (TlsKind::Acme, None, true));
    let why = order.problem.unwrap();
    assert!(why.contains("could not verify localhost"), "{why}");
    assert!(installation.server.said().contains("could not verify localhost"));
    let mut present = agent("present", &roots);
    let ended = present.join(&join_string).await;
    assert_ne!(ended.code, 0, "{}", ended.said());

    // Whoever mended it does not wait.
    directory.set(|knobs| knobs.expects_another = false);
    hang_up(installation.server.pid());
    until("no certificate comes", WITHIN, async || {
        status(&installation).await.expires_at.is_some().then_some(())
    })
    .await;
    let host = present.joined(&join_string).await;
    present.run();
    installation.until_presence(host, "online", WITHIN).await;
    let stranger = agent("stranger", &own_roots(&folder));
    let ended = stranger.join(&installation.token().await.join_string).await;
    assert_ne!(ended.code, 0, "its machine does not trust the authority: {}", ended.said());

    let seen = directory.seen();
    assert_eq!((seen.accounts, seen.signed), (1, 1));
    assert_eq!(installation.server.stop().await, 0);
    installation.server.launch().await;
    installation.until_presence(host, "online", Duration::from_secs(60)).await;
    assert_eq!(directory.seen(), seen, "nobody asked the directory again");
    present.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_agents_that_pin_the_servers_own_key_follow_it_to_an_ordered_certificate() {
    let mut server = Server::prepare(Backend::Sqlite);
    let directory = AcmeDirectory::start(Knobs {
        listener: Some(server.machines),
        expects_another: true,
        ..Knobs::default()
    })
    .await;
    let folder = server.folder().to_owned();
    let roots = folder.join("roots.pem");
    fs::write(&roots, directory.authority_pem()).unwrap();
    let roots = roots.display().to_string();
    server.set_public_urls(vec![format!("https://localhost:{}", server.machines.port())]);
    server.launch().await;
    let mut installation = Installation::over(server).await;
    let mut agent = Agent::new(&folder, "pinned", "c28-pinned");
    agent.environment.push(("SSL_CERT_FILE", roots.clone()));
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
    // A machine that does not trust the authority: it could not come back without its pins.
    let mut careful = Agent::new(&folder, "careful", "c28-careful");
    careful.environment.push(("SSL_CERT_FILE", own_roots(&folder)));
    let careful_host = careful.joined(&installation.token().await.join_string).await;
    careful.run();
    installation.until_presence(careful_host, "online", WITHIN).await;
    let pinned = status(&installation).await;
    assert_eq!((pinned.kind, pinned.pins.len()), (TlsKind::Own, 1));
    assert_eq!(installation.server.stop().await, 0);

    let url = directory.url();
    installation.server.add_arguments(&[
        "--acme-domain",
        "localhost",
        "--acme-directory",
        &url,
        "--acme-ca-file",
        &roots,
    ]);
    installation.server.launch().await;
    // No order is done yet: the key they pin is shown, and they keep their pins.
    for host in [host, careful_host] {
        installation.until_presence(host, "online", Duration::from_secs(90)).await;
    }
    until("the order does not fail", WITHIN, async || status(&installation).await.order?.problem).await;
    let has_pins = |agent: &Agent| agent.identity()["pins"] != serde_json::json!([]);
    assert!(has_pins(&agent) && has_pins(&careful));
    directory.set(|knobs| knobs.expects_another = false);
    hang_up(installation.server.pid());
    until("no certificate comes", WITHIN, async || {
        status(&installation).await.expires_at.is_some().then_some(())
    })
    .await;
    assert_eq!(status(&installation).await.kind, TlsKind::Acme);
    for _ in 0..2 {
        for (agent, host) in [(&mut agent, host), (&mut careful, careful_host)] {
            agent.stop().await;
            installation.until_presence(host, "offline", WITHIN).await;
            agent.run();
            installation.until_presence(host, "online", WITHIN).await;
        }
        until("the agent keeps its pins", WITHIN, async || (!has_pins(&agent)).then_some(())).await;
        assert!(has_pins(&careful), "it would be shut out for ever");
    }
    agent.stop().await;
    careful.stop().await;
}

/// Every PEM section of a file that is a certificate.
fn certificates_in(file: &Path) -> Vec<String> {
    const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
    let text = fs::read_to_string(file).unwrap();
    text.split(BEGIN).skip(1).map(|rest| format!("{BEGIN}{rest}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_acme_pebble_gives_a_certificate_although_it_forgets_nonces() {
    let mut server = Server::prepare(Backend::Sqlite);
    let pebble = Pebble::start(server.machines.port(), 15).await.unwrap();
    let folder = server.folder().to_owned();
    let roots = folder.join("pebble.pem");
    fs::write(&roots, pebble.authority_pem()).unwrap();
    let (url, file) = (pebble.url(), roots.display().to_string());
    server.set_public_urls(vec![format!("https://localhost:{}", server.machines.port())]);
    server.add_arguments(&[
        "--acme-domain",
        "localhost",
        "--acme-contact",
        "ops@example.org",
        "--acme-directory",
        &url,
        "--acme-ca-file",
        &file,
    ]);
    server.launch().await;
    let installation = Installation::over(server).await;
    until("no certificate comes", WITHIN, async || {
        let status = status(&installation).await;
        if status.order.is_some_and(|order| order.problem.is_some()) {
            // Too many nonces were forgotten in a row: whoever looks after the server asks again.
            hang_up(installation.server.pid());
        }
        status.expires_at.is_some().then_some(())
    })
    .await;
    // Its root is another one at each start: who signed the leaf is trusted in its place.
    let chain = certificates_in(&installation.server.data.join("tls/acme/certificate.pem"));
    assert!(chain.len() >= 2, "the whole chain is kept: {}", chain.len());
    fs::write(&roots, chain.last().unwrap()).unwrap();
    let mut agent = Agent::new(&folder, "pebble", "c28-pebble");
    agent.environment.push(("SSL_CERT_FILE", file));
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
    agent.stop().await;
}

/// Roots of somebody else.
fn own_roots(folder: &Path) -> String {
    let file = folder.join("other-roots.pem");
    fs::write(&file, muster_testkit::imposter::Authority::new("somebody else").pem()).unwrap();
    file.display().to_string()
}

fn hang_up(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
}
