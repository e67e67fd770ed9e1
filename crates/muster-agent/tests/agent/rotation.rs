//! Rotation of the host key: whatever breaks, one key is left that opens the channel.

use std::sync::{Arc, Mutex, OnceLock};

use muster_agent::error::Exit;
use muster_agent::leave::Left;
use muster_agent::state::StateView;
use muster_ids::KeyThumbprint;
use muster_proof::{HostKey, successor};
use muster_wire::channel::{AgentMessage, NextKeyClaims, ServerMessage};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::joined;
use crate::fake::{Act, CHALLENGE, Fake, Peer, Rig, Seen, host_id, problem, problem_with, proof_refused};

/// The keys this server takes at the upgrade; empty: any.
type Taken = Arc<Mutex<Vec<KeyThumbprint>>>;

/// A joined machine whose server refuses upgrades by keys it does not take.
async fn rotating(revoked: Arc<OnceLock<String>>) -> (Rig, Fake, Taken) {
    let taken = Taken::default();
    let known = Arc::clone(&taken);
    let (machine, fake) = joined(move |_, seen| {
        if let Some(refused) = proof_refused(seen) {
            return Some(refused);
        }
        let known = known.lock().unwrap();
        if seen.target != "/v1/agent/connect" || known.is_empty() || known.contains(&seen.key()) {
            return None;
        }
        Some(match revoked.get() {
            Some(statement) => problem_with(401, "key_revoked", Vec::new(), &json!({ "revoked": statement })),
            None => problem(401, "unauthorized"),
        })
    })
    .await;
    (machine, fake, taken)
}

fn on_disk(machine: &Rig) -> (KeyThumbprint, Option<KeyThumbprint>) {
    let view = StateView::open(&machine.folder()).unwrap().unwrap();
    let thumbprint = |document: &[u8]| HostKey::from_pkcs8(document).unwrap().thumbprint();
    (
        thumbprint(&view.host_key().unwrap().unwrap()),
        view.next_key().unwrap().map(|document| thumbprint(&document)),
    )
}

/// Asks for the next key and returns it with its claims.
async fn asked(peer: &mut Peer) -> (KeyThumbprint, NextKeyClaims) {
    peer.say(&ServerMessage::RotateKey {}).await;
    let Some(AgentMessage::NextKey { proof }) = peer.hear().await else { panic!("no next key") };
    let (key, claims) = successor::verify_next_key(&proof).unwrap();
    (key.thumbprint(), claims)
}

/// Runs the agent beside `test`, which cancels it.
async fn run(machine: &Rig, test: impl AsyncFnOnce(&CancellationToken)) {
    let stop = CancellationToken::new();
    machine.running(&stop, test(&stop)).await.unwrap();
}

#[tokio::test]
async fn b24_a_key_is_exchanged_for_one_that_both_vouched_for() {
    let (machine, mut fake, _) = rotating(Arc::default()).await;
    let (former, none) = on_disk(&machine);
    let instruction = Arc::clone(&fake.instruction);
    assert_eq!(none, None);
    run(&machine, async |stop| {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let (next, claims) = asked(&mut peer).await;
        let expected = NextKeyClaims { host_id: host_id(), former, challenge: CHALLENGE.to_owned() };
        assert_eq!(claims, expected);
        assert_eq!(on_disk(&machine), (former, Some(next)), "on disk before it is shown");
        assert_eq!(asked(&mut peer).await.0, next, "asked again: the same one");
        peer.say(&ServerMessage::NextKeyStored { key: HostKey::generate().thumbprint() }).await;
        peer.say(&ServerMessage::NextKeyStored { key: former }).await;
        peer.say(&ServerMessage::NextKeyStored { key: next }).await;
        assert_eq!(peer.hear().await, None, "it connects anew");
        let mut peer = fake.channel().await;
        assert_eq!(peer.key(), next);
        let (claims, _) = peer.welcome_in("n1", None).await;
        assert_eq!(claims.generation, None, "generations begin anew with a key");
        peer.sign(&instruction).await;
        assert_eq!(on_disk(&machine), (next, None));
        drop(peer);
        stop.cancel();
    })
    .await;
}

/// The connection breaks after each step in turn, and the agent with it; the server is where it was.
#[tokio::test]
async fn c03_a_crash_at_any_step_of_a_rotation_converges() {
    for step in 0..5 {
        let (machine, mut fake, taken) = rotating(Arc::default()).await;
        let former = on_disk(&machine).0;
        taken.lock().unwrap().push(former);
        let mut next = None;
        run(&machine, async |stop| {
            let mut peer = fake.channel().await;
            peer.welcome("g1").await;
            match step {
                // The next key was shown, and its proof was lost.
                0 => next = Some(asked(&mut peer).await.0),
                // The server stored it, and its answer was lost.
                1 => {
                    next = Some(asked(&mut peer).await.0);
                    taken.lock().unwrap().extend(next);
                }
                // The server told so; the first connection with it gets no further than the upgrade.
                2.. => {
                    let key = asked(&mut peer).await.0;
                    next = Some(key);
                    taken.lock().unwrap().push(key);
                    peer.say(&ServerMessage::NextKeyStored { key }).await;
                    let mut peer = fake.channel().await;
                    assert_eq!(peer.key(), key);
                    if step > 2 {
                        // The hello was verified: the former key is replaced from here on.
                        peer.hello().await;
                        taken.lock().unwrap().retain(|known| *known == key);
                    }
                    if step > 3 {
                        let welcome = json!({
                            "type": "welcome", "generation": "n1", "heartbeat_secs": 1,
                            "server_time": muster_ids::Timestamp::from_millis(1),
                        });
                        peer.say(&serde_json::from_value(welcome).unwrap()).await;
                        peer.hear().await;
                    }
                }
                _ => {}
            }
            drop(peer);
            stop.cancel();
        })
        .await;
        let next = next.unwrap();
        let instruction = Arc::clone(&fake.instruction);
        run(&machine, async |stop| {
            let mut peer = fake.channel().await;
            let is_stored = step > 0;
            assert_eq!(peer.key(), if is_stored { next } else { former }, "step {step}");
            let (claims, _) = peer.welcome_in("x", None).await;
            let expected = match step {
                0 => Some("g1"),
                4 => Some("n1"),
                _ => None,
            };
            assert_eq!(claims.generation.as_deref(), expected, "step {step}");
            peer.sign(&instruction).await;
            // The server asks again where it never stored it, and gets one.
            let (again, _) = asked(&mut peer).await;
            assert_ne!(again, peer.key());
            assert_eq!(on_disk(&machine), (peer.key(), Some(again)), "step {step}");
            stop.cancel();
        })
        .await;
    }
}

