//! Power cuts and servers that talk nonsense for a while (SECURITY C1, C15, C23).

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_edge::Entropy;
use muster_ids::{HostId, KeyName};
use muster_proof::HostKey;
use muster_proof::instruction::{Revoked, sign_revoked};
use muster_testkit::proxy::{Fault, Proxy};
use muster_wire::ticket::MintedTicket;
use serde_json::json;

use crate::harness::{Agent, Backend, Installation, Machine, Server, both, is_soak, now, until};

const AT_ONCE: usize = 30;

/// Numbers that a printed seed brings back (xorshift64*).
pub(crate) struct Random(u64);

impl Random {
    /// Takes the seed of `MUSTER_SEED`, else a fresh one, and prints it.
    pub(crate) fn seeded() -> Self {
        let given = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| u64::from_be_bytes(Entropy.bytes())) | 1;
        eprintln!("MUSTER_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

/// Enrols 30 machines, kills the server meanwhile, and lets every one of them try again. Returns the hosts.
async fn power_cut(installation: &mut Installation, random: &mut Random, round: usize) -> Vec<HostId> {
    let mut tickets: Vec<MintedTicket> = Vec::new();
    for _ in 0..AT_ONCE {
        tickets.push(installation.token().await);
    }
    let machines: Vec<Machine> =
        (0..AT_ONCE).map(|n| installation.machine(&format!("r{round}-m{n}"))).collect();
    let starts: Vec<Duration> = (0..AT_ONCE).map(|_| Duration::from_millis(random.below(60))).collect();
    let kill_after = Duration::from_millis(random.below(140));
    let enrolling = machines.iter().zip(&tickets).zip(&starts).map(|((machine, ticket), start)| async move {
        tokio::time::sleep(*start).await;
        machine.enrol(&ticket.token).await
    });
    let server = &mut installation.server;
    let (replies, ()) = tokio::join!(join_all(enrolling), async {
        tokio::time::sleep(kill_after).await;
        server.kill9();
    });
    installation.server.launch().await;
    let mut hosts = Vec::new();
    let mut acknowledged = 0;
    for ((machine, ticket), reply) in machines.iter().zip(&tickets).zip(replies) {
        let promised = reply.ok().map(|reply| {
            assert_eq!(reply.status, 201, "{}", reply.text);
            acknowledged += 1;
            let id: HostId = reply.json["host_id"].as_str().unwrap().parse().unwrap();
            id
        });
        if let Some(promised) = promised {
            let host = installation.host(promised).await;
            assert_eq!(host.keys, [machine.key_name()], "an acknowledged host lost its key");
        }
        let host = machine.admitted(&ticket.token).await;
        assert_eq!(promised.unwrap_or(host), host, "an acknowledged machine became another host");
        let again = machine.enrol(&ticket.token).await.unwrap();
        assert_eq!((again.status, &again.json["replayed"]), (200, &json!(true)), "{}", again.text);
        hosts.push(host);
    }
    eprintln!("round {round}: killed after {kill_after:?}, {acknowledged} of {AT_ONCE} were acknowledged");
    hosts
}

async fn assert_positions_are_dense(installation: &Installation, hosts: usize) {
    let entries = until("the audit trail is not sealed", Duration::from_secs(10), async || {
        let entries = installation.audit().await;
        let enrolled = entries.iter().filter(|entry| entry.action == "host.enrolled").count();
        (enrolled >= hosts).then_some(entries)
    })
    .await;
    let positions: Vec<u64> = entries.iter().map(|entry| entry.position).collect();
    let dense: Vec<u64> = (1..=positions.len() as u64).collect();
    assert_eq!(positions, dense, "the positions of the audit trail have gaps");
    let enrolled = entries.iter().filter(|entry| entry.action == "host.enrolled").count();
    assert_eq!(enrolled, hosts, "one entry for each host");
}

both! {
    async fn c01_soak_every_acknowledged_host_survives_kill9(backend: Backend) {
        let mut random = Random::seeded();
        let mut installation = Installation::start(backend).await;
        let mut hosts = Vec::new();
        for round in 0..if is_soak() { 500 } else { 3 } {
            hosts.extend(power_cut(&mut installation, &mut random, round).await);
        }
        let different: BTreeSet<&HostId> = hosts.iter().collect();
        assert_eq!(different.len(), hosts.len(), "two tickets made one host");
        assert_eq!(installation.hosts().await.len(), hosts.len(), "a ticket made two hosts");
        assert_positions_are_dense(&installation, hosts.len()).await;
    }

    async fn c01_the_setup_survives_kill9(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let machine = installation.machine("steady");
        let host = machine.admitted(&installation.site_key.token).await;
        let before = installation.host_bytes(host).await;
        for _ in 0..2 {
            installation.server.kill9();
            installation.server.launch().await;
        }
        assert_eq!(installation.host_bytes(host).await, before);
        assert_eq!(machine.heartbeat(host).await.status, 200, "the key still opens");
        assert!(!installation.server.data.join("setup-code").exists(), "the setup is open again");
    }

    async fn c23_a_server_that_is_asked_to_stop_does(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let machine = installation.machine("steady");
        let host = machine.admitted(&installation.site_key.token).await;
        let mut channel = machine.connect(host).await;
        let (code, (frames, close)) = tokio::join!(installation.server.stop(), channel.until_end());
        assert_eq!(code, 0, "{}", installation.server.said());
        assert_eq!(close, Some(1012), "{frames:?}");
        installation.server.launch().await;
        assert_eq!(machine.heartbeat(host).await.status, 200);
    }
}

fn nonsense(status: &str, headers: &str, code: &str) -> Fault {
    saying(status, headers, code, "e30.e30.AAAA")
}

/// A refusal with a statement that the key is void.
fn saying(status: &str, headers: &str, code: &str, revoked: &str) -> Fault {
    let body = json!({ "type": format!("urn:muster:problem:{code}"), "title": "no", "status": 0, "detail": "no",
        "instance": "urn:muster:none", "code": code, "revoked": revoked });
    let body = body.to_string();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\n{headers}");
    Fault::Answer(format!("{head}content-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c15_an_agent_keeps_its_credential_through_transient_refusals() {
    let mut server = Server::prepare(Backend::Sqlite);
    let front = Proxy::start(server.operators).await.unwrap();
    server.set_public_urls(vec![format!("http://{}", front.address())]);
    server.launch().await;
    let installation = Installation::over(server).await;
    let mut agent = Agent::new(installation.server.folder(), "steady", "c15-steady");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    let (key, enrolments) = (agent.key_bytes(), installation.server.metric("muster_enrolments_total").await);
    let retry = "retry-after: 1\r\n";
    let nonce =
        "retry-after: 1\r\nwww-authenticate: DPoP error=\"use_dpop_nonce\"\r\ndpop-nonce: abcdefgh\r\n";
    // About this very key, signed by an instruction key that is not this installation's.
    let own = HostKey::from_pkcs8(key.as_deref().unwrap()).unwrap().thumbprint();
    let foreign = Revoked { host_id: host, key: KeyName::Pair(own), reason: "no".to_owned(), at: now() };
    let foreign = sign_revoked(&HostKey::generate(), &foreign);
    let page =
        "HTTP/1.1 502 Bad Gateway\r\nretry-after: 1\r\ncontent-length: 6\r\nconnection: close\r\n\r\n<html>";
    for fault in [
        Fault::Refuse,
        nonsense("401 Unauthorized", retry, "unauthorized"),
        nonsense("401 Unauthorized", retry, "key_revoked"),
        saying("401 Unauthorized", retry, "key_revoked", &foreign),
        nonsense("500 Internal Server Error", retry, "internal"),
        Fault::Answer(page.into()),
        nonsense("401 Unauthorized", nonce, "use_dpop_nonce"),
        nonsense("403 Forbidden", retry, "host_suspended"),
        nonsense("503 Service Unavailable", retry, "unavailable"),
        nonsense("404 Not Found", retry, "not_found"),
        nonsense("302 Found", "retry-after: 1\r\nlocation: http://127.0.0.1:9/\r\n", "moved"),
    ] {
        front.fail(fault.clone());
        let before = front.accepted();
        front.cut();
        until("the agent does not come back", Duration::from_secs(60), async || {
            (front.accepted() > before).then_some(())
        })
        .await;
        assert!(agent.is_running(), "after {fault:?} the agent stopped:\n{}", agent.said());
        assert_eq!(agent.key_bytes(), key, "after {fault:?} the key is another");
        assert_eq!(agent.host_id(), host);
    }
    front.fail(Fault::None);
    until("the agent does not reconnect", Duration::from_secs(60), async || {
        (installation.server.metric("muster_channels").await >= 1.0).then_some(())
    })
    .await;
    assert_eq!(agent.key_bytes(), key);
    assert_eq!(installation.hosts().await.len(), 1);
    assert_eq!(installation.server.metric("muster_enrolments_total").await, enrolments, "it enrolled again");
    let entries = installation.server.ask(
        Method::GET,
        "/v1/audit?action=host.retired",
        Some(&installation.owner.token),
        None,
    );
    assert_eq!(entries.await.json["items"], json!([]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c17_an_agent_without_its_state_needs_a_person() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "amnesiac", "c17-amnesiac");
    let host = agent.joined(&installation.site_key.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    let before = installation.host_bytes(host).await;
    agent.kill9();
    std::fs::remove_dir_all(&agent.state).unwrap();
    let ended = agent.join(&installation.site_key.join_string).await;
    assert_eq!(ended.code, 4, "{}", ended.said());
    let claims = installation.claims().await;
    assert_eq!(claims.len(), 1);
    assert!(ended.said().contains(&claims[0].id.to_string()), "{}", ended.said());
    assert_eq!(
        installation.host_bytes(host).await.replace("offline", "online"),
        before.replace("offline", "online")
    );
}
