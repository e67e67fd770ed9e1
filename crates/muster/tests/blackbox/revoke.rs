//! Revocation: at once, at every door, measured, and believed by the agent only when it is signed
//! (SECURITY B20, B21, B23; DESIGN §5).

use std::time::Duration;

use http::Method;
use muster_ids::KeyName;
use muster_proof::instruction::verify_revoked;
use muster_wire::channel::ServerMessage;
use muster_wire::host::HostState;
use serde_json::json;

use crate::harness::{Agent, Backend, Installation, Machine, Reply, both, until};

const AT_ONCE: Duration = Duration::from_secs(2);

/// Asserts that a stolen key is told it is void, with a statement that its machine would believe.
fn assert_revoked(installation: &Installation, machine: &Machine, reply: &Reply, door: &str) {
    reply.assert_is_problem(door);
    assert_eq!((reply.status, reply.code()), (401, "key_revoked"), "{door}: {}", reply.text);
    let statement =
        reply.json["revoked"].as_str().unwrap_or_else(|| panic!("{door}: unsigned: {}", reply.text));
    let revoked = verify_revoked(statement, &installation.instruction_key).unwrap();
    assert_eq!(revoked.key, KeyName::Pair(machine.key.thumbprint()), "{door}");
}

both! {
    async fn b20_a_retired_hosts_key_is_refused_at_every_door_at_once(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("gone");
        let host = machine.admitted(&installation.site_key.token).await;
        let mut channel = machine.connect(host).await;
        assert!(channel.is_alive().await, "everything before the revocation was handled");
        let stolen = machine.thief();
        let doors = [installation.token().await.token, installation.site_key.token.clone()];
        let measured = installation.server.metric("muster_revoke_to_refused_seconds_count").await;
        let retired = installation.retire(host).await;
        assert_eq!(retired.state, HostState::Retired);
        // Nothing below waits: the revocation was answered.
        for ticket in &doors {
            assert_revoked(&installation, &machine, &stolen.enrol(ticket).await.unwrap(), "a door");
            assert_revoked(&installation, &machine, &machine.enrol(ticket).await.unwrap(), "a door");
        }
        assert_revoked(&installation, &machine, &stolen.heartbeat(host).await, "the heartbeat");
        let refused = stolen.open(host).await.err().expect("a channel with a void key");
        assert_revoked(&installation, &machine, &refused, "the channel");
        let (frames, close) = tokio::time::timeout(AT_ONCE, channel.until_end()).await.expect("the socket lives on");
        let statement = frames.iter().find_map(|frame| match frame {
            ServerMessage::Revoked { statement } => Some(statement),
            _ => None,
        });
        let statement = statement.unwrap_or_else(|| panic!("the agent is not told: {frames:?}"));
        let revoked = verify_revoked(statement, &installation.instruction_key).unwrap();
        assert_eq!((revoked.host_id, revoked.key), (host, machine.key_name()));
        assert_eq!(close, Some(4403));
        let counted = installation.server.metric("muster_revoke_to_refused_seconds_count").await;
        assert_eq!(counted, measured + 1.0, "the revocation was not measured");
        let slow = installation.server.metric("muster_revoke_to_refused_seconds_sum").await;
        assert!(slow < 1.0, "revoking took {slow} s");
    }

    async fn b21_a_retired_host_lends_nothing_to_its_successor(backend: Backend) {
        let installation = Installation::start(backend).await;
        let fields = json!({ "host_name": "db-1", "tags": ["role:db"], "secrets": { "note": { "value": "old" } } });
        let machine = installation.machine("db-1");
        let host = machine.admitted(&installation.token_with(fields).await.token).await;
        installation.retire(host).await;
        let successor = machine.twin("db-1");
        let reply = successor.enrol(&installation.site_key.token).await.unwrap();
        assert_eq!((reply.status, &reply.json["reason"]), (202, &json!("retired")), "{}", reply.text);
        let claim = installation.claims().await.remove(0);
        assert!(!claim.verdicts.contains(&muster_wire::claim::Verdict::Replace), "{:?}", claim.verdicts);
        let decision = json!({ "verdict": "new", "evidence_version": claim.evidence_version });
        let decided = installation.ask(Method::POST, &format!("/v1/claims/{}/decision", claim.id), Some(&decision)).await;
        assert_eq!(decided.status, 200, "{}", decided.text);
        let new = successor.admitted(&installation.site_key.token).await;
        assert_ne!(new, host);
        let shown = installation.host(new).await;
        assert!(shown.tags.is_empty(), "{:?}", shown.tags);
        let secrets = installation.ask(Method::GET, &format!("/v1/hosts/{new}/secrets"), None).await;
        assert_eq!(secrets.json["items"], json!([]), "{}", secrets.text);
        let jobs = installation.ask(Method::GET, &format!("/v1/hosts/{host}/secrets"), None).await;
        assert_eq!(jobs.json["items"], json!([]), "the retired host keeps secrets: {}", jobs.text);
        assert_eq!(installation.host(host).await.state, HostState::Retired);
    }

    async fn b20_a_suspended_host_is_refused_everything_and_resumes(backend: Backend) {
        let installation = Installation::start(backend).await;
        let machine = installation.machine("paused");
        let key = installation.site_key.token.as_str();
        let host = machine.admitted(key).await;
        let mut channel = machine.connect(host).await;
        assert!(channel.is_alive().await, "everything before the suspension was handled");
        installation.suspend(host).await;
        let (frames, close) = tokio::time::timeout(AT_ONCE, channel.until_end()).await.expect("the socket lives on");
        let is_told = |frame: &ServerMessage| matches!(frame, ServerMessage::Goodbye { reason, .. } if reason.as_str() == "suspended");
        assert!(frames.iter().any(is_told), "{frames:?}, {close:?}");
        assert!(!frames.iter().any(|frame| matches!(frame, ServerMessage::Revoked { .. })), "a suspended key is kept");
        let refused = machine.open(host).await.err().expect("a channel of a suspended host");
        for (door, reply) in [
            ("the channel", refused),
            ("the heartbeat", machine.heartbeat(host).await),
            ("door 3", machine.enrol(key).await.unwrap()),
        ] {
            reply.assert_is_problem(door);
            assert_eq!((reply.status, reply.code()), (403, "host_suspended"), "{door}: {}", reply.text);
            let wait: u64 = reply.header("retry-after").unwrap_or_default().parse().unwrap();
            assert!((1..=60).contains(&wait), "{door}: come back in {wait} s");
        }
        installation.resume(host).await;
        let mut channel = machine.connect_with(host, channel.generation.clone()).await;
        assert!(channel.is_alive().await);
        assert_eq!(machine.heartbeat(host).await.status, 200);
        let reuse = machine.enrol(key).await.unwrap();
        assert_eq!((reuse.status, &reuse.json["disposition"]), (200, &json!("reuse")));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b20_the_agent_of_a_retired_host_stops_and_says_why() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "gone", "b20-gone");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    installation.retire(host).await;
    assert_eq!(agent.ended(Duration::from_secs(5)).await, 5, "{}", agent.said());
    let last = agent.said().lines().last().unwrap_or_default().to_owned();
    assert!(last.contains("revoked") && last.contains("join"), "no cause and next step in {last:?}");
    assert_eq!(agent.key_bytes(), None, "the void key is still on disk");
    assert!(!agent.state.join("config.json").exists(), "secrets are still on disk");
    agent.run();
    assert_eq!(agent.ended(Duration::from_secs(5)).await, 5, "started again it goes on: {}", agent.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b20_an_agent_that_was_off_learns_of_its_revocation_at_the_door() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "off", "b20-off");
    let host = agent.joined(&installation.token().await.join_string).await;
    installation.retire(host).await;
    agent.run();
    assert_eq!(agent.ended(Duration::from_secs(10)).await, 5, "{}", agent.said());
    assert_eq!(agent.key_bytes(), None);
}

