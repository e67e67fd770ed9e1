use muster_ids::{JobId, Timestamp};
use muster_wire::channel::Attempt;
use muster_wire::job::{JobEnd, JobOutcome};
use tempfile::TempDir;
use uuid::Uuid;

use super::{AttemptRecord, Attempts, Beginning, Fate, REMEMBERED};
use crate::state::StateDir;

const NOW: Timestamp = Timestamp::from_millis(1_000_000);

fn state() -> (TempDir, StateDir) {
    let parent = TempDir::new().unwrap();
    let state = StateDir::open(&parent.path().join("state")).unwrap();
    (parent, state)
}

fn attempt(job: u128, attempt: u32) -> Attempt {
    Attempt { job_id: JobId::from_uuid(Uuid::from_u128(job)), attempt }
}

fn succeeded() -> JobEnd {
    JobEnd { outcome: JobOutcome::Succeeded, result: None, failure: None }
}

#[test]
fn i05_an_attempt_begins_once() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    assert_eq!(attempts.begin(&state, attempt(1, 1), None, NOW).unwrap(), Beginning::Run);
    assert_eq!(attempts.begin(&state, attempt(1, 1), None, NOW).unwrap(), Beginning::Running);
    assert_eq!(attempts.running(), [attempt(1, 1)]);
    attempts.end(&state, attempt(1, 1), succeeded()).unwrap();
    assert_eq!(attempts.begin(&state, attempt(1, 1), None, NOW).unwrap(), Beginning::Ended(succeeded()));
    assert_eq!(attempts.begin(&state, attempt(1, 2), None, NOW).unwrap(), Beginning::Run);
    assert!(attempts.running() == [attempt(1, 2)]);
}

#[test]
fn i05_an_earlier_attempt_never_follows_a_later_one() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    attempts.begin(&state, attempt(1, 3), None, NOW).unwrap();
    assert_eq!(attempts.begin(&state, attempt(1, 2), None, NOW).unwrap(), Beginning::Superseded);
    assert_eq!(attempts.begin(&state, attempt(2, 2), None, NOW).unwrap(), Beginning::Run);
}

#[test]
fn c19_what_ran_when_the_agent_died_is_lost_and_does_not_run_again() {
    let (_parent, state) = state();
    let mut before = Attempts::load(&state).unwrap();
    before.begin(&state, attempt(1, 1), None, NOW).unwrap();
    before.begin(&state, attempt(2, 1), None, NOW).unwrap();
    before.end(&state, attempt(2, 1), succeeded()).unwrap();
    drop(before);
    let mut after = Attempts::load(&state).unwrap();
    assert!(after.running().is_empty());
    let untold = after.untold();
    assert_eq!(untold.len(), 2);
    assert_eq!((untold[0].0, untold[0].1.outcome), (attempt(1, 1), JobOutcome::Lost));
    assert_eq!((untold[1].0, untold[1].1.outcome), (attempt(2, 1), JobOutcome::Succeeded));
    assert!(
        matches!(after.begin(&state, attempt(1, 1), None, NOW).unwrap(), Beginning::Ended(end) if end.outcome == JobOutcome::Lost)
    );
    let again = Attempts::load(&state).unwrap();
    assert_eq!(again.untold(), untold, "being lost is on disk");
}

#[test]
fn an_end_is_told_until_it_is_recorded_and_the_first_end_counts() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    attempts.begin(&state, attempt(1, 1), None, NOW).unwrap();
    attempts.recorded(&state, attempt(1, 1)).unwrap();
    assert_eq!(attempts.running(), [attempt(1, 1)], "what runs cannot be recorded");
    attempts.end(&state, attempt(1, 1), succeeded()).unwrap();
    attempts.end(&state, attempt(1, 1), super::lost()).unwrap();
    attempts.end(&state, attempt(9, 9), succeeded()).unwrap();
    assert_eq!(attempts.untold(), [(attempt(1, 1), succeeded())]);
    attempts.recorded(&state, attempt(1, 1)).unwrap();
    assert!(Attempts::load(&state).unwrap().untold().is_empty());
}

