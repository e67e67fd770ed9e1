use std::net::IpAddr;

use super::*;

const RATE: Rate = Rate { failures: 10, per: MINUTE };

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn source(n: u8) -> AddressBucket {
    AddressBucket(IpAddr::from([192, 0, 2, n]))
}

#[test]
fn as_many_failures_as_the_limit_are_borne_and_one_more_is_not() {
    let mut table = Table::new(RATE, 4);
    for _ in 0..10 {
        assert_eq!(table.count(1, secs(5)), None);
    }
    assert_eq!(table.count(1, secs(5)), Some(secs(6)));
    assert_eq!(table.count(2, secs(5)), None, "a neighbour is not touched");
}

#[test]
fn the_level_falls_with_time() {
    let mut table = Table::new(RATE, 4);
    for _ in 0..10 {
        table.count(1, secs(5));
    }
    assert_eq!(table.count(1, secs(11)), None, "one failure every six seconds is borne for ever");
    assert!(table.count(1, secs(11)).is_some());
}

#[test]
fn a_flood_is_forgiven_within_the_time_of_the_limit() {
    let mut table = Table::new(RATE, 4);
    for _ in 0..100_000 {
        table.count(1, secs(5));
    }
    assert_eq!(table.count(1, secs(5)), Some(secs(60)));
    assert!(table.count(1, secs(64)).is_some());
    let mut table = Table::new(RATE, 4);
    for _ in 0..100_000 {
        table.count(1, secs(5));
    }
    assert_eq!(table.count(1, secs(71)), None);
}

#[test]
fn b10_a_flood_of_other_keys_resets_no_offender_and_takes_no_more_memory() {
    let mut table = Table::new(RATE, 64);
    for _ in 0..11 {
        table.count(0_u32, secs(5));
    }
    for stranger in 1..100_000 {
        table.count(stranger, secs(5));
        assert!(table.levels.len() <= 64);
        assert_eq!(table.levels.len(), table.lowest_first.len());
    }
    assert!(table.count(0, secs(5)).is_some());
}

#[test]
fn b10_who_is_pushed_out_comes_back_with_no_less_than_they_had() {
    let mut table = Table::new(RATE, 2);
    let level_of = |table: &Table<u32>, key| table.levels.get(&key).copied();
    for _ in 0..5 {
        table.count(0, secs(5));
    }
    let had = level_of(&table, 0).expect("it is remembered");
    for stranger in 1..40 {
        table.count(stranger, secs(5));
    }
    assert_eq!(level_of(&table, 0), None, "it was pushed out");
    table.count(0, secs(5));
    assert!(level_of(&table, 0).expect("it is back") > had);
}

#[test]
fn what_lapsed_is_forgotten() {
    let mut table = Table::new(RATE, 64);
    for key in 0..50 {
        table.count(key, secs(5));
    }
    table.count(99, secs(600));
    assert_eq!(table.levels.len(), 1);
}

#[test]
fn b10_one_id_is_limited_wherever_its_failures_come_from() {
    let limits = FailureLimits::default();
    let id = PublicId::from_entropy([7; 16]);
    let over =
        (0..PER_ID.failures).any(|n| limits.count(source((n % 200) as u8), Some(id), secs(1)).is_some());
    assert!(!over);
    assert!(limits.count(source(201), Some(id), secs(1)).is_some());
    assert_eq!(limits.count(source(201), None, secs(1)), None);
}

#[test]
fn b10_guesses_of_the_setup_code_end_after_ten_and_the_right_one_waits_too() {
    let limits = FailureLimits::default();
    let guess = |right, now| limits.judge_setup_code(ListenerKind::Machines, now, || right);
    for _ in 0..10 {
        assert_eq!(guess(false, secs(1)), Ok(false));
    }
    assert_eq!(guess(false, secs(1)), Err(secs(6)));
    assert_eq!(guess(true, secs(1)), Err(secs(6)), "else a guess costs nothing");
    assert_eq!(limits.judge_setup_code(ListenerKind::Operators, secs(1), || true), Ok(true));
    assert_eq!(guess(true, secs(7)), Ok(true), "asking meanwhile did not prolong it");
}

