//! Somebody who passes for the server on the wire and has not its instruction key: no word of theirs costs a machine the
//! key the server knows (SECURITY B23).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use muster_agent::state::{Membership, StateView};
use muster_ids::{HostId, KeyThumbprint};
use muster_proof::{HostKey, successor};
use muster_wire::channel::{AgentMessage, ServerMessage, close};
use muster_wire::parting::GoodbyeReason;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::{config, joined};
use crate::fake::{Act, Fake, Peer, Rig, admitted_as, host_id, problem, proof_refused};

const FORK: &str = "/v1/enroll/fork";
const CONNECT: &str = "/v1/agent/connect";

fn other_host() -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(crate::fake::HOST + 1))
}

/// A machine that joined, and who answers it.
struct Scene {
    machine: Rig,
    fake: Fake,
    /// Whether an imposter answers: every key is taken, and every copy admitted. The server itself calls nobody a copy.
    imposter: Arc<AtomicBool>,
    /// The keys the server takes; none: any.
    known: Arc<Mutex<Vec<KeyThumbprint>>>,
}

impl Scene {
    async fn new() -> Self {
        let imposter: Arc<AtomicBool> = Arc::default();
        let known: Arc<Mutex<Vec<KeyThumbprint>>> = Arc::default();
        let instruction: Arc<OnceLock<KeyThumbprint>> = Arc::default();
        let (lies, knows, told) = (Arc::clone(&imposter), Arc::clone(&known), Arc::clone(&instruction));
        let (machine, fake) = joined(move |_, seen| {
            if let Some(refused) = proof_refused(seen) {
                return Some(refused);
            }
            let lies = lies.load(Ordering::SeqCst);
            let knows = knows.lock().unwrap();
            match seen.target.as_str() {
                FORK if lies => Some(admitted_as(other_host(), *told.get().unwrap(), "new")),
                FORK => Some(problem(409, "not_a_copy")),
                CONNECT if lies || knows.is_empty() || knows.contains(&seen.key()) => Some(Act::Upgrade),
                _ => Some(problem(401, "unauthorized")),
            }
        })
        .await;
        instruction.set(fake.instruction.thumbprint()).expect("set once");
        Self { machine, fake, imposter, known }
    }
}

fn key_of(machine: &Rig) -> KeyThumbprint {
    let view = StateView::open(&machine.folder()).unwrap().unwrap();
    HostKey::from_pkcs8(&view.host_key().unwrap().unwrap()).unwrap().thumbprint()
}

/// Comes back as the host it was, with what it held.
async fn comes_back(fake: &mut Fake, key: KeyThumbprint) {
    let mut peer = fake.channel().await;
    assert_eq!(peer.key(), key);
    let (claims, _) = peer.welcome_in("g2", None).await;
    assert_eq!((claims.host_id, claims.generation.as_deref()), (host_id(), Some("g1")));
}

async fn next_key(peer: &mut Peer) -> KeyThumbprint {
    peer.say(&ServerMessage::RotateKey {}).await;
    let Some(AgentMessage::NextKey { proof }) = peer.hear().await else { panic!("no next key") };
    let key = successor::verify_next_key(&proof).unwrap().0.thumbprint();
    peer.say(&ServerMessage::NextKeyStored { key }).await;
    key
}

/// Ends a channel after everything that was said on it was heard.
async fn leave(mut peer: Peer) {
    peer.say(&ServerMessage::Goodbye { reason: GoodbyeReason::Busy.line(), retry_after_secs: 0 }).await;
    assert_eq!(peer.hear().await, None, "it answered what it must not");
}

#[tokio::test]
async fn b23_an_imposter_that_says_generation_stale_costs_no_identity() {
    let Scene { machine, mut fake, .. } = Scene::new().await;
    let key = key_of(&machine);
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        // It has not even seen the state: in words, and by the code alone.
        for reason in [GoodbyeReason::GenerationStale, GoodbyeReason::Fenced] {
            fake.channel().await.turn_away(reason).await;
            fake.channel().await.close(reason.close_code()).await;
        }
        // It has, and the server it stands in for is asked next.
        for (reason, times) in [(GoodbyeReason::GenerationStale, 1), (GoodbyeReason::Fenced, 3)] {
            for _ in 0..times {
                let mut peer = fake.channel().await;
                assert_eq!(peer.hello().await.generation.as_deref(), Some("g1"), "{reason}");
                peer.turn_away(reason).await;
            }
        }
        comes_back(&mut fake, key).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(fake.requests().iter().filter(|seen| seen.target == FORK).count(), 2);
    assert!(matches!(machine.identity().unwrap().membership, Membership::Joined { copy_of: None, .. }));
    assert!(!machine.file("fork.pk8").exists() && key_of(&machine) == key);
}

