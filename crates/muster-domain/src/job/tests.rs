use muster_ids::{AgentKeyId, PublicId};
use uuid::Uuid;

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn host(n: u128) -> HostId {
    HostId::from_uuid(Uuid::from_u128(n))
}

fn key(n: u8) -> KeyName {
    KeyName::Agent(AgentKeyId::new(PublicId::from_entropy([n; 16])))
}

fn speaker() -> Speaker {
    Speaker { host_id: host(1), key: key(1) }
}

/// The second attempt of a job of host 1, sent to key 1.
fn job(state: JobState) -> JobFacts {
    JobFacts {
        host_id: host(1),
        state,
        attempt: 2,
        attempt_key: Some(key(1)),
        secret_version: 3,
        renewed_at: Some(NOW),
    }
}

#[test]
fn an_end_is_recorded_once_and_a_late_one_says_so() {
    use JobState::{Failed, Lost, Queued, Running, Succeeded};
    let ended = JobEvent::Ended(JobOutcome::Succeeded);
    assert_eq!(step(Running, ended), JobStep::Goes { to: Succeeded, late: false });
    assert_eq!(step(Lost, ended), JobStep::Goes { to: Succeeded, late: true });
    assert_eq!(step(Succeeded, JobEvent::Ended(JobOutcome::Failed)), JobStep::Stays);
    assert_eq!(step(Failed, ended), JobStep::Stays);
    assert_eq!(step(Queued, ended), JobStep::Refused);
    assert_eq!(step(Succeeded, JobEvent::LeaseLapsed), JobStep::Stays);
}

#[test]
fn b04_what_counts_is_the_latest_attempt_from_the_key_it_was_sent_to() {
    #[track_caller]
    fn check(change: impl FnOnce(&mut JobFacts, &mut Speaker), attempt: u32, expected: Standing) {
        let (mut job, mut speaker) = (job(JobState::Running), speaker());
        change(&mut job, &mut speaker);
        assert_eq!(standing(&job, &speaker, attempt), expected);
    }
    check(|_, _| {}, 2, Standing::Latest);
    check(|_, _| {}, 1, Standing::Former);
    check(|_, _| {}, 3, Standing::Foreign);
    check(|_, _| {}, 0, Standing::Foreign);
    check(|_, speaker| speaker.key = key(2), 2, Standing::Former);
    check(|_, speaker| speaker.host_id = host(2), 2, Standing::Foreign);
    check(|_, speaker| speaker.host_id = host(2), 1, Standing::Foreign);
    check(|job, _| (job.attempt, job.attempt_key) = (0, None), 1, Standing::Foreign);
}

#[test]
fn c03_only_what_nobody_began_is_sent_again() {
    use JobState::{Dispatched, Lost, Queued, Running, Succeeded};
    let check = |state, n, is_listed, expected| {
        assert_eq!(resume(&job(state), &key(n), is_listed), expected, "{state:?} {n} {is_listed}");
    };
    check(Dispatched, 1, false, Resumption::SendAgain);
    check(Dispatched, 1, true, Resumption::Stays);
    check(Running, 1, false, Resumption::Stays);
    check(Running, 1, true, Resumption::Stays);
    check(Dispatched, 2, false, Resumption::Lost);
    check(Running, 2, false, Resumption::Lost);
    check(Queued, 2, false, Resumption::Stays);
    check(Succeeded, 2, false, Resumption::Stays);
    check(Lost, 2, false, Resumption::Stays);
}

#[test]
fn a_job_is_sent_when_its_secret_is_there_and_the_host_has_room() {
    let queued = job(JobState::Queued);
    assert!(may_send(&queued, Some(3), 0));
    assert!(may_send(&queued, Some(4), IN_HAND - 1));
    assert!(!may_send(&queued, Some(4), IN_HAND));
    assert!(!may_send(&queued, Some(2), 0));
    assert!(!may_send(&queued, None, 0));
    assert!(!may_send(&job(JobState::Dispatched), Some(3), 0));
    assert!(!may_send(&job(JobState::Lost), Some(3), 0));
}

#[test]
fn c19_a_job_lapses_when_nobody_heard_of_it() {
    let later = NOW.plus(LEASE).plus(Duration::from_millis(1));
    assert!(has_lapsed(&job(JobState::Running), later));
    assert!(has_lapsed(&job(JobState::Dispatched), later));
    assert!(!has_lapsed(&job(JobState::Running), NOW.plus(LEASE)));
    assert!(!has_lapsed(&job(JobState::Succeeded), later));
    assert!(!has_lapsed(&JobFacts { renewed_at: None, ..job(JobState::Queued) }, later));
    assert_eq!(sent_until(NOW), NOW.plus(LEASE));
}
