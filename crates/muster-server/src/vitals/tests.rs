use muster_wire::bounds::Whole;
use uuid::Uuid;

use super::*;

const HOUR: i64 = 500_000;

/// A moment of hour `hour` since [`HOUR`].
fn at(hour: i64, minute: i64) -> Timestamp {
    Timestamp::from_millis((HOUR + hour) * HOUR_MILLIS + minute * MINUTE_MILLIS)
}

fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(1))
}

fn told(load: Option<u64>, free: Option<u64>, now: Timestamp) -> Told {
    let heartbeat = Heartbeat {
        load_percent: load.map(Whole::clamped),
        disk_free_gb: free.map(Whole::clamped),
        clock: None,
    };
    Told::of(&heartbeat, now).unwrap()
}

#[test]
fn what_a_heartbeat_says_is_shown_and_what_it_leaves_out_is_not() {
    let now = at(0, 0);
    assert_eq!(Told::of(&Heartbeat::default(), now), None);
    let mut kept = Kept::new(1, now);
    assert_eq!(kept.shown(), None);
    kept.take(told(Some(150), None, now), now);
    let shown = kept.shown().unwrap();
    assert_eq!(
        (shown.at, shown.load_percent, shown.disk_free_gb, shown.clock_ahead_ms),
        (now, Some(150), None, None)
    );
}

#[test]
fn no_clock_is_further_off_than_can_be_said() {
    let now = at(0, 0);
    for (clock, expected) in
        [(now.as_millis() + 5, 5), (now.as_millis() - 5, -5), (i64::MAX, i32::MAX), (i64::MIN, i32::MIN + 1)]
    {
        let heartbeat = Heartbeat { clock: Some(Timestamp::from_millis(clock)), ..Heartbeat::default() };
        let mut kept = Kept::new(1, now);
        kept.take(Told::of(&heartbeat, now).unwrap(), now);
        assert_eq!(kept.shown().unwrap().clock_ahead_ms, Some(expected));
    }
}

#[test]
fn an_hour_is_sampled_once_when_the_turn_of_the_host_came_with_its_highest_load() {
    let seq = 30;
    let mut kept = Kept::new(seq, at(0, 10));
    for (minute, load) in [(10, 100), (20, 900), (29, 50)] {
        kept.take(told(Some(load), Some(7), at(0, minute)), at(0, minute));
        assert_eq!(kept.sample(host(), seq, at(0, minute)), None, "it is not its turn at {minute}");
    }
    kept.take(told(Some(60), Some(6), at(0, 30)), at(0, 30));
    let expected = VitalsRow { host_id: host(), hour: HOUR, load_percent: Some(900), disk_free_gb: Some(6) };
    assert_eq!(kept.sample(host(), seq, at(0, 30)), Some(expected));
    assert_eq!(kept.sample(host(), seq, at(0, 31)), None, "once an hour");
    assert_eq!(kept.sample(host(), seq, at(1, 31)), None, "it said nothing lately");
    kept.take(told(Some(70), None, at(1, 31)), at(1, 31));
    let next = kept.sample(host(), seq, at(1, 31)).unwrap();
    assert_eq!((next.hour, next.load_percent, next.disk_free_gb), (HOUR + 1, Some(70), None));
}

#[test]
fn who_comes_after_its_turn_waits_for_the_next_hour() {
    let seq = 30;
    let mut kept = Kept::new(seq, at(0, 40));
    kept.take(told(Some(1), None, at(0, 40)), at(0, 40));
    assert_eq!(kept.sample(host(), seq, at(0, 40)), None, "another process may have written that hour");
    kept.take(told(Some(1), None, at(1, 40)), at(1, 40));
    assert!(kept.sample(host(), seq, at(1, 40)).is_some());
}

#[test]
fn samples_are_taken_by_hours_and_bounded() {
    let row = |hour| VitalsRow { host_id: host(), hour, load_percent: None, disk_free_gb: None };
    let mut samples = Samples::default();
    [1, 1, 2].into_iter().for_each(|hour| samples.add(row(hour)));
    assert_eq!(samples.take(1), [row(1)]);
    let taken = samples.take(10);
    assert_eq!(taken, [row(1)]);
    samples.put_back(taken);
    assert_eq!(samples.take(10), [row(1)]);
    assert_eq!(samples.take(10), [row(2)]);
    assert_eq!(samples.take(10), []);
    (0..=WAITING).for_each(|_| samples.add(row(3)));
    assert_eq!(samples.take(usize::MAX).len(), WAITING);
}

#[test]
fn a_connected_host_costs_few_bytes() {
    assert!(std::mem::size_of::<Kept>() <= 24, "{}", std::mem::size_of::<Kept>());
}
