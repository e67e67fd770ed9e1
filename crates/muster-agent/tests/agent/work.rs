//! Jobs: at most once, across reconnects and restarts, within the owner's policy.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use muster_edge::Clock;
use muster_ids::{JobId, Timestamp};
use muster_wire::channel::{AgentMessage, Attempt, Dispatch, ServerMessage};
use muster_wire::job::{JobEnd, JobOutcome};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::{config, joined};
use crate::fake::{Peer, Rig, host_id};

/// A restic that knows enough to make one snapshot, once `release` exists.
const RESTIC: &str = r#"#!/bin/sh
case "$*" in
  version) echo "restic 0.18.0 compiled with go" ;;
  *"cat config"*) ;;
  *backup*)
    echo run >> "@/runs"
    echo '{"message_type":"status","percent_done":0.5,"bytes_done":1,"total_bytes":2,"files_done":1,"total_files":2}'
    while [ ! -e "@/release" ]; do sleep 0.02; done
    echo '{"message_type":"summary","snapshot_id":"5f0d0a3e","data_added":1,"total_bytes_processed":2,"total_files_processed":1}'
    ;;
esac
"#;

pub(crate) fn fake_restic(machine: &mut Rig) {
    let folder = machine.parent.path().display().to_string();
    let program = machine.parent.path().join("restic");
    fs::write(&program, RESTIC.replace('@', &folder)).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    machine.machine.restic = program;
}

pub(crate) fn runs(folder: &Path) -> usize {
    fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count()
}

pub(crate) fn release(machine: &Rig) {
    fs::write(machine.parent.path().join("release"), "").unwrap();
}

pub(crate) fn attempt(n: u128) -> Attempt {
    Attempt { job_id: JobId::from_uuid(uuid::Uuid::from_u128(n)), attempt: 1 }
}

pub(crate) fn dispatch(n: u128, secret_version: u64) -> ServerMessage {
    dispatch_until(n, secret_version, Clock::system().now().plus(Duration::from_secs(300)))
}

fn dispatch_until(n: u128, secret_version: u64, expires_at: Timestamp) -> ServerMessage {
    let dispatch = json!({
        "attempt": attempt(n), "host_id": host_id(), "secret_version": secret_version, "time_limit_secs": 60,
        "work": { "kind": "backup", "paths": ["/etc/hostname"] },
        "issued_at": Clock::system().now(), "expires_at": expires_at,
    });
    ServerMessage::JobRun { dispatch: serde_json::from_value::<Dispatch>(dispatch).unwrap() }
}

async fn ready(peer: &mut Peer, generation: &str) -> Vec<Attempt> {
    let running = peer.welcome(generation).await;
    let secrets =
        json!({ "repo": { "version": 3, "document": { "url": "/srv/repo", "password": "canary" } } });
    peer.say(&ServerMessage::ConfigUpdate { config: config(1, &secrets) }).await;
    loop {
        match peer.hear().await {
            Some(AgentMessage::ConfigApplied { .. }) => return running,
            // What was untold may come first.
            Some(AgentMessage::JobFinished { .. } | AgentMessage::JobProgress { .. }) => {}
            other => panic!("{other:?}"),
        }
    }
}

async fn started(peer: &mut Peer) -> Attempt {
    match peer.hear().await {
        Some(AgentMessage::JobStarted { attempt }) => attempt,
        other => panic!("{other:?}"),
    }
}

pub(crate) async fn finished(peer: &mut Peer) -> (Attempt, JobEnd) {
    loop {
        match peer.hear().await {
            Some(AgentMessage::JobFinished { attempt, end }) => return (attempt, end),
            Some(
                AgentMessage::JobStarted { .. }
                | AgentMessage::JobProgress { .. }
                | AgentMessage::JobLog { .. },
            ) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn b29_an_attempt_runs_once_however_often_it_is_dispatched() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        peer.say(&dispatch(1, 3)).await;
        assert_eq!(started(&mut peer).await, attempt(1));
        peer.say(&dispatch(1, 3)).await;
        release(&machine);
        let (which, end) = finished(&mut peer).await;
        assert_eq!((which, end.outcome), (attempt(1), JobOutcome::Succeeded));
        assert_eq!(end.result.unwrap().snapshot_id.as_str(), "5f0d0a3e");
        peer.say(&ServerMessage::JobRecorded { attempt: attempt(1) }).await;
        peer.say(&dispatch(1, 3)).await;
        assert_eq!(finished(&mut peer).await.0, attempt(1));
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(runs(machine.parent.path()), 1);
}

#[tokio::test]
async fn c09_a_job_goes_on_without_a_channel_and_its_end_is_told_until_it_is_recorded() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        peer.say(&dispatch(1, 3)).await;
        started(&mut peer).await;
        drop(peer);
        let mut peer = fake.channel().await;
        assert_eq!(ready(&mut peer, "g2").await, vec![attempt(1)]);
        drop(peer);
        release(&machine);
        let mut peer = fake.channel().await;
        peer.welcome("g3").await;
        assert_eq!(finished(&mut peer).await.0, attempt(1));
        drop(peer);
        let mut peer = fake.channel().await;
        assert!(peer.welcome("g4").await.is_empty());
        let (which, end) = finished(&mut peer).await;
        assert_eq!((which, end.outcome), (attempt(1), JobOutcome::Succeeded));
        peer.say(&ServerMessage::JobRecorded { attempt: attempt(1) }).await;
        peer.say(&dispatch(1, 3)).await;
        finished(&mut peer).await;
        drop(peer);
        let mut peer = fake.channel().await;
        peer.welcome("g5").await;
        stop.cancel();
        assert!(
            matches!(peer.hear().await, Some(AgentMessage::Goodbye { .. })),
            "told although it is recorded"
        );
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(runs(machine.parent.path()), 1);
}

#[tokio::test]
async fn c23_a_stopped_agent_ends_its_job_and_says_so() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        peer.say(&dispatch(1, 3)).await;
        started(&mut peer).await;
        stop.cancel();
        let (_, end) = finished(&mut peer).await;
        assert_eq!(end.outcome, JobOutcome::Failed);
        assert!(end.failure.unwrap().as_str().contains("the agent was stopped"));
        assert!(matches!(peer.hear().await, Some(AgentMessage::Goodbye { .. })));
    };
    machine.running(&stop, test).await.unwrap();
    // Nobody recorded it: the next start tells it again.
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        peer.welcome("g2").await;
        assert_eq!(finished(&mut peer).await.1.outcome, JobOutcome::Failed);
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