#[test]
fn memory_is_bounded_and_keeps_what_matters() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    attempts.begin(&state, attempt(1, 1), None, NOW).unwrap();
    attempts.begin(&state, attempt(2, 1), None, NOW).unwrap();
    attempts.end(&state, attempt(2, 1), succeeded()).unwrap();
    for job in 3..=REMEMBERED as u128 {
        let fate = Fate::Ended { end: succeeded(), recorded: true };
        attempts.records.push(AttemptRecord { attempt: attempt(job, 1), fate, issued_at: None });
    }
    for job in 1_000..1_020 {
        attempts.begin(&state, attempt(job, 1), None, NOW).unwrap();
        attempts.end(&state, attempt(job, 1), succeeded()).unwrap();
        attempts.recorded(&state, attempt(job, 1)).unwrap();
    }
    assert_eq!(attempts.records.len(), REMEMBERED);
    assert_eq!(attempts.running(), [attempt(1, 1)]);
    assert_eq!(attempts.untold(), [(attempt(2, 1), succeeded())]);
}

#[test]
fn c16_what_cannot_be_stored_does_not_begin() {
    let (parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    // A folder in place of the file: the rename fails as on a broken disk.
    std::fs::create_dir_all(parent.path().join("state/attempts.json/x")).unwrap();
    let told = attempts.begin(&state, attempt(1, 1), None, NOW).unwrap_err().to_string();
    assert!(told.contains("attempts.json could not be stored"), "{told}");
    assert!(attempts.running().is_empty());
    std::fs::remove_dir_all(parent.path().join("state/attempts.json")).unwrap();
    assert_eq!(attempts.begin(&state, attempt(1, 1), None, NOW).unwrap(), Beginning::Run);
}

#[test]
fn b29_a_dispatch_as_old_as_a_forgotten_one_does_not_begin_again() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    let at = |job: u128| Some(Timestamp::from_millis(1_000 + job as i64));
    let last = REMEMBERED as u128 + 5;
    for job in 1..=last {
        assert_eq!(attempts.begin(&state, attempt(job, 1), at(job), NOW).unwrap(), Beginning::Run, "{job}");
        attempts.end(&state, attempt(job, 1), succeeded()).unwrap();
        attempts.recorded(&state, attempt(job, 1)).unwrap();
    }
    drop(attempts);
    let mut restarted = Attempts::load(&state).unwrap();
    for job in 1..=5 {
        assert_eq!(
            restarted.begin(&state, attempt(job, 1), at(job), NOW).unwrap(),
            Beginning::Forgotten,
            "{job}"
        );
    }
    for job in 6..=last {
        let known = restarted.begin(&state, attempt(job, 1), at(job), NOW).unwrap();
        assert_eq!(known, Beginning::Ended(succeeded()), "{job}");
    }
    assert_eq!(restarted.begin(&state, attempt(last + 1, 1), at(last + 1), NOW).unwrap(), Beginning::Run);
}

/// The server's clock was years ahead for a moment; its jobs since then are as young as any.
#[test]
fn c08_a_job_of_a_clock_that_was_ahead_does_not_silence_the_host() {
    let (_parent, state) = state();
    let mut attempts = Attempts::load(&state).unwrap();
    let far = Timestamp::from_millis(NOW.as_millis() * 1_000);
    let mut run = |job: u128, issued_at| {
        let begun = attempts.begin(&state, attempt(job, 1), Some(issued_at), NOW).unwrap();
        assert_eq!(begun, Beginning::Run, "{job}");
        attempts.end(&state, attempt(job, 1), succeeded()).unwrap();
        attempts.recorded(&state, attempt(job, 1)).unwrap();
    };
    run(1, far);
    for job in 2..REMEMBERED as u128 + 9 {
        run(job, Timestamp::from_millis(1_000 + job as i64));
    }
    assert!(!attempts.records.iter().any(|record| record.attempt == attempt(1, 1)), "it is forgotten");
    let replayed = attempts.begin(&state, attempt(3, 1), Some(Timestamp::from_millis(1_003)), NOW);
    assert_eq!(replayed.unwrap(), Beginning::Forgotten, "b29: what is old stays so");
    // A mark that an older agent left behind.
    attempts.forgotten_until = Some(far);
    assert_eq!(attempts.begin(&state, attempt(999, 1), Some(NOW), NOW).unwrap(), Beginning::Run);
}