fn login(n: u32) -> PublicId {
    PublicId::from_entropy(u128::from(n).to_be_bytes())
}

/// A /64 somewhere.
fn network(n: u32) -> AddressBucket {
    AddressBucket(IpAddr::V6(std::net::Ipv6Addr::from_bits(u128::from(n + 1) << 64)))
}

#[test]
fn a_source_that_guessed_too_often_waits_whatever_it_guesses_at() {
    let limits = FailureLimits::default();
    for n in 0..20 {
        assert_eq!(limits.refuses_guess(source(1), login(n), secs(9)), None);
        limits.count_guess(source(1), login(n), secs(9));
    }
    assert_eq!(limits.refuses_guess(source(1), login(99), secs(9)), Some(secs(15)));
    assert_eq!(limits.refuses_guess(source(2), login(0), secs(9)), None);
    assert_eq!(limits.refuses_guess(source(1), login(99), secs(25)), None);
}

#[test]
fn failures_at_other_doors_lock_nobody_out() {
    let limits = FailureLimits::default();
    for _ in 0..2000 {
        limits.count(source(1), None, secs(9));
    }
    for n in 0..100 {
        limits.count_guess(network(n), login(1), secs(9));
    }
    assert_eq!(limits.refuses_guess(source(1), login(1), secs(9)), None);
}

#[test]
fn b12_guesses_in_flight_are_no_more_than_guesses_in_a_row() {
    let limits = FailureLimits::default();
    let charge = || limits.charge_guess(source(1), login(1), secs(9));
    let in_flight: Vec<ChargedGuess> = (0..20).map(|_| charge().unwrap()).collect();
    assert!(charge().is_err(), "none of them was judged yet");
    for charged in in_flight {
        limits.give_back_guess(charged);
    }
    assert!(!limits.levels().guessers.remembers(source(1), secs(9)), "all of them were right");
    let codes: Vec<_> = (0..10).map(|_| limits.charge_code(login(1), true, secs(9)).unwrap()).collect();
    assert!(limits.charge_code(login(1), true, secs(9)).is_err());
    assert!(limits.charge_code(login(1), false, secs(9)).is_ok(), "nobody guesses a recovery code");
    codes.into_iter().for_each(|charged| limits.give_back_code(charged));
    assert!(limits.charge_code(login(1), true, secs(9)).is_ok());
}

#[test]
fn what_is_given_back_is_no_more_than_was_counted() {
    let mut table = Table::new(RATE, 2);
    for _ in 0..100 {
        table.count(1, secs(5));
    }
    let at_the_top = table.charge(1, secs(5));
    table.give_back(at_the_top);
    assert_eq!(table.wait(1, secs(5)), Some(secs(60)), "a right guess lowers nobody's level");
    for key in [2, 3] {
        let charged = table.charge(key, secs(5));
        table.give_back(charged);
    }
    assert_eq!(table.levels.len(), table.lowest_first.len());
}

#[test]
fn b10_no_crowd_makes_a_login_that_is_guessed_at_fresh_again() {
    let limits = FailureLimits::default();
    for n in 0..100 {
        limits.count_guess(network(n), login(0), secs(9));
    }
    for n in 1..100_000 {
        limits.count_guess(network(n), login(n), secs(9));
    }
    {
        let levels = limits.levels();
        assert_eq!((levels.guessers.levels.len(), levels.guessed.levels.len()), (REMEMBERED, REMEMBERED));
    }
    limits.count_guess(source(1), login(77), secs(9));
    assert!(limits.refuses_guess(source(1), login(0), secs(9)).is_some(), "it failed, and the login is hot");
    assert_eq!(limits.refuses_guess(source(2), login(0), secs(9)), None, "its owner, from anywhere else");
}

#[test]
fn codes_of_one_person_are_refused_wherever_they_come_from() {
    let limits = FailureLimits::default();
    for _ in 0..10 {
        assert!(limits.charge_code(login(1), true, secs(9)).is_ok());
    }
    assert_eq!(limits.charge_code(login(1), true, secs(9)).err(), Some(secs(60)));
    assert!(limits.charge_code(login(2), true, secs(9)).is_ok());
}
