//! Copies: a state that is not this machine's, or not the newest, opens nothing and asks for an identity of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use muster_agent::error::{AgentError, Exit};
use muster_agent::keys::Keys;
use muster_agent::leave::Left;
use muster_agent::state::{Membership, StateView};
use muster_agent::status::{self, Standing};
use muster_ids::{BearerKind, ClaimId, HostId, KeyThumbprint};
use muster_proof::{HostKey, PublicKey, successor};
use muster_wire::channel::ServerMessage;
use muster_wire::claim::CopyCause;
use muster_wire::enroll::{ForkClaims, ForkRequest};
use muster_wire::parting::GoodbyeReason;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::{config, joined};
use crate::fake::{
    Act, Fake, Rig, Seen, admitted_as, host_id, problem, problem_with, proof_refused, revoked_by,
};

const FORK: &str = "/v1/enroll/fork";

fn other_host() -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(crate::fake::HOST + 1))
}

fn claim() -> ClaimId {
    ClaimId::from_uuid(uuid::Uuid::from_u128(crate::fake::HOST + 2))
}

/// A joined machine whose server answers the n-th fork as `answer` says, with the instruction key at hand.
async fn forking(answer: impl Fn(usize, KeyThumbprint, &Seen) -> Act + Send + Sync + 'static) -> (Rig, Fake) {
    let instruction: Arc<OnceLock<KeyThumbprint>> = Arc::default();
    let told = Arc::clone(&instruction);
    let forks = Mutex::new(0);
    let (machine, fake) = joined(move |_, seen| {
        if seen.target != FORK {
            return None;
        }
        proof_refused(seen).or_else(|| {
            let mut forks = forks.lock().unwrap();
            *forks += 1;
            Some(answer(*forks - 1, *told.get().expect("set before the first fork"), seen))
        })
    })
    .await;
    instruction.set(fake.instruction.thumbprint()).expect("set once");
    (machine, fake)
}

fn waits(instruction_key: KeyThumbprint) -> Act {
    let body = json!({
        "claim_id": claim(), "reason": "clone", "retry_after_secs": 1, "instruction_key": instruction_key,
        "server_time": muster_ids::Timestamp::from_millis(1_700_000_000_000),
    });
    Act::Reply(202, vec![("Retry-After", "1".to_owned())], body)
}

fn forks(fake: &Fake) -> Vec<(KeyThumbprint, ForkRequest)> {
    let seen = fake.requests();
    let forks = seen.iter().filter(|seen| seen.target == FORK && matches!(seen.proof, Some(Ok(_))));
    forks.map(|seen| (seen.key(), serde_json::from_slice(&seen.body).unwrap())).collect()
}

async fn told_stale(fake: &mut Fake) {
    let mut peer = fake.channel().await;
    peer.hello().await;
    peer.turn_away(GoodbyeReason::GenerationStale).await;
}

fn public_key(machine: &Rig) -> PublicKey {
    let view = StateView::open(&machine.folder()).unwrap().unwrap();
    *HostKey::from_pkcs8(&view.host_key().unwrap().unwrap()).unwrap().public_key()
}

fn vouched(request: &ForkRequest, former: &PublicKey) -> ForkClaims {
    successor::verify_fork(request.statement.as_str(), former).unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
}

/// A machine of its own that runs on a copy of the state folder.
fn copy_of(machine: &Rig) -> Rig {
    let copy = Rig::new();
    copy_folder(&machine.folder(), &copy.folder());
    copy
}

/// Gives a machine hardware and an installation that a test chose.
fn on_hardware(machine: &mut Rig, serial: &str) {
    let root = machine.parent.path().join("root");
    let dmi = root.join("sys/class/dmi/id");
    fs::create_dir_all(&dmi).unwrap();
    fs::write(dmi.join("product_uuid"), serial).unwrap();
    machine.machine.root = root;
}

fn install_id(machine: &Rig) -> PathBuf {
    machine.parent.path().join("state-install/id")
}

