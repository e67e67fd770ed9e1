//! What passes: refusals that mean nothing, and a disk that fills while the agent runs. Nothing of it costs the key.

use std::fs;
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use muster_agent::error::Exit;
use muster_agent::state::StateView;
use muster_ids::{BearerKind, KeyThumbprint, Timestamp};
use muster_proof::HostKey;
use muster_wire::channel::ServerMessage;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::joined;
use crate::fake::{Act, Fake, Rig, Seen, admitted, problem, problem_with, proof_refused, revoked_by};

const INSIDE: &str = "MUSTER_TEST_INSIDE_SMALL_DISK";

fn key(machine: &Rig) -> KeyThumbprint {
    let view = StateView::open(&machine.folder()).unwrap().unwrap();
    HostKey::from_pkcs8(&view.host_key().unwrap().unwrap()).unwrap().thumbprint()
}

/// Everything a server, or whatever stands before it, may say without meaning that a key is void; `None`: it is over.
fn passing(n: usize, forged: &str, of_another: &str) -> Option<Act> {
    let with =
        |statement: &str| problem_with(401, "key_revoked", Vec::new(), &json!({ "revoked": statement }));
    let later = vec![("Retry-After", "2".to_owned())];
    Some(match n {
        0 => problem(401, "unauthorized"),
        1 => problem(401, "key_revoked"),
        2 => with(forged),
        3 => with(of_another),
        4 => with("e30.e30.AAAA"),
        5 => problem_with(401, "key_revoked", Vec::new(), &json!({ "revoked": 7 })),
        6 => problem(403, "forbidden"),
        7 => problem(404, "not_found"),
        8 => problem(410, "gone"),
        9 => problem(500, "internal"),
        10 => Act::Reply(502, Vec::new(), json!("<html>bad gateway</html>")),
        11 => Act::Reply(503, later, json!({})),
        12 => Act::Close,
        _ => return None,
    })
}

#[tokio::test]
async fn c15_a_machine_that_joins_keeps_key_and_ticket_through_everything_that_passes() {
    let told = Arc::new(OnceLock::<(KeyThumbprint, String, String)>::new());
    let script = Arc::clone(&told);
    let mut fake = Fake::start(move |n, seen: &Seen| {
        let (instruction, forged, of_another) = script.get().expect("told before the first request");
        if seen.target == "/v1/agent/connect" {
            return proof_refused(seen).unwrap_or(Act::Upgrade);
        }
        passing(n, forged, of_another).unwrap_or_else(|| admitted(*instruction, "new"))
    })
    .await;
    let another = KeyThumbprint::from_digest([7; 32]);
    let stranger = HostKey::generate();
    told.set((
        fake.instruction.thumbprint(),
        revoked_by(&stranger, stranger.thumbprint()),
        fake.revoked(another),
    ))
    .unwrap();
    let machine = Rig::new();
    let refused = machine.join(&fake.join_string(BearerKind::EnrolmentToken, 1)).await.unwrap_err();
    assert_eq!(refused.exit(), Exit::Failed, "{refused}");
    let before = key(&machine);
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(key(&machine), before);
    let enrolments: Vec<Seen> =
        fake.requests().into_iter().filter(|seen| seen.target == "/v1/enroll").collect();
    assert_eq!(enrolments.len(), 14, "one for each refusal, and the last");
    assert!(enrolments.iter().all(|seen| seen.key() == before && seen.ticket == enrolments[0].ticket));
}

#[tokio::test]
async fn c15_b23_a_host_keeps_its_key_whatever_is_said_without_the_instruction_key() {
    let told = Arc::new(OnceLock::<(String, String)>::new());
    let script = Arc::clone(&told);
    let (machine, mut fake) = joined(move |n, seen| {
        // A request without the nonce is refused as always; the others are judged.
        let proof = seen.proof.as_ref().filter(|_| seen.target == "/v1/agent/connect")?;
        proof.as_ref().ok()?;
        let (forged, of_another) = script.get()?;
        passing(n.saturating_sub(3), forged, of_another)
    })
    .await;
    let own = key(&machine);
    told.set((revoked_by(&HostKey::generate(), own), fake.revoked(KeyThumbprint::from_digest([7; 32]))))
        .unwrap();
    let stop = CancellationToken::new();
    let test = async {
        fake.channel().await.welcome("g1").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(key(&machine), own);
    let seen = fake.requests();
    assert!(seen.len() > 13, "{}", seen.len());
    assert_eq!(seen.iter().filter(|seen| seen.target == "/v1/enroll").count(), 1, "it enrolled again");
}

#[test]
fn c16_a_disk_that_fills_while_the_agent_runs_costs_neither_key_nor_generation() {
    let folder = tempfile::TempDir::new().unwrap();
    let program = std::env::current_exe().unwrap();
    let script = "mount -t tmpfs -o size=256k none \"$TMPDIR\" && exec \"$@\"";
    for namespace in ["-m", "-rm"] {
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-ec", script, "sh"]).arg(&program);
        command.args(["--exact", "outages::inside_a_small_disk", "--nocapture"]);
        let output = command.env("TMPDIR", folder.path()).env(INSIDE, "1").output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            assert!(out.contains("1 passed"), "{out}");
            return;
        }
        assert!(err.contains("unshare:") || err.contains("mount:"), "{out}{err}");
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no file system can be mounted here: nothing may be skipped in CI"
    );
    eprintln!("SKIPPED: this user may not mount a file system of its own");
}

/// Does nothing, except on the disk of the test above.
#[tokio::test]
async fn inside_a_small_disk() {
    if std::env::var_os(INSIDE).is_none() {
        return;
    }
    let (machine, mut fake) = joined(|_, _| None).await;
    let before = key(&machine);
    let ballast = machine.parent.path().join("ballast");
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g1").await;
        // Writes until there is no room left.
        assert!(fs::write(&ballast, vec![1; 512 << 10]).is_err());
        drop(peer);
        for _ in 0..3 {
            let mut peer = fake.channel().await;
            peer.hello().await;
            let welcome = ServerMessage::Welcome {
                // Larger than what a nearly full disk may still have.
                generation: "x".repeat(8_000),
                heartbeat_secs: 1,
                server_time: Timestamp::from_millis(1_700_000_000_000),
                reconnect_window_secs: None,
            };
            peer.say(&welcome).await;
            assert_eq!(peer.hear().await, None, "acknowledged what is not on disk");
        }
        let view = StateView::open(&machine.folder()).unwrap().unwrap();
        assert_eq!(view.generation().unwrap().as_deref(), Some("g1"));
        assert_eq!(key(&machine), before);
        fs::remove_file(&ballast).unwrap();
        let mut peer = tokio::time::timeout(Duration::from_secs(20), fake.channel()).await.unwrap();
        peer.welcome("g2").await;
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(key(&machine), before);
}