/// Slow: a suspended agent comes back when the server told it to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b20_a_suspended_agent_backs_off_and_resumes_within_a_minute() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "paused", "b20-paused");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    let channels = || async { installation.server.metric("muster_channels").await };
    until("the agent does not connect", Duration::from_secs(10), async || {
        (channels().await == 1.0).then_some(())
    })
    .await;
    let key = agent.key_bytes();
    installation.suspend(host).await;
    until("the channel stays open", AT_ONCE, async || (channels().await == 0.0).then_some(())).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(agent.is_running(), "{}", agent.said());
    assert_eq!(channels().await, 0.0);
    installation.resume(host).await;
    until("the agent does not come back", Duration::from_secs(60), async || {
        (channels().await == 1.0).then_some(())
    })
    .await;
    assert_eq!(agent.key_bytes(), key);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_that_leaves_retires_its_host() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "leaver", "leaver");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    assert_eq!(agent.stop().await, 0, "{}", agent.said());
    let command = agent.command(&["leave", "--yes"]);
    let left = muster_testkit::binaries::run(command, None, Duration::from_secs(15)).await.unwrap();
    assert_eq!(left.code, 0, "{}", left.said());
    assert_eq!(installation.host(host).await.state, HostState::Retired);
    assert_eq!(agent.key_bytes(), None);
    assert_eq!(agent.identity(), serde_json::Value::Null);
}
