//! Recorded frames and pins: what was said once does nothing when it is said again.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use muster_ids::{KeyName, KeyThumbprint, Timestamp};
use muster_proof::instruction::{Pins, sign_pins};
use muster_proof::{HostKey, digest, successor};
use muster_wire::channel::{AgentMessage, ServerMessage};
use muster_wire::parting::GoodbyeReason;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::{config, joined};
use crate::fake::{Peer, Rig};
use crate::work::{attempt, dispatch, fake_restic, finished, release, runs};

fn pins(
    to: KeyThumbprint,
    fake: &HostKey,
    at: i64,
    current: &[&str],
    key: &HostKey,
    next: Option<&HostKey>,
) -> ServerMessage {
    let pins = Pins {
        to: KeyName::Pair(to),
        issued_at: Timestamp::from_millis(at),
        current: current.iter().map(|text| digest::spki_pin(text.as_bytes())).collect(),
        next: Vec::new(),
        instruction_key: key.thumbprint(),
        next_instruction_key: next.map(HostKey::thumbprint),
        not_before: Timestamp::from_millis(at),
    };
    ServerMessage::Pins { statement: sign_pins(fake, &pins) }
}

async fn kept(peer: &mut Peer) -> i64 {
    match peer.hear().await {
        Some(AgentMessage::PinsKept { issued_at }) => issued_at.as_millis(),
        other => panic!("{other:?}"),
    }
}

/// Plays every frame of a first channel again on the next one, after the agent restarted.
#[tokio::test]
async fn b29_a_recorded_channel_played_again_after_a_restart_does_nothing() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    release(&machine);
    let instruction = Arc::clone(&fake.instruction);
    let secrets = |password: &str| json!({ "repo": { "version": 3, "document": { "url": "/srv/repo", "password": password } } });
    let own = key_of(&machine);
    let mut recorded = vec![
        ServerMessage::ConfigUpdate { config: config(1, &secrets("old")) },
        ServerMessage::JobRecorded { attempt: attempt(1) },
        pins(own, &instruction, 10, &["old"], &instruction, None),
        ServerMessage::Revoked { statement: fake.revoked(HostKey::generate().thumbprint()) },
    ];
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        for frame in &recorded {
            peer.say(frame).await;
        }
        assert!(matches!(peer.hear().await, Some(AgentMessage::ConfigApplied { .. })));
        assert_eq!(kept(&mut peer).await, 10);
        recorded.push(dispatch(1, 3));
        peer.say(&recorded[4]).await;
        finished(&mut peer).await;
        peer.say(&ServerMessage::JobRecorded { attempt: attempt(1) }).await;
        // The key is exchanged, configuration and pins move on.
        peer.say(&ServerMessage::RotateKey {}).await;
        let Some(AgentMessage::NextKey { proof }) = peer.hear().await else { panic!("no next key") };
        let key = successor::verify_next_key(&proof).unwrap().0.thumbprint();
        recorded.push(ServerMessage::NextKeyStored { key });
        peer.say(&recorded[5]).await;
        let mut peer = fake.channel().await;
        peer.welcome("n1").await;
        peer.say(&ServerMessage::ConfigUpdate { config: config(2, &secrets("new")) }).await;
        assert!(matches!(peer.hear().await, Some(AgentMessage::ConfigApplied { .. })));
        let said = pins(peer.key(), &instruction, 20, &[], &instruction, None);
        peer.say(&said).await;
        assert_eq!(kept(&mut peer).await, 20);
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    let key = fs::read(machine.file("key.pk8")).unwrap();

    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        let (_, report) = peer.welcome_in("n2", None).await;
        assert_eq!(report.pins_issued_at, Some(Timestamp::from_millis(20)));
        for frame in &recorded {
            peer.say(frame).await;
        }
        // The end of the attempt is told again, which is no second run; nothing else is answered.
        assert_eq!(finished(&mut peer).await.0, attempt(1));
        let said = pins(peer.key(), &instruction, 20, &[], &instruction, None);
        peer.say(&said).await;
        assert_eq!(kept(&mut peer).await, 20, "the same statement is confirmed again");
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(runs(machine.parent.path()), 1);
    let held = fs::read_to_string(machine.file("config.json")).unwrap();
    assert!(held.contains("new") && !held.contains("old"));
    assert_eq!(fs::read(machine.file("key.pk8")).unwrap(), key);
    assert!(!machine.file("next.pk8").exists());
    assert!(machine.identity().unwrap().pins.is_empty());
}