#[tokio::test]
async fn b24_a_statement_about_the_former_key_does_not_end_an_agent_whose_next_key_counts() {
    let revoked: Arc<OnceLock<String>> = Arc::default();
    let (machine, mut fake, taken) = rotating(Arc::clone(&revoked)).await;
    let former = on_disk(&machine).0;
    run(&machine, async |stop| {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let (next, _) = asked(&mut peer).await;
        peer.say(&ServerMessage::NextKeyStored { key: next }).await;
        // The first connection with the next key is lost after the server verified it.
        fake.channel().await.hello().await;
        taken.lock().unwrap().push(next);
        // On the channel, and in a refusal.
        let mut peer = fake.channel().await;
        assert_eq!(peer.key(), next);
        peer.hello().await;
        peer.say(&ServerMessage::Revoked { statement: fake.revoked(former) }).await;
        assert_eq!(peer.hear().await, None);
        revoked.set(fake.revoked(former)).unwrap();
        let mut peer = fake.channel().await;
        peer.welcome_in("n1", None).await;
        peer.say(&ServerMessage::Revoked { statement: fake.revoked(former) }).await;
        asked(&mut peer).await;
        assert_eq!(on_disk(&machine).0, next);
        stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn b24_a_statement_about_the_next_key_leaves_the_former_one() {
    let revoked: Arc<OnceLock<String>> = Arc::default();
    let (machine, mut fake, taken) = rotating(Arc::clone(&revoked)).await;
    let former = on_disk(&machine).0;
    run(&machine, async |stop| {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let (first, _) = asked(&mut peer).await;
        peer.say(&ServerMessage::Revoked { statement: fake.revoked(first) }).await;
        let (second, _) = asked(&mut peer).await;
        assert_ne!(first, second, "a void key is not shown again");
        taken.lock().unwrap().push(former);
        revoked.set(fake.revoked(second)).unwrap();
        peer.say(&ServerMessage::NextKeyStored { key: second }).await;
        let mut peer = fake.channel().await;
        assert_eq!(peer.key(), former);
        assert_eq!(peer.welcome_in("g2", None).await.0.generation.as_deref(), Some("g1"));
        assert_eq!(on_disk(&machine), (former, None));
        stop.cancel();
    })
    .await;
}

#[tokio::test]
async fn b23_a_revocation_ends_a_host_with_two_keys_and_removes_both() {
    let (machine, mut fake, _) = rotating(Arc::default()).await;
    let former = on_disk(&machine).0;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let (next, _) = asked(&mut peer).await;
        peer.say(&ServerMessage::NextKeyStored { key: next }).await;
        let mut peer = fake.channel().await;
        peer.hello().await;
        for key in [former, next] {
            peer.say(&ServerMessage::Revoked { statement: fake.revoked(key) }).await;
            if key == former {
                peer = fake.channel().await;
                peer.hello().await;
            }
        }
    };
    let ended = machine.running(&stop, test).await.unwrap_err();
    assert_eq!(ended.exit(), Exit::Revoked);
    for file in ["key.pk8", "next.pk8", "next.json", "generation.json", "config.json"] {
        assert!(!machine.file(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn a_machine_leaves_with_the_key_that_counts() {
    let statement: Arc<OnceLock<(KeyThumbprint, String)>> = Arc::default();
    let told = Arc::clone(&statement);
    let (machine, mut fake) = joined(move |_, seen: &Seen| {
        if let Some(refused) = proof_refused(seen) {
            return Some(refused);
        }
        let (void, statement) = told.get()?;
        if !seen.target.ends_with("/leave") {
            return None;
        }
        if seen.key() == *void {
            let body = json!({ "revoked": statement });
            return Some(problem_with(401, "key_revoked", Vec::new(), &body));
        }
        Some(Act::Reply(200, Vec::new(), json!({})))
    })
    .await;
    let former = on_disk(&machine).0;
    run(&machine, async |stop| {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let (next, _) = asked(&mut peer).await;
        peer.say(&ServerMessage::NextKeyStored { key: next }).await;
        assert_eq!(peer.hear().await, None);
        stop.cancel();
    })
    .await;
    statement.set((former, fake.revoked(former))).unwrap();
    assert!(matches!(machine.leave(false).await.unwrap(), Left::Retired(_)));
    assert!(!machine.file("key.pk8").exists() && !machine.file("next.pk8").exists());
}
