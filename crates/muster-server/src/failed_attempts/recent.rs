//! Who failed how often within the last minutes.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

/// So many failures within [`WITHIN`] are told of.
pub(super) const AGAIN_AND_AGAIN: usize = 20;
/// The time they fall into; who was told of is not told of again before it is over.
pub(super) const WITHIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
struct Failures {
    at: VecDeque<Duration>,
    told_at: Option<Duration>,
    last: Duration,
}

/// The last failures of at most `capacity` keys; past that whoever was silent longest is forgotten.
#[derive(Debug)]
pub(super) struct Recent<K> {
    capacity: usize,
    failures: HashMap<K, Failures>,
    silent_first: BTreeSet<(Duration, K)>,
}

impl<K: Copy + Ord + Hash> Recent<K> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { capacity, failures: HashMap::new(), silent_first: BTreeSet::new() }
    }

    /// Counts a failure. `true`: that is to be told of.
    pub(super) fn fails_again(&mut self, key: K, now: Duration) -> bool {
        if !self.failures.contains_key(&key)
            && self.failures.len() >= self.capacity
            && let Some((_, silent)) = self.silent_first.pop_first()
        {
            self.failures.remove(&silent);
        }
        let failures = self.failures.entry(key).or_default();
        self.silent_first.remove(&(failures.last, key));
        failures.last = now;
        self.silent_first.insert((now, key));
        failures.at.push_back(now);
        while failures.at.len() > AGAIN_AND_AGAIN
            || failures.at.front().is_some_and(|at| now.saturating_sub(*at) >= WITHIN)
        {
            failures.at.pop_front();
        }
        let was_told = failures.told_at.is_some_and(|told_at| now.saturating_sub(told_at) < WITHIN);
        let is_told = failures.at.len() >= AGAIN_AND_AGAIN && !was_told;
        if is_told {
            failures.told_at = Some(now);
        }
        is_told
    }
}
