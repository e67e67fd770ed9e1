use muster_ids::{AgentKeyId, KeyThumbprint, PublicId, TeamId};
use muster_wire::host::HostState;
use uuid::Uuid;

use super::*;

fn key(n: u8) -> KeyName {
    KeyName::Pair(KeyThumbprint::from_digest([n; 32]))
}

fn host(n: u8) -> HostId {
    HostId::from_uuid(Uuid::from_u128(u128::from(n)))
}

fn row(n: u8, may_act: bool) -> AgentRow {
    AgentRow {
        team_id: TeamId::from_uuid(Uuid::nil()),
        host_id: host(n),
        host_state: HostState::Active,
        material: vec![n; 65],
        key_is_active: may_act,
        key_is_next: false,
        ended_at: None,
        seq: i64::from(n),
        held_at: None,
    }
}

fn known(credentials: &Credentials, n: u8) {
    credentials.keep(credentials.begin(key(n)), row(n, true));
}

#[test]
fn only_who_may_act_is_kept() {
    let credentials = Credentials::default();
    known(&credentials, 1);
    let refused = credentials.keep(credentials.begin(key(2)), row(2, false));
    assert!(!refused.row.may_act());
    for held in [
        AgentRow { held_at: Some(Timestamp::from_millis(1)), ..row(3, true) },
        AgentRow { host_state: HostState::Suspended, ..row(3, true) },
    ] {
        credentials.keep(credentials.begin(key(3)), held);
    }
    assert_eq!(credentials.get(&key(1)).map(|known| known.row.seq), Some(1));
    assert_eq!(credentials.len(), 1);
}

#[test]
fn what_is_dropped_is_gone_and_nothing_else() {
    let credentials = Credentials::default();
    (1..=5).for_each(|n| known(&credentials, n));
    credentials.drop_key(&key(1));
    credentials.drop_hosts(&[host(2), host(3)]);
    let left: Vec<bool> = (1..=5).map(|n| credentials.get(&key(n)).is_some()).collect();
    assert_eq!(left, [false, false, false, true, true]);
    credentials.clear();
    assert!(credentials.is_empty());
}

#[test]
fn the_map_is_bounded() {
    let credentials = Credentials::of_at_most(640);
    for n in 0..5_000_u128 {
        let mut digest = [0; 32];
        digest[..16]
            .copy_from_slice(&(n.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)).to_be_bytes());
        let key = KeyName::Pair(KeyThumbprint::from_digest(digest));
        credentials.keep(credentials.begin(key), row(1, true));
        assert!(credentials.get(&key).is_some(), "the newest one is there");
    }
    assert!(credentials.len() <= 640, "{}", credentials.len());
    let bytes = |n: u8| KeyName::Agent(AgentKeyId::new(PublicId::from_entropy([n; 16])));
    assert!((0..=255).map(|n| place(&bytes(n))).all(|place| place < PARTS));
}

#[test]
fn a_use_is_noted_once_in_ten_seconds() {
    let known = Known::new(row(1, true));
    let at = |secs: i64| Timestamp::from_millis(secs * 1000);
    let noted: Vec<bool> = [100, 101, 109, 110, 115, 90].map(|secs| known.is_news(at(secs))).to_vec();
    assert_eq!(noted, [true, false, false, true, false, true], "a clock that was set back is news");
}

/// The steps of one who looks a key up and one who takes it away, in every order that each one's own steps allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    TakeInterest,
    ReadDatabase,
    Keep,
    Commit,
    Drop,
}

fn orders(reader: &[Step], revoker: &[Step], so_far: &mut Vec<Step>, all: &mut Vec<Vec<Step>>) {
    if reader.is_empty() && revoker.is_empty() {
        all.push(so_far.clone());
    }
    if let [first, rest @ ..] = reader {
        so_far.push(*first);
        orders(rest, revoker, so_far, all);
        so_far.pop();
    }
    if let [first, rest @ ..] = revoker {
        so_far.push(*first);
        orders(reader, rest, so_far, all);
        so_far.pop();
    }
}

/// Runs an order; `true`: the revoked key may still act once both are through.
fn survives(order: &[Step], by_host: bool, checked: bool) -> bool {
    let credentials = Credentials::default();
    let (mut interest, mut read, mut is_revoked) = (None, None, false);
    for step in order {
        match step {
            Step::TakeInterest => interest = Some(credentials.begin(key(1))),
            Step::ReadDatabase => read = Some(row(1, !is_revoked)),
            Step::Keep => {
                let taken = interest.take().expect("taken before");
                // Without the check: as if nothing had been dropped since the look began.
                let interest = if checked { taken } else { credentials.begin(key(1)) };
                credentials.keep(interest, read.take().expect("read before"));
            }
            Step::Commit => is_revoked = true,
            Step::Drop if by_host => credentials.drop_hosts(&[host(1)]),
            Step::Drop => credentials.drop_key(&key(1)),
        }
    }
    credentials.get(&key(1)).is_some()
}

#[test]
fn b20_no_order_of_a_look_and_a_revocation_leaves_a_revoked_key_behind() {
    use Step::{Commit, Drop, Keep, ReadDatabase, TakeInterest};
    let mut all = Vec::new();
    orders(&[TakeInterest, ReadDatabase, Keep], &[Commit, Drop], &mut Vec::new(), &mut all);
    assert_eq!(all.len(), 10);
    for by_host in [false, true] {
        for order in &all {
            assert!(!survives(order, by_host, true), "{order:?}");
        }
        let unchecked = all.iter().filter(|order| survives(order, by_host, false)).count();
        assert_eq!(
            unchecked, 1,
            "without the check, the look that began before and ended after brings it back"
        );
    }
}

/// The same with threads: readers that keep looking while the key goes. Nothing they saw before may outlive the drop.
#[test]
fn b20_readers_in_a_hurry_never_bring_a_revoked_key_back() {
    use std::sync::atomic::AtomicBool;
    let rounds = if std::env::var_os("MUSTER_SOAK").is_some() { 20_000 } else { 300 };
    let credentials = Credentials::default();
    for round in 0..rounds {
        let is_active = AtomicBool::new(true);
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !is_over.load(Ordering::SeqCst) {
                        let interest = credentials.begin(key(1));
                        let row = row(1, is_active.load(Ordering::SeqCst));
                        std::hint::spin_loop();
                        credentials.keep(interest, row);
                    }
                });
            }
            std::thread::yield_now();
            is_active.store(false, Ordering::SeqCst);
            if round % 2 == 0 {
                credentials.drop_key(&key(1))
            } else {
                credentials.drop_hosts(&[host(1)])
            }
            let after_the_reply = credentials.get(&key(1)).is_some();
            is_over.store(true, Ordering::SeqCst);
            assert!(!after_the_reply, "round {round}");
        });
        assert!(credentials.get(&key(1)).is_none(), "round {round}");
    }
}
