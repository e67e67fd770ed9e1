//! Copies of hosts: what becomes of the host, how a fork is answered, what a person's verdict does; every row.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;

use std::time::Duration;

use muster_domain::admission::{Admission, CLAIMS_PER_SITE, HostView, KeyHistory, KnownClaim, Refusal};
use muster_domain::clone::{
    COPIES_PER_HOST, ForkAnswer, HOLDER_SEEN_WITHIN, KnownFork, WaitingCopy, admit_copy, answer_fork,
    consequence, verdicts,
};
use muster_ids::{ClaimId, KeyName};
use muster_wire::claim::CopyConsequence::{self, Held, Suspended, WorksOn};
use muster_wire::claim::{ClaimReason, ClaimState, CopyCause, Verdict};
use muster_wire::host::HostState;
use muster_wire::site::OnClone;
use scene::{NOW, ago, host, hours, pair, quiet_host, uuid};

/// The key a copy was copied with, and the one it made itself.
const FORMER: u8 = 1;
const OWN: u8 = 2;

#[track_caller]
fn becomes(is_older: bool, policy: OnClone, arrange: impl FnOnce(&mut HostView), expected: CopyConsequence) {
    let mut host = quiet_host(2);
    arrange(&mut host);
    assert_eq!(consequence(is_older, &host, policy, NOW), expected, "{is_older} {policy:?} {host:?}");
}

#[test]
fn c10_a_holder_that_was_seen_within_a_day_works_on_and_any_other_host_is_held() {
    let seen = |span: Duration| move |host: &mut HostView| host.seen_at = Some(ago(span));
    let just_over = HOLDER_SEEN_WITHIN + Duration::from_millis(1);
    let never = |host: &mut HostView| host.seen_at = None;
    let connected = |host: &mut HostView| host.connected = true;
    becomes(true, OnClone::Hold, seen(hours(1)), WorksOn);
    becomes(true, OnClone::Hold, seen(HOLDER_SEEN_WITHIN), WorksOn);
    becomes(true, OnClone::Hold, seen(just_over), Held);
    becomes(true, OnClone::Hold, never, Held);
    becomes(true, OnClone::Hold, connected, WorksOn);
    // Nobody went on with a newer state: there is no question which of the two is genuine.
    becomes(false, OnClone::Hold, seen(just_over), WorksOn);
    becomes(false, OnClone::Hold, never, WorksOn);
}

#[test]
fn a_host_that_is_held_or_suspended_stays_so() {
    let held = |host: &mut HostView| {
        host.held = true;
        host.connected = true;
    };
    let suspended = |host: &mut HostView| host.state = HostState::Suspended;
    for is_older in [true, false] {
        becomes(is_older, OnClone::Hold, held, Held);
        becomes(is_older, OnClone::Hold, suspended, Suspended);
    }
}

#[test]
fn a_site_that_suspends_does_so_whoever_is_connected() {
    let connected = |host: &mut HostView| host.connected = true;
    for is_older in [true, false] {
        becomes(is_older, OnClone::Suspend, |_| {}, Suspended);
        becomes(is_older, OnClone::Suspend, connected, Suspended);
        becomes(is_older, OnClone::Suspend, |host| host.held = true, Suspended);
    }
}

fn claim(state: ClaimState) -> KnownClaim {
    KnownClaim { id: ClaimId::from_uuid(uuid(7)), ticket_id: None, reason: ClaimReason::Clone, state }
}

fn fork() -> KnownFork {
    KnownFork {
        host_id: host(2),
        former_key: pair(FORMER),
        former_is_active: true,
        cause: CopyCause::GenerationStale,
        is_current: false,
        host_is_connected: false,
        key: pair(OWN),
        history: KeyHistory::Unknown,
        came_of_claim: None,
        claim: None,
        of_this_start: None,
        copies_of_host: 0,
        claims_at_site: 0,
    }
}

#[track_caller]
fn answers(arrange: impl FnOnce(&mut KnownFork), expected: Result<ForkAnswer, Refusal>) {
    let mut known = fork();
    arrange(&mut known);
    assert_eq!(answer_fork(&known), expected, "{known:?}");
}

fn revoked(key: KeyName, of: u8) -> Result<ForkAnswer, Refusal> {
    Err(Refusal::KeyRevoked { host_id: host(of), key })
}

