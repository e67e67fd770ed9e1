//! Backoff: the window, the hint, and what a fleet that lost its server at once does to it.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "fleet/chance.rs"]
mod chance;

use std::collections::BTreeMap;
use std::time::Duration;

use chance::Chance;
use muster_channel::backoff::{BASE, Backoff, CAP, LONGEST_HINT, LONGEST_WINDOW, STABLE_AFTER};
use proptest::prelude::*;

const FLEET: usize = 1000;

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn the_window_grows_and_stays_jittered_at_the_cap() {
    let mut backoff = Backoff::default();
    let mut widest = Duration::ZERO;
    for _ in 0..40 {
        let longest = backoff.delay(0.999_999, None);
        assert!(longest >= widest && longest < CAP);
        assert_eq!(backoff.delay(0.0, None), Duration::ZERO);
        widest = longest;
        backoff.ended(seconds(1));
    }
    // The cap bounds the window, not the draw: draws at the cap are still spread over all of it.
    assert_eq!(backoff.delay(0.5, None), CAP / 2);
    assert_eq!(backoff.delay(0.25, None), CAP / 4);
}

#[test]
fn only_a_connection_that_held_starts_anew() {
    let mut backoff = Backoff::default();
    (0..10).for_each(|_| backoff.ended(STABLE_AFTER - Duration::from_millis(1)));
    assert!(backoff.delay(0.5, None) > seconds(50));
    backoff.ended(STABLE_AFTER);
    assert!(backoff.delay(0.999, None) < BASE);
    backoff.ended(Duration::ZERO);
    assert_eq!(backoff.delay(0.5, None), BASE);
}

#[test]
fn a_hint_sets_the_pace() {
    let mut backoff = Backoff::default();
    assert_eq!(backoff.delay(0.0, Some(seconds(7))), seconds(7));
    assert_eq!(backoff.delay(0.5, Some(seconds(7))), Duration::from_millis(10_500));
    assert_eq!(backoff.delay(0.5, Some(Duration::ZERO)), BASE / 2, "no hint at all");
    assert!(backoff.delay(0.999, Some(Duration::MAX)) < LONGEST_HINT * 2, "a server strands nobody");
    // Suspended hosts resume within a minute: failures before it do not stretch what the server said.
    (0..40).for_each(|_| backoff.ended(Duration::ZERO));
    assert!(backoff.delay(0.999, Some(seconds(30))) < seconds(60));
}

#[test]
fn c14_a_loss_is_drawn_from_the_window_of_the_fleet_and_never_from_a_smaller_one_than_had_grown() {
    let mut backoff = Backoff::default();
    backoff.ended(STABLE_AFTER);
    assert_eq!(backoff.delay_after_loss(0.0, Some(seconds(60))), Duration::ZERO);
    assert_eq!(backoff.delay_after_loss(0.5, Some(seconds(60))), seconds(30));
    assert_eq!(backoff.delay_after_loss(0.5, Some(seconds(1))), BASE / 2, "a small fleet");
    assert_eq!(backoff.delay_after_loss(0.5, Some(Duration::ZERO)), BASE / 2);
    assert_eq!(backoff.delay_after_loss(0.5, None), backoff.delay(0.5, None), "an older server");
    assert_eq!(backoff.delay_after_loss(1.0, Some(Duration::MAX)), LONGEST_WINDOW, "a server strands nobody");
    (0..40).for_each(|_| backoff.ended(Duration::ZERO));
    assert_eq!(backoff.delay_after_loss(0.5, Some(seconds(10))), CAP / 2, "a channel that breaks at once");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_waits_for_ever(
        held_secs in prop::collection::vec(0..200u64, 0..100),
        fraction in -1.0..2.0f64,
        hint_secs: u32,
    ) {
        let mut backoff = Backoff::default();
        held_secs.into_iter().for_each(|secs| backoff.ended(seconds(secs)));
        prop_assert!(backoff.delay(fraction, None) <= CAP);
        prop_assert!(backoff.delay_after_loss(fraction, Some(seconds(hint_secs.into()))) <= LONGEST_WINDOW);
        prop_assert!(backoff.delay(fraction, Some(seconds(hint_secs.into()))) <= LONGEST_HINT * 2);
    }
}

/// Connects per second, from the first that arrives to the last.
struct Arrivals(BTreeMap<u64, usize>);

impl Arrivals {
    fn new(at: impl Iterator<Item = Duration>) -> Self {
        let mut by_second = BTreeMap::new();
        at.for_each(|at| *by_second.entry(at.as_secs()).or_default() += 1);
        Self(by_second)
    }

    fn peak_over_mean(&self) -> f64 {
        let (first, last) = (self.0.keys().next().unwrap(), self.0.keys().next_back().unwrap());
        let mean = self.0.values().sum::<usize>() as f64 / (last - first + 1) as f64;
        *self.0.values().max().unwrap() as f64 / mean
    }

    fn span_secs(&self) -> u64 {
        self.0.keys().next_back().unwrap() - self.0.keys().next().unwrap() + 1
    }
}

/// Everybody was stable, everybody is told the same number, nobody comes in the same second.
#[test]
fn a_fleet_that_is_told_to_come_back_spreads_over_the_hint() {
    for (seed, hint) in [(1, 5), (2, 10), (3, 30), (4, 60)] {
        let mut chance = Chance::new(seed);
        let mut backoff = Backoff::default();
        backoff.ended(STABLE_AFTER);
        let arrivals =
            Arrivals::new((0..FLEET).map(|_| backoff.delay(chance.fraction(), Some(seconds(hint)))));
        assert!(arrivals.span_secs() >= hint, "hint {hint}: {} s", arrivals.span_secs());
        let ratio = arrivals.peak_over_mean();
        assert!(ratio < 3.0, "hint {hint}: peak/mean {ratio}");
    }
}

/// A server that knows how large its fleet is gives it a window: the first try of each is spread over it.
#[test]
fn c14_a_fleet_that_lost_its_server_comes_back_over_the_window_it_was_given() {
    const LARGE: usize = 10_000;
    for (seed, window) in [(1, 10), (2, 60), (3, 300)] {
        let mut chance = Chance::new(seed);
        let mut backoff = Backoff::default();
        backoff.ended(STABLE_AFTER);
        let arrivals = Arrivals::new(
            (0..LARGE).map(|_| backoff.delay_after_loss(chance.fraction(), Some(seconds(window)))),
        );
        assert!(arrivals.span_secs() <= window && arrivals.span_secs() * 10 >= window * 9, "window {window}");
        let ratio = arrivals.peak_over_mean();
        assert!(ratio < 2.0, "window {window}: peak/mean {ratio}");
    }
}

/// The server dies without a word: whoever knocked in vain comes back within one cap of its return.
#[test]
fn a_fleet_that_lost_its_server_is_back_within_one_cap() {
    for (seed, down_for) in [(1, 0), (2, 3), (3, 30), (4, 300)] {
        let mut chance = Chance::new(seed);
        let mut back_at = || {
            let mut backoff = Backoff::default();
            backoff.ended(STABLE_AFTER);
            let mut at = backoff.delay(chance.fraction(), None);
            while at < seconds(down_for) {
                backoff.ended(Duration::ZERO);
                at += backoff.delay(chance.fraction(), None);
            }
            at
        };
        let last = (0..FLEET).map(|_| back_at()).max().unwrap();
        assert!(last <= seconds(down_for) + CAP, "down {down_for} s: last after {last:?}");
        assert!(last >= seconds(down_for));
    }
}
