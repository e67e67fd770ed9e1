//! The channel: the order of the disk and the wire, and the one thing that makes an agent give up its key.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use muster_agent::error::{AgentError, Exit};
use muster_agent::leave::Left;
use muster_agent::state::{Membership, StateView};
use muster_agent::status::{self, Standing};
use muster_ids::{BearerKind, KeyThumbprint};
use muster_proof::HostKey;
use muster_wire::channel::{AgentMessage, Config, ServerMessage};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::fake::{Act, Fake, Rig, Seen, admitted, problem, problem_with, proof_refused, revoked_by};

/// A joined machine and its server, which opens every channel unless `script` has something else to say.
pub(crate) async fn joined(
    script: impl Fn(usize, &Seen) -> Option<Act> + Send + Sync + 'static,
) -> (Rig, Fake) {
    let instruction = Arc::new(HostKey::generate());
    let thumbprint = instruction.thumbprint();
    let mut fake = Fake::start(move |n, seen| {
        let answer =
            if seen.target == "/v1/enroll" { Some(admitted(thumbprint, "new")) } else { script(n, seen) };
        answer.or_else(|| proof_refused(seen)).unwrap_or(Act::Upgrade)
    })
    .await;
    fake.instruction = instruction;
    let machine = Rig::new();
    machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    (machine, fake)
}

pub(crate) fn config(n: u64, secrets: &serde_json::Value) -> Config {
    let config = json!({ "version": { "epoch": 1, "n": n }, "digest": format!("d{n}"), "secrets": secrets });
    serde_json::from_value(config).unwrap()
}

fn key(machine: &Rig) -> KeyThumbprint {
    let view = StateView::open(&machine.folder()).unwrap().unwrap();
    HostKey::from_pkcs8(&view.host_key().unwrap().unwrap()).unwrap().thumbprint()
}

#[tokio::test]
async fn generation_and_secrets_are_on_disk_before_they_are_acknowledged() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        assert!(peer.welcome("g1").await.is_empty());
        let view = StateView::open(&machine.folder()).unwrap().unwrap();
        assert_eq!(view.generation().unwrap().as_deref(), Some("g1"));
        let secrets = json!({ "repo": { "version": 3, "document": { "password": "canary" } } });
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &secrets) }).await;
        let Some(AgentMessage::ConfigApplied { digest, .. }) = peer.hear().await else {
            panic!("not applied")
        };
        assert_eq!(digest, "d1");
        let mode = fs::metadata(machine.file("config.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        // A lower version is not taken back.
        peer.say(&ServerMessage::ConfigUpdate { config: config(0, &json!({})) }).await;
        assert!(fs::read_to_string(machine.file("config.json")).unwrap().contains("canary"));
        let status = status::read(&machine.folder(), &machine.machine.policy).unwrap();
        assert!(matches!(status.standing, Standing::Joined { .. }), "{status}");
        assert!(status.last_channel.is_some() && status.secrets[0].version == 3);
        assert!(!format!("{status}{}", serde_json::to_string(&status).unwrap()).contains("canary"), "b22");
        stop.cancel();
        let Some(AgentMessage::Goodbye { .. }) = peer.hear().await else { panic!("no goodbye") };
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn c15_sixty_refusals_cost_neither_the_key_nor_an_enrolment() {
    let (machine, mut fake) = joined(|n, seen| match n {
        _ if seen.target != "/v1/agent/connect" => None,
        0..30 => Some(problem(401, "unauthorized")),
        30..45 => Some(problem(500, "internal")),
        45..61 => Some(problem_with(503, "unavailable", vec![("Retry-After", "3".into())], &json!({}))),
        _ => None,
    })
    .await;
    let before = key(&machine);
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(key(&machine), before);
    let seen = fake.requests();
    assert!(seen.len() > 61);
    assert_eq!(seen.iter().filter(|seen| seen.target == "/v1/enroll").count(), 1);
}

#[tokio::test]
async fn b23_a_forged_revocation_is_ignored_and_a_genuine_one_ends_the_agent() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let own = key(&machine);
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let secrets = json!({ "repo": { "version": 3, "document": { "password": "canary" } } });
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &secrets) }).await;
        peer.hear().await;
        let forged = [
            revoked_by(&HostKey::generate(), own),
            fake.revoked(KeyThumbprint::from_digest([7; 32])),
            "not a statement".to_owned(),
        ];
        for statement in forged {
            peer.say(&ServerMessage::Revoked { statement }).await;
        }
        peer.say(&ServerMessage::ConfigUpdate { config: config(2, &json!({})) }).await;
        let Some(AgentMessage::ConfigApplied { .. }) = peer.hear().await else { panic!("gave up") };
        assert_eq!(key(&machine), own);
        peer.say(&ServerMessage::Revoked { statement: fake.revoked(own) }).await;
        assert_eq!(peer.hear().await, None);
    };
    let stop = CancellationToken::new();
    let ended = machine.running(&stop, test).await.unwrap_err();
    assert_eq!(ended.exit(), Exit::Revoked);
    assert!(ended.to_string().contains("retired by alice"), "{ended}");
    for file in ["key.pk8", "config.json", "generation.json"] {
        assert!(!machine.file(file).exists(), "{file}");
    }
    assert!(matches!(machine.identity().unwrap().membership, Membership::Revoked { .. }));
    let again = machine.run(&stop).await.unwrap_err();
    assert_eq!(again.exit(), Exit::Revoked);
    machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    assert_ne!(key(&machine), own, "c17: a void key never comes back");
}