#[test]
fn every_answer_to_a_fork() {
    let waits = ForkAnswer::Wait { claim_id: claim(ClaimState::Waiting).id, reason: ClaimReason::Clone };
    answers(|_| {}, Ok(ForkAnswer::Open));
    answers(|fork| fork.claim = Some(claim(ClaimState::Waiting)), Ok(waits));
    answers(|fork| fork.claim = Some(claim(ClaimState::Rejected)), Err(Refusal::ClaimRejected));
    let start = claim(ClaimState::Waiting).id;
    answers(|fork| fork.of_this_start = Some(claim(ClaimState::Waiting)), Ok(ForkAnswer::TakeOver(start)));
    answers(|fork| fork.of_this_start = Some(claim(ClaimState::Rejected)), Err(Refusal::ClaimRejected));
    answers(|fork| fork.former_is_active = false, revoked(pair(FORMER), 2));
    answers(|fork| fork.claims_at_site = CLAIMS_PER_SITE - 1, Ok(ForkAnswer::Open));
    answers(|fork| fork.claims_at_site = CLAIMS_PER_SITE, Err(Refusal::TooManyClaims));
    answers(|fork| fork.copies_of_host = COPIES_PER_HOST - 1, Ok(ForkAnswer::Open));
    answers(|fork| fork.copies_of_host = COPIES_PER_HOST, Err(Refusal::TooManyClaims));
}

#[test]
fn what_waits_or_was_decided_is_answered_when_the_site_is_full_and_the_former_key_ended() {
    let full_and_ended = |fork: &mut KnownFork| {
        fork.copies_of_host = COPIES_PER_HOST;
        fork.claims_at_site = CLAIMS_PER_SITE;
        fork.former_is_active = false;
    };
    let waits = ForkAnswer::Wait { claim_id: claim(ClaimState::Waiting).id, reason: ClaimReason::Clone };
    let waiting = |fork: &mut KnownFork| {
        full_and_ended(fork);
        fork.claim = Some(claim(ClaimState::Waiting));
    };
    answers(waiting, Ok(waits));
    // `replace` ended the former key: the one it was decided for must hear of it.
    let replaced = |fork: &mut KnownFork| {
        full_and_ended(fork);
        fork.history = KeyHistory::Active(quiet_host(2));
    };
    answers(replaced, Ok(ForkAnswer::Host(host(2))));
    let start_waits = |fork: &mut KnownFork| {
        fork.copies_of_host = COPIES_PER_HOST;
        fork.claims_at_site = CLAIMS_PER_SITE;
        fork.of_this_start = Some(claim(ClaimState::Waiting));
    };
    answers(start_waits, Ok(ForkAnswer::TakeOver(claim(ClaimState::Waiting).id)));
}

#[test]
fn the_key_of_another_host_is_no_key_of_a_copy_unless_its_claim_made_that_host() {
    let known_elsewhere = |fork: &mut KnownFork| fork.history = KeyHistory::Active(quiet_host(3));
    answers(known_elsewhere, Err(Refusal::KeyInUse));
    let made = |fork: &mut KnownFork| {
        fork.history = KeyHistory::Active(quiet_host(3));
        fork.came_of_claim = Some(host(3));
    };
    answers(made, Ok(ForkAnswer::Host(host(3))));
    let gone = |fork: &mut KnownFork| fork.history = KeyHistory::Gone { host_id: host(3) };
    answers(gone, revoked(pair(OWN), 3));
    let with = |state, held| {
        move |fork: &mut KnownFork| {
            fork.history = KeyHistory::Active(HostView { state, held, ..quiet_host(2) });
        }
    };
    answers(with(HostState::Suspended, false), Err(Refusal::HostSuspended));
    answers(with(HostState::Active, true), Err(Refusal::HostHeld));
}

