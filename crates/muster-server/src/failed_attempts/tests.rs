use std::net::{IpAddr, Ipv4Addr};

use muster_ids::UserId;
use uuid::Uuid;

use super::*;

fn source(n: u32) -> AddressBucket {
    AddressBucket(IpAddr::V4(Ipv4Addr::from_bits(n)))
}

fn whom(n: u128) -> Whom {
    Whom { user_id: UserId::from_uuid(Uuid::from_u128(n)), team_id: TeamId::from_uuid(Uuid::from_u128(1)) }
}

fn now(secs: u64) -> (Timestamp, Duration) {
    (
        Timestamp::from_millis(1_800_000_000_000 + 1000 * i64::try_from(secs).unwrap()),
        Duration::from_secs(secs),
    )
}

fn total(attempts: &FailedAttempts) -> u64 {
    let gathered = attempts.gathered();
    let told_apart: u64 = gathered.places.values().map(|tally| tally.count).sum();
    told_apart + gathered.others.tally.map_or(0, |tally| tally.count)
}

#[test]
fn nobody_is_lost_when_there_are_too_many_to_be_told_apart() {
    let attempts = FailedAttempts::default();
    let (at, monotonic) = now(0);
    for n in 0..10_000 {
        attempts.note(AttemptKind::SignIn, source(n), None, at, monotonic);
    }
    for _ in 0..50 {
        attempts.note(AttemptKind::Token, source(77_777), None, at, monotonic);
    }
    assert_eq!(total(&attempts), 10_050);
    let gathered = attempts.gathered();
    assert_eq!((gathered.places.len(), gathered.lowest_first.len()), (TOLD_APART, TOLD_APART));
    let place = Place { kind: AttemptKind::Token, source: source(77_777), whom: None };
    assert_eq!(gathered.places[&place].count, 50, "whoever fails most is told apart");
}

#[test]
fn twenty_failures_within_ten_minutes_are_told_of_once() {
    let attempts = FailedAttempts::default();
    // Each from another address: it is the person who is tried.
    for n in 0..200 {
        let (at, monotonic) = now(n);
        attempts.note(AttemptKind::SignIn, source(u32::try_from(n).unwrap()), Some(whom(9)), at, monotonic);
    }
    assert_eq!(attempts.gathered().repeated.len(), 1);
    assert_eq!(attempts.gathered().repeated[0].whom, Some(whom(9)));
}

#[test]
fn who_fails_now_and_then_is_not_told_of() {
    let attempts = FailedAttempts::default();
    for n in 0..500 {
        let (at, monotonic) = now(n * 40);
        attempts.note(AttemptKind::SignIn, source(1), Some(whom(9)), at, monotonic);
    }
    assert_eq!(attempts.gathered().repeated, []);
}

#[test]
fn a_window_over_two_halves_is_one_window() {
    let attempts = FailedAttempts::default();
    for n in (0..10).chain(590..600) {
        let (at, monotonic) = now(n);
        attempts.note(AttemptKind::Token, source(1), None, at, monotonic);
    }
    assert_eq!(attempts.gathered().repeated.len(), 1);
}

#[test]
fn many_who_fail_again_and_again_are_counted_past_a_few() {
    let attempts = FailedAttempts::default();
    let (at, monotonic) = now(1);
    for n in 0..1000 {
        for _ in 0..20 {
            attempts.note(AttemptKind::Agent, source(n), None, at, monotonic);
        }
    }
    let gathered = attempts.gathered();
    assert_eq!((gathered.repeated.len(), gathered.repeated_unnamed), (NAMED, 1000 - NAMED as u64));
}