#[tokio::test]
async fn a_configuration_of_the_same_number_and_another_digest_is_applied_again() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        for (digest, password) in [("d1", "one"), ("other", "two")] {
            let secrets = json!({ "repo": { "version": 3, "document": { "password": password } } });
            let mut config = config(1, &secrets);
            config.digest = digest.to_owned();
            peer.say(&ServerMessage::ConfigUpdate { config }).await;
            let Some(AgentMessage::ConfigApplied { digest: applied, .. }) = peer.hear().await else {
                panic!("not applied")
            };
            assert_eq!(applied, digest);
            assert!(fs::read_to_string(machine.file("config.json")).unwrap().contains(password));
        }
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn b23_the_next_instruction_key_counts_from_its_announcement_and_a_stranger_never() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let first = Arc::clone(&fake.instruction);
    let (second, stranger) = (HostKey::generate(), HostKey::generate());
    let own = key_of(&machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        let (_, report) = peer.welcome_in("g1", None).await;
        assert_eq!(report.pins_issued_at, None);
        let said = pins(peer.key(), &stranger, 5, &["evil"], &stranger, None);
        peer.say(&said).await;
        let said = pins(peer.key(), &second, 5, &["evil"], &second, None);
        peer.say(&said).await;
        let early = crate::fake::revoked_by(&second, own);
        peer.say(&ServerMessage::Revoked { statement: early }).await;
        let said = pins(peer.key(), &first, 10, &[], &first, Some(&second));
        peer.say(&said).await;
        assert_eq!(kept(&mut peer).await, 10);
        // Dropped and dialled anew: what was kept is on disk.
        drop(peer);
        let mut peer = fake.channel().await;
        let (_, report) = peer.welcome_in("g2", None).await;
        assert_eq!(report.pins_issued_at, Some(Timestamp::from_millis(10)));
        let said = pins(peer.key(), &second, 20, &[], &second, None);
        peer.say(&said).await;
        assert_eq!(kept(&mut peer).await, 20);
        // The former one signed its last instruction.
        peer.say(&ServerMessage::Revoked { statement: crate::fake::revoked_by(&first, own) }).await;
        let said = pins(peer.key(), &first, 30, &["evil"], &first, None);
        peer.say(&said).await;
        peer.say(&ServerMessage::Revoked { statement: crate::fake::revoked_by(&second, own) }).await;
        assert_eq!(peer.hear().await, None);
    };
    let ended = machine.running(&stop, test).await.unwrap_err();
    assert_eq!(ended.exit(), muster_agent::error::Exit::Revoked);
}

fn key_of(machine: &Rig) -> KeyThumbprint {
    let view = muster_agent::state::StateView::open(&machine.folder()).unwrap().unwrap();
    HostKey::from_pkcs8(&view.host_key().unwrap().unwrap()).unwrap().thumbprint()
}

#[tokio::test]
async fn pins_that_cannot_be_stored_are_not_confirmed_and_come_again() {
    let (machine, mut fake) = joined(|_, _| None).await;
    let instruction = Arc::clone(&fake.instruction);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        // A folder in place of the temporary file: the write fails as on a full disk.
        let blocked = machine.file(".identity.json.new");
        fs::create_dir(&blocked).unwrap();
        fs::set_permissions(&blocked, fs::Permissions::from_mode(0o700)).unwrap();
        let said = pins(peer.key(), &instruction, 10, &[], &instruction, None);
        peer.say(&said).await;
        assert_eq!(peer.hear().await, None, "c16: nothing is confirmed that is not on disk");
        fs::remove_dir(&blocked).unwrap();
        let mut peer = fake.channel().await;
        let (_, report) = peer.welcome_in("g2", None).await;
        assert_eq!(report.pins_issued_at, None);
        let said = pins(peer.key(), &instruction, 10, &[], &instruction, None);
        peer.say(&said).await;
        assert_eq!(kept(&mut peer).await, 10);
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn c14_a_lost_channel_waits_within_the_window_it_was_given() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    // A window of ten minutes, a thousand times as fast: far more than the second of an agent without a window.
    machine.machine.pace.scale = 0.001;
    let stop = CancellationToken::new();
    let test = async {
        let mut waited = Vec::new();
        for generation in ["g1", "g2", "g3", "g4", "g5", "g6"] {
            let mut peer = fake.channel().await;
            peer.welcome_in(generation, Some(600)).await;
            drop(peer);
            let lost_at = tokio::time::Instant::now();
            let mut peer = fake.channel().await;
            waited.push(lost_at.elapsed());
            peer.hello().await;
            peer.turn_away(GoodbyeReason::Busy).await;
        }
        let longest = waited.iter().max().unwrap();
        assert!(longest.as_millis() > 30, "{waited:?}");
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}