async fn lied_to(fake: &mut Fake, key: KeyThumbprint) {
    let mut peer = fake.channel().await;
    peer.hello().await;
    peer.turn_away(GoodbyeReason::GenerationStale).await;
    let mut peer = fake.channel().await;
    let (claims, _) = peer.welcome_in("evil", None).await;
    assert_eq!(claims.host_id, other_host());
    assert_ne!(peer.key(), key);
    peer.say(&ServerMessage::ConfigUpdate { config: config(1, &json!({})) }).await;
    peer.hear().await;
    // A statement that was said to another key, and one that the server never said.
    let recorded = peer.pins(&fake.instruction, key);
    let forged = peer.pins(&HostKey::generate(), peer.key());
    for statement in [recorded, forged] {
        peer.say(&statement).await;
    }
    peer.say(&ServerMessage::RotateKey {}).await;
    leave(peer).await;
}

#[tokio::test]
async fn b23_an_imposter_that_admits_a_fork_erases_no_key() {
    // The agent runs on when the imposter is gone, or starts anew.
    for restarts in [false, true] {
        let Scene { machine, mut fake, imposter, known } = Scene::new().await;
        let key = key_of(&machine);
        known.lock().unwrap().push(key);
        let stop = CancellationToken::new();
        let test = async {
            fake.channel().await.welcome("g1").await;
            imposter.store(true, Ordering::SeqCst);
            lied_to(&mut fake, key).await;
            if restarts {
                stop.cancel();
            }
            imposter.store(false, Ordering::SeqCst);
            if !restarts {
                comes_back(&mut fake, key).await;
                stop.cancel();
            }
        };
        machine.running(&stop, test).await.unwrap();
        if restarts {
            let stop = CancellationToken::new();
            let test = async {
                comes_back(&mut fake, key).await;
                stop.cancel();
            };
            machine.running(&stop, test).await.unwrap();
        }
        assert_eq!(key_of(&machine), key);
        let identity = machine.identity().unwrap();
        assert_eq!(identity.host_id(), Some(host_id()));
        assert!(identity.copy_of().is_none() && !machine.file("fork.pk8").exists());
    }
}

#[tokio::test]
async fn b23_an_imposter_that_welcomes_a_next_key_erases_no_key() {
    let Scene { machine, mut fake, imposter, known } = Scene::new().await;
    let key = key_of(&machine);
    known.lock().unwrap().push(key);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        imposter.store(true, Ordering::SeqCst);
        let next = next_key(&mut peer).await;
        for generation in ["evil", "worse"] {
            let mut peer = fake.channel().await;
            assert_eq!(peer.key(), next);
            peer.welcome(generation).await;
            // One key after another would push the first one out.
            peer.say(&ServerMessage::RotateKey {}).await;
            leave(peer).await;
        }
        imposter.store(false, Ordering::SeqCst);
        comes_back(&mut fake, key).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(key_of(&machine), key);
}

/// The server had stored the next key when the imposter came and welcomed it.
#[tokio::test]
async fn b23_a_next_key_that_an_imposter_welcomed_still_takes_its_place() {
    let Scene { machine, mut fake, .. } = Scene::new().await;
    let key = key_of(&machine);
    let stop = CancellationToken::new();
    let instruction = Arc::clone(&fake.instruction);
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let next = next_key(&mut peer).await;
        let mut peer = fake.channel().await;
        peer.welcome("evil").await;
        drop(peer);
        // The server never gave that.
        let mut peer = fake.channel().await;
        assert_eq!((peer.key(), peer.hello().await.generation.as_deref()), (next, Some("evil")));
        peer.close(close::POLICY).await;
        comes_back(&mut fake, key).await;
        let mut peer = fake.channel().await;
        let (claims, _) = peer.welcome_in("n1", None).await;
        assert_eq!((peer.key(), claims.generation), (next, None));
        peer.sign(&instruction).await;
        assert_eq!(key_of(&machine), next);
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

/// Whatever an imposter does with a next key, the one that the server took is not given up for a word.
#[tokio::test]
async fn b23_an_imposter_that_refuses_a_next_key_does_not_erase_it() {
    let Scene { machine, mut fake, known, .. } = Scene::new().await;
    let key = key_of(&machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let next = next_key(&mut peer).await;
        known.lock().unwrap().push(key);
        let mut peer = fake.channel().await;
        assert_eq!(peer.key(), key, "it knows no other");
        peer.welcome("evil").await;
        *known.lock().unwrap() = vec![next];
        drop(peer);
        assert_eq!(fake.channel().await.key(), next);
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}