/// Whoever stands in for the server can say that a state is a copy; this server would know if it had said so.
#[test]
fn b23_a_machine_that_holds_the_current_state_is_sent_back_to_its_channel() {
    let told = |cause| {
        move |fork: &mut KnownFork| {
            fork.cause = cause;
            fork.is_current = true;
        }
    };
    answers(told(CopyCause::GenerationStale), Err(Refusal::NotACopy));
    answers(told(CopyCause::Fenced), Err(Refusal::NotACopy));
    answers(told(CopyCause::MachineUidDiffers), Ok(ForkAnswer::Open));
    answers(told(CopyCause::InstallIdDiffers), Ok(ForkAnswer::Open));
    let start = claim(ClaimState::Waiting);
    let fenced_here = |fork: &mut KnownFork| {
        told(CopyCause::Fenced)(fork);
        fork.of_this_start = Some(start);
    };
    answers(fenced_here, Ok(ForkAnswer::TakeOver(start.id)));
    let beside_another = |fork: &mut KnownFork| {
        told(CopyCause::Fenced)(fork);
        fork.host_is_connected = true;
    };
    answers(beside_another, Ok(ForkAnswer::Open));
    let ended = |fork: &mut KnownFork| {
        told(CopyCause::GenerationStale)(fork);
        fork.former_is_active = false;
    };
    answers(ended, revoked(pair(FORMER), 2));
    let full = |fork: &mut KnownFork| {
        told(CopyCause::GenerationStale)(fork);
        fork.claims_at_site = CLAIMS_PER_SITE;
    };
    answers(full, Err(Refusal::NotACopy));
}

#[track_caller]
#[expect(clippy::needless_pass_by_value, reason = "a row of a table reads better without borrows")]
fn decides(
    has_own_key: bool,
    verdict: Verdict,
    history: KeyHistory,
    of: Option<HostView>,
    expected: Result<Option<Admission>, Refusal>,
) {
    let copy = WaitingCopy { has_own_key, history: &history, host: of.as_ref(), owner_of_uid: Some(host(2)) };
    assert_eq!(admit_copy(&copy, verdict), expected, "{copy:?} {verdict:?}");
}

#[test]
fn every_verdict_on_a_copy() {
    let unknown = KeyHistory::Unknown;
    let replaced = Ok(Some(Admission::Replace { host_id: host(2) }));
    let active = || Some(quiet_host(2));
    let in_state = |state| Some(HostView { state, ..quiet_host(2) });
    let new = Ok(Some(Admission::New { owns_uid: false }));
    let impossible = Err(Refusal::VerdictNotPossible);
    decides(true, Verdict::Replace, unknown.clone(), active(), replaced);
    decides(true, Verdict::Replace, unknown.clone(), in_state(HostState::Suspended), replaced);
    decides(true, Verdict::Replace, unknown.clone(), in_state(HostState::Retired), impossible);
    decides(true, Verdict::Replace, unknown.clone(), None, impossible);
    decides(true, Verdict::New, unknown.clone(), active(), new);
    decides(true, Verdict::Reject, unknown.clone(), active(), Ok(None));
    decides(true, Verdict::Move, unknown, active(), impossible);
    for history in [KeyHistory::Active(quiet_host(5)), KeyHistory::Gone { host_id: host(5) }] {
        for verdict in [Verdict::Replace, Verdict::New] {
            decides(true, verdict, history.clone(), active(), Err(Refusal::KeyInUse));
        }
        decides(true, Verdict::Reject, history, active(), Ok(None));
    }
}

/// Its key is its host's: there is nothing that a new host, or the old one, could prove itself with.
#[test]
fn a_copy_without_a_key_of_its_own_can_only_be_rejected() {
    let known = || KeyHistory::Active(quiet_host(2));
    for verdict in [Verdict::Replace, Verdict::New, Verdict::Move] {
        decides(false, verdict, known(), Some(quiet_host(2)), Err(Refusal::VerdictNotPossible));
    }
    decides(false, Verdict::Reject, known(), Some(quiet_host(2)), Ok(None));
    assert_eq!(verdicts(false), [Verdict::Reject]);
    for has_own_key in [true, false] {
        let said = muster_domain::claim::verdicts(ClaimReason::Clone, has_own_key);
        assert_eq!(said, verdicts(has_own_key));
    }
}

#[test]
fn a_uid_nobody_owns_is_the_new_hosts() {
    let copy = WaitingCopy {
        has_own_key: true,
        history: &KeyHistory::Unknown,
        host: Some(&quiet_host(2)),
        owner_of_uid: None,
    };
    assert_eq!(admit_copy(&copy, Verdict::New).unwrap(), Some(Admission::New { owns_uid: true }));
}