#[tokio::test]
async fn b23_only_a_genuine_statement_in_a_refusal_counts() {
    let statements: Arc<std::sync::OnceLock<(String, String)>> = Arc::default();
    let told = Arc::clone(&statements);
    let (machine, fake) = joined(move |n, seen| {
        if seen.target != "/v1/agent/connect" || seen.proof.as_ref()?.is_err() {
            return None;
        }
        let (forged, genuine) = told.get()?;
        let statement = if n < 6 { forged } else { genuine };
        Some(problem_with(401, "key_revoked", Vec::new(), &json!({ "revoked": statement })))
    })
    .await;
    let own = key(&machine);
    statements.set((revoked_by(&HostKey::generate(), own), fake.revoked(own))).unwrap();
    let stop = CancellationToken::new();
    let ended = machine.run(&stop).await.unwrap_err();
    assert!(matches!(ended, AgentError::Revoked { .. }), "{ended}");
    assert!(fake.requests().len() > 6);
}

#[tokio::test]
async fn a_server_out_of_its_role_is_left_and_found_again() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &json!({})) }).await;
        assert_eq!(peer.hear().await, None, "secrets before the welcome are refused");
        assert!(!machine.file("config.json").exists());
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn c11_a_server_that_falls_silent_is_left() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    machine.machine.pace.dead_after = Duration::from_millis(200);
    machine.machine.pace.ping_every = Duration::from_secs(60);
    let stop = CancellationToken::new();
    let test = async {
        let mut silent = fake.channel().await;
        silent.welcome("g1").await;
        let mut next = fake.channel().await;
        next.welcome("g2").await;
        stop.cancel();
        drop(silent);
    };
    machine.running(&stop, test).await.unwrap();
}

/// Proxies cut a connection on which one side says nothing for a minute or less. The runtime's clock moves by hand
/// alone; nothing is due on the channel but its pings.
#[tokio::test]
async fn c12_an_agent_is_never_silent_for_longer_than_25_seconds() {
    // A timer of the runtime may be a millisecond late.
    const SILENCE: Duration = Duration::from_millis(25_001);
    let (machine, mut fake) = joined(|_, _| None).await;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome_beating("g1", None, 3600).await;
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &json!({})) }).await;
        let Some(AgentMessage::ConfigApplied { .. }) = peer.hear().await else { panic!("not applied") };
        for _ in 0..8 {
            // Time would go by of itself as soon as everybody waits, but for a thread that works.
            let (heard, waiting) = mpsc::channel::<()>();
            let patience = tokio::task::spawn_blocking(move || waiting.recv_timeout(Duration::from_secs(10)));
            tokio::time::pause();
            tokio::time::advance(SILENCE).await;
            tokio::select! {
                is_open = peer.frame() => assert!(is_open, "the channel ended"),
                _ = patience => panic!("the agent said nothing for more than 25 seconds"),
            }
            tokio::time::resume();
            drop(heard);
        }
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn a_host_leaves_only_when_the_server_was_told_or_by_force() {
    let is_up = Arc::new(AtomicBool::new(false));
    let up = Arc::clone(&is_up);
    let (machine, fake) = joined(move |_, seen| {
        if !up.load(Ordering::SeqCst) {
            return Some(problem(500, "internal"));
        }
        proof_refused(seen).or_else(|| Some(Act::Reply(200, Vec::new(), json!({}))))
    })
    .await;
    let error = machine.leave(false).await.unwrap_err();
    assert_eq!(error.exit(), Exit::Unreachable);
    assert!(machine.identity().unwrap().host_id().is_some());
    is_up.store(true, Ordering::SeqCst);
    let left = machine.leave(false).await.unwrap();
    assert!(matches!(left, Left::Retired(_)));
    assert!(machine.identity().is_none() && !machine.file("key.pk8").exists());
    assert!(fake.requests().last().unwrap().target.ends_with("/leave"));
    machine.join(&fake.join_string(BearerKind::SiteKey, 1)).await.unwrap();
    is_up.store(false, Ordering::SeqCst);
    let left = machine.leave(true).await.unwrap();
    assert!(matches!(left, Left::Untold(_)));
    assert!(machine.identity().is_none());
}

#[tokio::test]
async fn an_identity_that_cannot_be_read_is_removed_by_force_only_and_not_called_none() {
    let (machine, _fake) = joined(|_, _| None).await;
    let identity = machine.file("identity.json");
    std::fs::write(&identity, "{ spoilt").unwrap();
    assert!(matches!(machine.leave(false).await, Err(AgentError::State(_))));
    assert!(identity.exists());
    assert!(matches!(machine.leave(true).await.unwrap(), Left::Unreadable));
    assert!(!identity.exists() && !machine.file("key.pk8").exists());
    assert!(matches!(machine.leave(false).await.unwrap(), Left::NoHost));
}

#[tokio::test]
async fn a_machine_that_never_joined_does_not_run() {
    let machine = Rig::new();
    let ended = muster_agent::run::run(&machine.machine, &machine.folder(), &CancellationToken::new()).await;
    assert!(matches!(ended, Err(AgentError::NotJoined)));
    let status = status::read(&machine.folder(), &machine.machine.policy).unwrap();
    assert!(matches!(status.standing, Standing::NotJoined));
}
