//! Failures, counted: who fails too often is told to stay away (DESIGN §4, Limits).
//!
//! A credential is judged before anything is counted, and only failures are, so that nobody is refused because of a
//! neighbour: over a limit further *failures* get 429 instead of their 401, a credential that verifies is served. The
//! setup code alone is guarded the other way round, because it is short and typed: over its limit it is not looked at.
//! One table for all doors; time comes in as a value. To limit another door, count its failures here too.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_http::{AddressBucket, ListenerKind};
use muster_ids::PublicId;

const MINUTE: Duration = Duration::from_secs(60);
/// Failures from one IPv4 address or IPv6 /64: a school or a branch office behind one address may fail that often.
const PER_SOURCE: Rate = Rate { failures: 600, per: MINUTE };
/// Failures with one public id, wherever they come from.
const PER_ID: Rate = Rate { failures: 1200, per: MINUTE };
/// Failures altogether.
const ALTOGETHER: Rate = Rate { failures: 30_000, per: MINUTE };
/// Wrong setup codes at one listener.
const SETUP: Rate = Rate { failures: 10, per: MINUTE };
/// Sources, and ids, that are remembered; about 2 MiB each.
const REMEMBERED: usize = 16 * 1024;

/// How many failures are borne in which time.
#[derive(Debug, Clone, Copy)]
struct Rate {
    failures: u32,
    per: Duration,
}

/// When everything counted so far is forgotten: a level that falls by itself, as one number.
type EmptyAt = Duration;

impl Rate {
    /// Adds a failure. The level stops at twice the limit: who stops failing is free again within `per`.
    fn count(self, before: EmptyAt, now: Duration) -> EmptyAt {
        (before.max(now) + self.per / self.failures).min(now + 2 * self.per)
    }

    /// Returns how long the level needs to fall below the limit; `None` when it is below.
    fn wait(self, level: EmptyAt, now: Duration) -> Option<Duration> {
        level.saturating_sub(now).checked_sub(self.per).filter(|wait| !wait.is_zero())
    }
}

/// Levels by key, at most `capacity` of them.
///
/// Past that a newcomer takes the place of the lowest level *and its level*: whoever was pushed out and returns
/// takes over a level at least as high as the one they left, so that pushing out resets nobody.
#[derive(Debug)]
struct Table<K> {
    rate: Rate,
    capacity: usize,
    levels: HashMap<K, EmptyAt>,
    lowest_first: BTreeSet<(EmptyAt, K)>,
}

impl<K: Copy + Ord + Hash> Table<K> {
    fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity, levels: HashMap::new(), lowest_first: BTreeSet::new() }
    }

    /// Counts a failure and returns how long its key should stay away, if it should.
    fn count(&mut self, key: K, now: Duration) -> Option<Duration> {
        self.forget_lapsed(now);
        let before = match self.levels.get(&key) {
            Some(level) => {
                self.lowest_first.remove(&(*level, key));
                *level
            }
            None if self.levels.len() < self.capacity => now,
            None => self.remove_lowest().unwrap_or(now),
        };
        let level = self.rate.count(before, now);
        self.levels.insert(key, level);
        self.lowest_first.insert((level, key));
        self.rate.wait(level, now)
    }

    fn forget_lapsed(&mut self, now: Duration) {
        while self.lowest_first.first().is_some_and(|(level, _)| *level <= now) {
            self.remove_lowest();
        }
    }

    fn remove_lowest(&mut self) -> Option<EmptyAt> {
        let (level, key) = self.lowest_first.pop_first()?;
        self.levels.remove(&key);
        Some(level)
    }
}

/// The failures of all doors: enrolment, agents, operators, setup. One node's own.
#[derive(Debug)]
pub struct FailureLimits(Mutex<Levels>);

#[derive(Debug)]
struct Levels {
    sources: Table<AddressBucket>,
    ids: Table<PublicId>,
    altogether: EmptyAt,
    setup_by_operators: EmptyAt,
    setup_by_machines: EmptyAt,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self(Mutex::new(Levels {
            sources: Table::new(PER_SOURCE, REMEMBERED),
            ids: Table::new(PER_ID, REMEMBERED),
            altogether: Duration::ZERO,
            setup_by_operators: Duration::ZERO,
            setup_by_machines: Duration::ZERO,
        }))
    }
}

impl FailureLimits {
    /// Counts a failed attempt with the public id it presented, whether or not there is such an id.
    ///
    /// `Some`: that is one too many; come back after this time.
    pub fn count(
        &self,
        source: AddressBucket,
        presented: Option<PublicId>,
        now: Duration,
    ) -> Option<Duration> {
        let mut levels = self.levels();
        levels.altogether = ALTOGETHER.count(levels.altogether, now);
        let altogether = ALTOGETHER.wait(levels.altogether, now);
        let by_source = levels.sources.count(source, now);
        let by_id = presented.and_then(|id| levels.ids.count(id, now));
        altogether.max(by_source).max(by_id)
    }

    /// Judges a setup code, unless too many wrong ones were shown at this listener: then even the right one waits.
    ///
    /// Judged under the lock, so that guesses in parallel are no more than guesses in a row; counted by listener, so
    /// that no stranger on the network keeps out who sits at the server.
    pub fn judge_setup_code(
        &self,
        listener: ListenerKind,
        now: Duration,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let mut levels = self.levels();
        let level = match listener {
            ListenerKind::Operators => &mut levels.setup_by_operators,
            ListenerKind::Machines => &mut levels.setup_by_machines,
        };
        let next = SETUP.count(*level, now);
        if let Some(wait) = SETUP.wait(next, now) {
            return Err(wait);
        }
        let is_right = is_right();
        if !is_right {
            *level = next;
        }
        Ok(is_right)
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
