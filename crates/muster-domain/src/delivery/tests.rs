use super::*;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[track_caller]
fn check(attempts: u64, age: u64, asked_for: Option<u64>, jitter: f64, expected: Option<u64>) {
    let now = START.plus(secs(age));
    let decided = after_failure(attempts, START, now, asked_for.map(secs), jitter);
    let expected = expected.map_or(AfterFailure::GiveUp, |wait| AfterFailure::TryAt(now.plus(secs(wait))));
    assert_eq!(decided, expected, "{attempts} tries, {age} s old");
}

#[test]
fn waits_grow_from_seconds_to_an_hour() {
    for (attempts, wait) in [(1, 5), (2, 30), (3, 120), (4, 600), (5, 1800), (6, 3600), (7, 3600), (90, 3600)]
    {
        check(attempts, 60, None, 0.0, Some(wait));
        check(attempts, 60, None, 1.0, Some(wait + wait / 5));
    }
    check(0, 0, None, 0.0, Some(5));
    check(u64::MAX, 0, None, 0.5, Some(3960));
    check(1, 0, None, f64::from(7_u8), Some(6));
}

#[test]
fn a_receiver_may_ask_for_more_time_up_to_an_hour() {
    check(1, 0, Some(90), 0.0, Some(90));
    check(4, 0, Some(90), 0.0, Some(600));
    check(1, 0, Some(1_000_000_000), 0.0, Some(3600));
}

#[test]
fn after_three_days_it_is_given_up() {
    let three_days = 3 * 24 * 3600;
    check(70, three_days - 1, None, 0.0, Some(3600));
    check(70, three_days, None, 0.0, None);
    check(1, three_days + 9, Some(5), 0.0, None);
}

#[test]
fn a_receiver_that_is_away_for_an_hour_is_tried_often_enough() {
    let (mut now, mut tries) = (START, 0);
    while now.since(START) < secs(3600) {
        tries += 1;
        match after_failure(tries, START, now, None, 0.5) {
            AfterFailure::TryAt(at) => now = at,
            AfterFailure::GiveUp => panic!("given up within the hour"),
        }
    }
    assert!((5..=7).contains(&tries), "{tries}");
    assert!(now.since(START) <= secs(2 * 3600));
}

#[test]
fn a_try_of_which_nothing_is_known_is_made_again_later_than_it_can_last() {
    for (attempts, wait) in [(1, 60), (2, 60), (3, 120), (4, 600), (5, 1800), (6, 3600), (u64::MAX, 3600)] {
        assert_eq!(claimed_until(attempts, START), START.plus(secs(wait)), "{attempts} tries");
    }
}

#[test]
fn an_endpoint_is_probed_ever_more_rarely() {
    for (failures, asked_for, wait) in [
        (1, None, 5),
        (2, None, 30),
        (5, None, 1800),
        (99, None, 3600),
        (1, Some(90), 90),
        (1, Some(9000), 3600),
    ] {
        let at = next_probe(failures, START, asked_for.map(secs), 0.0);
        assert_eq!(at, START.plus(secs(wait)), "{failures} failures");
    }
}

#[test]
fn only_a_refusal_is_about_the_message() {
    for status in [400, 401, 404, 410, 413, 422, 499] {
        assert!(is_about_the_message(Some(status)), "{status}");
    }
    for status in [307, 408, 425, 429, 500, 502, 503, 504] {
        assert!(!is_about_the_message(Some(status)), "{status}");
    }
    assert!(!is_about_the_message(None));
}