#[tokio::test]
async fn c10_a_stale_state_forks_at_once_and_becomes_a_host_of_its_own() {
    let (machine, mut fake) = forking(|n, instruction, _| match n {
        0 => Act::Close,
        1 => problem(503, "unavailable"),
        2 | 3 => waits(instruction),
        _ => admitted_as(other_host(), instruction, "new"),
    })
    .await;
    let former = public_key(&machine);
    let instruction = Arc::clone(&fake.instruction);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let secrets = json!({ "repo": { "version": 3, "document": { "password": "canary" } } });
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &secrets) }).await;
        peer.hear().await;
        drop(peer);
        let mut peer = fake.channel().await;
        assert_eq!(peer.hello().await.generation.as_deref(), Some("g1"));
        peer.turn_away(GoodbyeReason::GenerationStale).await;
        let mut peer = fake.channel().await;
        let (claims, _) = peer.welcome_in("n1", None).await;
        assert_eq!((claims.host_id, claims.generation), (other_host(), None));
        assert_ne!(peer.key(), former.thumbprint());
        peer.sign(&instruction).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let asked = forks(&fake);
    assert_eq!(asked.len(), 5);
    for (key, request) in &asked {
        assert_eq!(*key, asked[0].0, "every try by the same new key");
        let claims = vouched(request, &former);
        assert_eq!((claims.key, claims.host_id, claims.cause), (*key, host_id(), CopyCause::GenerationStale));
        assert_eq!(claims.generation.as_deref(), Some("g1"));
    }
    assert_eq!(public_key(&machine).thumbprint(), asked[0].0);
    assert!(!machine.file("config.json").exists() && !machine.file("fork.pk8").exists());
    assert_eq!(machine.identity().unwrap().host_id(), Some(other_host()));
}