#[tokio::test]
async fn what_the_owner_denies_and_what_is_not_held_fails_in_words() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    release(&machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        let mut why = async |n, version| {
            peer.say(&dispatch(n, version)).await;
            started(&mut peer).await;
            finished(&mut peer).await.1.failure.map(|why| why.to_string()).unwrap_or_default()
        };
        let text = why(1, 4).await;
        assert!(text.contains("version 4 of the secret `repo`"), "{text}");
        fs::write(&machine.machine.policy, "[jobs]\nallow = [\"check\"]\n").unwrap();
        let text = why(2, 3).await;
        assert!(text.contains("allow = [\"backup\", \"check\"]"), "{text}");
        fs::remove_file(&machine.machine.policy).unwrap();
        assert_eq!(why(3, 3).await, "");
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(runs(machine.parent.path()), 1);
}

#[tokio::test]
async fn jobs_wait_in_line_and_too_many_are_refused() {
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        peer.say(&dispatch(0, 3)).await;
        started(&mut peer).await;
        for n in 1..=17 {
            peer.say(&dispatch(n, 3)).await;
        }
        let (which, end) = finished(&mut peer).await;
        assert_eq!((which, end.outcome), (attempt(17), JobOutcome::Failed));
        assert!(runs(machine.parent.path()) <= 1, "one at a time");
        release(&machine);
        let mut ended = Vec::new();
        while ended.len() < 17 {
            if let Some(AgentMessage::JobFinished { attempt, .. }) = peer.hear().await {
                ended.push(attempt);
            }
        }
        assert_eq!(ended, (0..17).map(attempt).collect::<Vec<_>>());
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
}

/// The machine's clock jumps; what counts is the server's time since the welcome, by a clock that only goes forward.
#[tokio::test]
async fn c08_a_clock_that_jumps_neither_lapses_work_nor_brings_it_back() {
    const YEAR: i64 = 365 * 24 * 3600 * 1000;
    let (mut machine, mut fake) = joined(|_, _| None).await;
    fake_restic(&mut machine);
    release(&machine);
    let start = Clock::system().now();
    let (clock, time) = Clock::fake(start.plus(Duration::from_secs(3600)));
    machine.machine.clock = clock;
    let stop = CancellationToken::new();
    let test = async {
        let mut peer = fake.channel().await;
        ready(&mut peer, "g1").await;
        let soon = start.plus(Duration::from_secs(300));
        for (n, wall) in [(1, 0), (2, YEAR), (3, -YEAR), (4, i64::from(i32::MAX) * 1000)] {
            time.set_wall(Timestamp::from_millis(start.as_millis() + wall));
            peer.say(&dispatch_until(n, 3, soon)).await;
            assert_eq!(
                finished(&mut peer).await.1.outcome,
                JobOutcome::Succeeded,
                "the clock is off by {wall} ms"
            );
        }
        // What lapsed stays lapsed, however far the clock is set back.
        time.advance(Duration::from_secs(301));
        time.set_wall(Timestamp::from_millis(start.as_millis() - YEAR));
        peer.say(&dispatch_until(5, 3, soon)).await;
        peer.say(&dispatch_until(6, 3, start.plus(Duration::from_secs(900)))).await;
        assert_eq!(finished(&mut peer).await.0, attempt(6), "a job that lapsed was begun");
        stop.cancel();
    };
    machine.running(&stop, test).await.unwrap();
    assert_eq!(runs(machine.parent.path()), 5);
}
