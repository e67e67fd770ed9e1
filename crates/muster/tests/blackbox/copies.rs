//! Copied state folders of a host that had joined, started as real agents (DESIGN §4 and §5, SECURITY C10).

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use http::Method;
use muster_ids::{ClaimId, HostId};
use muster_wire::claim::{Claim, ClaimReason, ClaimState, DecidedClaims};
use serde_json::{Value, json};

use crate::harness::{Agent, Backend, Installation, is_soak, until};

const WITHIN: Duration = Duration::from_secs(60);

fn copy_folder(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// An agent on a copy of another one's state folder.
fn copy_of(original: &Agent, folder: &Path, name: &str) -> Agent {
    let copy = Agent::new(folder, name, "unused: the state names it");
    copy_folder(&original.state, &copy.state);
    copy
}

fn holds(agent: &Agent, text: &str) -> bool {
    fs::read_to_string(agent.state.join("config.json")).is_ok_and(|config| config.contains(text))
}

fn waiting(agent: &Agent) -> Option<ClaimId> {
    let identity = agent.identity();
    (identity["membership"]["state"] == "forking")
        .then(|| identity["membership"]["waiting"]["claim_id"].as_str()?.parse().ok())?
}

async fn put_secret(installation: &Installation, host: HostId, password: &str) {
    let patch = json!({ "url": "/srv/nowhere", "password": password });
    let path = format!("/v1/hosts/{host}/secrets/repo");
    let put = installation.ask(Method::PUT, &path, Some(&patch)).await;
    assert!(put.status < 300, "{}", put.text);
}

async fn until_it_holds(agent: &Agent, text: &str) {
    until(&format!("{} does not get its secret:\n{}", agent.name, agent.said()), WITHIN, async || {
        holds(agent, text).then_some(())
    })
    .await;
}

async fn decide(installation: &Installation, claims: &[Claim], verdict: impl Fn(usize) -> &'static str) {
    let decision = |(n, claim): (usize, &Claim)| json!({ "claim_id": claim.id, "verdict": verdict(n), "evidence_version": claim.evidence_version });
    let decisions: Vec<Value> = claims.iter().enumerate().map(decision).collect();
    let decided: DecidedClaims = installation
        .owner
        .api
        .post("/v1/claims/decisions", &json!({ "decisions": decisions }))
        .await
        .unwrap();
    assert_eq!(decided.items.len(), claims.len());
    for item in &decided.items {
        assert!(item.refused.is_none(), "{item:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_copied_state_folders_become_one_host_and_claims_and_no_secret_reaches_them() {
    let count = if is_soak() { 40 } else { 8 };
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder();
    let mut original = Agent::new(folder, "original", "c10-original");
    let host = original.joined(&installation.token().await.join_string).await;
    original.run();
    put_secret(&installation, host, "canary-before").await;
    until_it_holds(&original, "canary-before").await;
    assert_eq!(original.stop().await, 0);
    let former = original.key_bytes();

    let mut agents: Vec<Agent> =
        (0..count).map(|n| copy_of(&original, folder, &format!("copy-{n}"))).collect();
    agents.iter_mut().for_each(Agent::run);
    until("there is no claim for each copy but one", WITHIN, async || {
        let waiting: BTreeSet<ClaimId> = agents.iter().filter_map(waiting).collect();
        (waiting.len() == count - 1).then_some(())
    })
    .await;
    installation.until_presence(host, "online", WITHIN).await;
    assert_eq!(installation.server.metric("muster_channels").await, 1.0);
    put_secret(&installation, host, "canary-after").await;
    let (copies, holders): (Vec<&mut Agent>, Vec<&mut Agent>) =
        agents.iter_mut().partition(|agent| waiting(agent).is_some());
    let [holder] = holders.try_into().unwrap_or_else(|_| panic!("one agent is the host"));
    until_it_holds(holder, "canary-after").await;
    assert_eq!(holder.key_bytes(), former);

    let claims = installation.claims().await;
    assert_eq!(claims.len(), count - 1);
    let keys: BTreeSet<String> = claims.iter().map(|claim| claim.machine.key.to_string()).collect();
    assert_eq!(keys.len(), count - 1, "each copy made itself a key of its own");
    for claim in &claims {
        assert_eq!((claim.reason, claim.state), (ClaimReason::Clone, ClaimState::Waiting));
        assert!(claim.machine.former_key.is_some_and(|former| former != claim.machine.key));
        assert!(claim.contested.as_ref().is_some_and(|contested| contested.id == host));
    }
    for copy in &copies {
        assert!(!holds(copy, "canary"), "{} keeps a secret", copy.name);
        let said = fs::read_to_string(&copy.log).unwrap();
        assert!(!said.contains("canary"), "{said}");
        let status = copy.command(&["status"]).output().unwrap();
        let status = String::from_utf8(status.stdout).unwrap();
        assert!(status.contains("this state is a copy: waiting for a person to decide claim_"), "{status}");
    }

    // One question, many answers at once: every second copy is a machine of its own.
    decide(&installation, &claims, |n| if n % 2 == 0 { "new" } else { "reject" }).await;
    let is_new = |claim: ClaimId| claims.iter().position(|known| known.id == claim).unwrap() % 2 == 0;
    let mut admitted = 0;
    for copy in copies {
        let claim = waiting(copy).unwrap();
        // A restart asks with the same key, at once.
        copy.kill9();
        copy.run();
        if is_new(claim) {
            admitted += 1;
            until(&format!("{} is not admitted:\n{}", copy.name, copy.said()), WITHIN, async || {
                (copy.identity()["membership"]["state"] == "joined").then_some(())
            })
            .await;
            assert_ne!(copy.host_id(), host);
            installation.until_presence(copy.host_id(), "online", WITHIN).await;
            // What the server signs to the new key makes it the only one.
            until(&format!("{} keeps two keys:\n{}", copy.name, copy.said()), WITHIN, async || {
                (copy.key_bytes() != former && !copy.state.join("fork.pk8").exists()).then_some(())
            })
            .await;
        } else {
            assert_eq!(copy.ended(WITHIN).await, 1, "{}", copy.said());
            assert!(copy.said().contains("a person refused it"), "{}", copy.said());
        }
        assert!(!holds(copy, "canary"), "{} got a secret", copy.name);
    }
    let hosts = installation.hosts().await;
    assert_eq!(hosts.len(), 1 + admitted);
    installation.until_presence(host, "online", WITHIN).await;
    assert_eq!(holder.key_bytes(), former, "the host that worked on kept its key");
}

/// A machine that was set back to a snapshot is one question, and one answer gives it back what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_a_machine_set_back_to_a_snapshot_gets_its_host_back_with_one_answer() {
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder();
    let mut agent = Agent::new(folder, "snapshot", "c10-snapshot");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    put_secret(&installation, host, "canary-snapshot").await;
    until_it_holds(&agent, "canary-snapshot").await;
    assert_eq!(agent.stop().await, 0);
    let snapshot = agent.home.join("snapshot");
    copy_folder(&agent.state, &snapshot);
    // Once is not enough: a generation the agent has stored and was killed before it acknowledged does not make the one before it stale.
    for _ in 0..2 {
        let before = fs::read(agent.state.join("generation.json")).unwrap();
        agent.run();
        until("the generation does not move on", WITHIN, async || {
            (fs::read(agent.state.join("generation.json")).unwrap() != before).then_some(())
        })
        .await;
        agent.kill9();
    }
    fs::remove_dir_all(&agent.state).unwrap();
    copy_folder(&snapshot, &agent.state);
    agent.run();
    until(&format!("there is no question:\n{}", agent.said()), WITHIN, async || waiting(&agent)).await;
    let claims = installation.claims().await;
    assert_eq!(claims.len(), 1, "{claims:?}");
    let decision = json!({
        "verdict": "replace", "evidence_version": claims[0].evidence_version, "with_secrets": true,
    });
    let path = format!("/v1/claims/{}/decision", claims[0].id);
    let decided = installation.ask(Method::POST, &path, Some(&decision)).await;
    assert_eq!(decided.status, 200, "{}", decided.text);
    agent.kill9();
    agent.run();
    until_it_holds(&agent, "canary-snapshot").await;
    assert_eq!(agent.host_id(), host);
    installation.until_presence(host, "online", WITHIN).await;
    assert_eq!(installation.hosts().await.len(), 1);
}

/// Power cuts and lost acknowledgements of a single machine are no copies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_kill_9_of_the_agent_at_any_moment_is_no_false_alarm() {
    let rounds = if is_soak() { 200 } else { 12 };
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "single", "c10-single");
    let host = agent.joined(&installation.token().await.join_string).await;
    let key = agent.key_bytes();
    for round in 0..rounds {
        agent.run();
        tokio::time::sleep(Duration::from_millis(10 + (round * 37) % 190)).await;
        agent.kill9();
    }
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
    assert_eq!(agent.key_bytes(), key);
    assert!(installation.claims().await.is_empty(), "{}", agent.said());
    assert!(!agent.said().contains("copy"), "{}", agent.said());
}