#[tokio::test]
async fn c10_a_copy_keeps_no_secret_of_the_host_it_was_copied_from_while_it_waits() {
    let (machine, mut fake) = forking(|_, instruction, _| waits(instruction)).await;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        let secrets = json!({ "repo": { "version": 3, "document": { "password": "canary" } } });
        peer.say(&ServerMessage::ConfigUpdate { config: config(1, &secrets) }).await;
        peer.hear().await;
        drop(peer);
        told_stale(&mut fake).await;
        let told = async {
            loop {
                let status = status::read(&machine.folder(), &machine.machine.policy).unwrap();
                if matches!(status.standing, Standing::Copied { claim_id: Some(_), .. }) {
                    return status;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let status = tokio::time::timeout(Duration::from_secs(10), told).await.expect("it waits");
        let said = format!("this state is a copy: waiting for a person to decide {}", claim());
        assert!(status.to_string().contains(&said), "{status}");
        assert!(!machine.file("config.json").exists());
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    // A restart asks on with the same key, and no channel is opened with the former one any more.
    let before = forks(&fake);
    let connects =
        |fake: &Fake| fake.requests().iter().filter(|seen| seen.target == "/v1/agent/connect").count();
    let connected = connects(&fake);
    let stop = CancellationToken::new();
    let test = async {
        while forks(&fake).len() < before.len() + 3 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert!(forks(&fake).iter().all(|(key, _)| *key == before[0].0));
    assert_eq!(connects(&fake), connected);
}

#[tokio::test]
async fn c11_a_single_machine_is_not_fenced_out_by_its_own_last_connection() {
    let (machine, mut fake) = forking(|_, _, _| panic!("it forked")).await;
    let former = public_key(&machine).thumbprint();
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        for generation in ["g2", "g3"] {
            for _ in 0..2 {
                let mut peer = fake.channel().await;
                peer.hello().await;
                peer.turn_away(GoodbyeReason::Fenced).await;
            }
            fake.channel().await.welcome(generation).await;
        }
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(public_key(&machine).thumbprint(), former);
}

#[tokio::test]
async fn c10_a_copy_beside_a_machine_that_answers_forks_after_a_bounded_time() {
    let (machine, mut fake) =
        forking(|_, instruction, _| admitted_as(other_host(), instruction, "new")).await;
    let former = public_key(&machine);
    let stop = CancellationToken::new();
    let test = async {
        for _ in 0..3 {
            let mut peer = fake.channel().await;
            peer.hello().await;
            peer.turn_away(GoodbyeReason::Fenced).await;
        }
        let (claims, _) = fake.channel().await.welcome_in("n1", None).await;
        assert_eq!(claims.host_id, other_host());
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(vouched(&forks(&fake)[0].1, &former).cause, CopyCause::Fenced);
}

#[tokio::test]
async fn a_held_host_keeps_its_key_and_comes_back() {
    let (machine, mut fake) = forking(|_, _, _| panic!("it forked")).await;
    let former = public_key(&machine).thumbprint();
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.hello().await;
        peer.turn_away(GoodbyeReason::Held).await;
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(public_key(&machine).thumbprint(), former);
}

#[tokio::test]
async fn c10_a_folder_on_other_hardware_never_uses_the_key_it_found() {
    let (mut machine, mut fake) =
        forking(|_, instruction, _| admitted_as(other_host(), instruction, "new")).await;
    on_hardware(&mut machine, "6d0a3b1e-0000-4000-8000-00000000000a");
    let stop = CancellationToken::new();
    // The place is not known yet, as after an upgrade from an older agent: it is written down.
    forget_place(&machine);
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let former = public_key(&machine);
    let instruction = Arc::clone(&fake.instruction);
    let mut copy = copy_of(&machine);
    on_hardware(&mut copy, "6d0a3b1e-0000-4000-8000-00000000000b");
    let connects = fake.requests().len();
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        let (claims, _) = peer.welcome_in("n1", None).await;
        assert_eq!(claims.host_id, other_host());
        peer.sign(&instruction).await;
        stop.cancel();
    };
    copy.running(&stop, test).await.unwrap();
    let (new, request) = forks(&fake)[0].clone();
    assert_eq!(vouched(&request, &former).cause, CopyCause::MachineUidDiffers);
    assert_ne!(request.machine_uid, machine.identity().unwrap().machine_uid, "it tells its own hardware");
    let seen = fake.requests();
    let with_former = seen[connects..]
        .iter()
        .filter(|seen| matches!(&seen.proof, Some(Ok(proof)) if proof.thumbprint == former.thumbprint()));
    assert_eq!(with_former.count(), 0, "not one proof by the key it found");
    assert_eq!(public_key(&copy).thumbprint(), new);
    assert_eq!(public_key(&machine).thumbprint(), former.thumbprint());
}

fn forget_place(machine: &Rig) {
    let file = machine.file("identity.json");
    let mut identity: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    identity.as_object_mut().unwrap().remove("made_on").unwrap();
    fs::write(&file, identity.to_string()).unwrap();
}

#[tokio::test]
async fn c10_a_folder_in_another_installation_is_a_copy_and_a_reinstalled_package_is_none() {
    let (machine, mut fake) =
        forking(|_, instruction, _| admitted_as(other_host(), instruction, "new")).await;
    assert!(install_id(&machine).exists(), "made when the machine joined");
    // The package was removed with its install id and installed again.
    fs::remove_file(install_id(&machine)).unwrap();
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert!(install_id(&machine).exists() && forks(&fake).is_empty());

    // A container on the same machine, into which the folder was copied, with an installation of its own.
    let copy = copy_of(&machine);
    copy_folder(&machine.parent.path().join("state-install"), &copy.parent.path().join("state-install"));
    fs::write(install_id(&copy), [7; 32]).unwrap();
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome_in("n1", None).await;
        stop.cancel();
    };
    copy.running(&stop, test).await.unwrap();
    assert_eq!(vouched(&forks(&fake)[0].1, &public_key(&machine)).cause, CopyCause::InstallIdDiffers);
}

#[tokio::test]
async fn a_copy_neither_joins_nor_leaves_for_the_machine_it_was_copied_from() {
    let (machine, fake) = forking(|_, _, _| panic!("not asked to")).await;
    let join = fake.join_string(BearerKind::SiteKey, 1);
    let copy = copy_of(&machine);
    fs::create_dir_all(install_id(&copy).parent().unwrap()).unwrap();
    fs::write(install_id(&copy), [7; 32]).unwrap();
    let before = fake.requests().len();
    let told = copy.join(&join).await.unwrap_err();
    assert!(matches!(told, AgentError::Copied), "{told}");
    assert!(matches!(copy.leave(false).await.unwrap(), Left::NoHost));
    assert_eq!(fake.requests().len(), before, "nobody was told anything");
    assert!(copy.identity().is_none() && !copy.file("key.pk8").exists());
    copy.join(&join).await.unwrap();
    assert_ne!(public_key(&copy).thumbprint(), public_key(&machine).thumbprint());
}

#[tokio::test]
async fn a_refused_copy_stops_with_words_and_asks_once_more_at_its_next_start() {
    let (machine, mut fake) = forking(|n, instruction, _| match n {
        0 => waits(instruction),
        1 => problem(403, "claim_rejected"),
        _ => admitted_as(other_host(), instruction, "new"),
    })
    .await;
    let stop = CancellationToken::new();
    let test = async {
        told_stale(&mut fake).await;
    };
    let ended = machine.running(&stop, test).await.unwrap_err();
    assert_eq!(ended.exit(), Exit::Failed);
    assert!(ended.to_string().contains(&format!("a person refused it (claim {})", claim())), "{ended}");
    let status = status::read(&machine.folder(), &machine.machine.policy).unwrap();
    assert!(status.to_string().contains("this state is a copy: a person refused it"), "{status}");
    // The claim was cleared meanwhile.
    let test = async {
        fake.channel().await.welcome_in("n1", None).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn b23_a_waiting_copy_gives_up_for_a_genuine_statement_only() {
    let statements: Arc<OnceLock<(String, String)>> = Arc::default();
    let told = Arc::clone(&statements);
    let (machine, mut fake) = forking(move |n, _, _| {
        let (forged, genuine) = told.get().unwrap();
        let statement = if n < 3 { forged } else { genuine };
        problem_with(401, "key_revoked", Vec::new(), &json!({ "revoked": statement }))
    })
    .await;
    let former = public_key(&machine).thumbprint();
    statements.set((revoked_by(&HostKey::generate(), former), fake.revoked(former))).unwrap();
    let stop = CancellationToken::new();
    let test = async {
        told_stale(&mut fake).await;
    };
    let ended = machine.running(&stop, test).await.unwrap_err();
    assert_eq!(ended.exit(), Exit::Revoked);
    assert_eq!(forks(&fake).len(), 4);
    for file in ["key.pk8", "fork.pk8", "generation.json"] {
        assert!(!machine.file(file).exists(), "{file}");
    }
}

#[tokio::test]
async fn a_key_that_another_copy_took_is_exchanged() {
    let (machine, mut fake) = forking(|n, instruction, _| match n {
        0 => problem(409, "key_in_use"),
        _ => admitted_as(other_host(), instruction, "new"),
    })
    .await;
    let instruction = Arc::clone(&fake.instruction);
    let stop = CancellationToken::new();
    let test = async {
        told_stale(&mut fake).await;
        let mut peer = fake.channel().await;
        peer.welcome_in("n1", None).await;
        peer.sign(&instruction).await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let asked = forks(&fake);
    assert_ne!(asked[0].0, asked[1].0);
    assert_eq!(public_key(&machine).thumbprint(), asked[1].0);
}

/// Every point at which the power may fail, as the files it leaves behind: the next start ends in the same place.
#[tokio::test]
async fn c03_a_crash_at_any_step_of_a_fork_goes_on_where_it_was() {
    for step in 0..6 {
        let (machine, mut fake) =
            forking(|_, instruction, _| admitted_as(other_host(), instruction, "new")).await;
        let state = muster_agent::state::StateDir::open(&machine.folder()).unwrap();
        let identity = state.identity().unwrap().unwrap();
        let new = HostKey::generate();
        let fork = identity.clone().forking(CopyCause::GenerationStale);
        let reply = json!({
            "host_id": other_host(), "disposition": "new", "state": "active", "heartbeat_secs": 1,
            "server_time": muster_ids::Timestamp::from_millis(1), "instruction_key": identity.instruction_key,
        });
        let reply = serde_json::from_value(reply).unwrap();
        let adopted = fork.clone().joined(&reply, muster_ids::Timestamp::from_millis(1));
        state.store_generation("g1", public_key(&machine).thumbprint()).unwrap();
        // The membership is on disk; the secrets are not removed yet.
        state.store_config(&config(1, &json!({}))).unwrap();
        state.store_identity(&fork).unwrap();
        if step > 0 {
            // The new key is on disk, the server was not asked.
            state.store_fork_key(&new.to_pkcs8()).unwrap();
        }
        if step > 1 {
            // Admitted, and the identity is on disk.
            state.forget_config().unwrap();
            state.store_identity(&adopted).unwrap();
        }
        if step > 2 {
            // Its first channel was welcomed, and nothing that is signed came.
            state.store_fork_generation("n0", new.thumbprint()).unwrap();
        }
        if step > 3 {
            // The server signed something to the new key.
            state.store_generation("n0", new.thumbprint()).unwrap();
        }
        if step > 4 {
            state.promote_fork_key().unwrap();
        }
        drop(state);
        let instruction = Arc::clone(&fake.instruction);
        let stop = CancellationToken::new();
        let test = async {
            let mut peer = fake.channel().await;
            let (claims, report) = peer.welcome_in("n1", None).await;
            let generation = (step > 2).then_some("n0");
            assert_eq!((claims.host_id, claims.generation.as_deref()), (other_host(), generation), "{step}");
            assert!(report.config_version.is_none(), "step {step}");
            if step > 0 {
                assert_eq!(peer.key(), new.thumbprint(), "step {step}");
            }
            peer.sign(&instruction).await;
            assert_eq!(public_key(&machine).thumbprint(), peer.key(), "step {step}");
            stop.cancel();
        };
        machine.running(&stop, test).await.unwrap();
        assert_eq!(forks(&fake).len(), usize::from(step < 2), "step {step}");
        let identity = machine.identity().unwrap();
        assert!(matches!(identity.membership, Membership::Joined { copy_of: None, .. }), "step {step}");
        assert!(!machine.file("fork.pk8").exists() && !machine.file("fork.json").exists(), "step {step}");
    }
}

#[tokio::test]
async fn a_machine_that_still_joins_goes_on_with_a_key_of_its_own() {
    let (mut machine, fake) = joined(|_, _| None).await;
    on_hardware(&mut machine, "6d0a3b1e-0000-4000-8000-00000000000a");
    machine.leave(true).await.unwrap();
    let instruction = fake.instruction.thumbprint();
    let waiting = Fake::start(move |_, seen| proof_refused(seen).unwrap_or_else(|| waits(instruction))).await;
    let mut join = fake.join_string(BearerKind::SiteKey, 1);
    join.urls = vec![waiting.url.clone()];
    assert!(matches!(machine.join(&join).await, Err(AgentError::Waiting { .. })));
    let former = public_key(&machine).thumbprint();
    let mut copy = copy_of(&machine);
    on_hardware(&mut copy, "6d0a3b1e-0000-4000-8000-00000000000b");
    assert!(matches!(copy.join(&join).await, Err(AgentError::Waiting { .. })));
    let view = StateView::open(&copy.folder()).unwrap().unwrap();
    assert_ne!(Keys::load(&view).unwrap().current().thumbprint(), former);
    assert_eq!(public_key(&machine).thumbprint(), former);
}
