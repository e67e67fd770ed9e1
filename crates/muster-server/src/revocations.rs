//! What this node knows of the log of revocations: which rows it followed itself, and when it last read the log.
//!
//! Whoever takes a right away says so with [`Unit::end`](crate::unit::Unit::end), which writes the row and leaves the
//! rest to what follows the commit. Every other node, and this one after a commit of which nobody knows, finds it in
//! the log (`reconcile/revocations.rs`).

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_domain::revocation::Sight;

use crate::app::App;
use crate::failure::Failure;

/// Rows that wait to be found in the log; past that the oldest are followed twice.
const MOST_FOLLOWED: usize = 100_000;
const NEVER: u64 = u64::MAX;

/// What this node knows of the log.
#[derive(Debug)]
pub struct Revocations {
    followed: Mutex<BTreeSet<i64>>,
    /// When the log was last read, in milliseconds of the monotonic clock.
    read_at: AtomicU64,
}

impl Default for Revocations {
    fn default() -> Self {
        Self { followed: Mutex::default(), read_at: AtomicU64::new(NEVER) }
    }
}

impl Revocations {
    /// Remembers rows whose sockets and cache entries this node sees to itself.
    pub fn follows(&self, numbers: &[i64]) {
        let mut followed = self.followed();
        followed.extend(numbers);
        while followed.len() > MOST_FOLLOWED {
            followed.pop_first();
        }
    }

    /// Whether this node saw to a row itself.
    pub fn was_followed(&self, number: i64) -> bool {
        self.followed().contains(&number)
    }

    /// Forgets rows that were found in the log: none of them is found again.
    pub fn forget(&self, numbers: &[i64]) {
        let mut followed = self.followed();
        for number in numbers {
            followed.remove(number);
        }
    }

    /// Notes that everything committed before `at`, on the monotonic clock, was read.
    pub fn read(&self, at: Duration) {
        self.read_at.store(u64::try_from(at.as_millis()).unwrap_or(NEVER - 1), Ordering::Release);
    }

    /// How well this node sees at `now` what was revoked. Before it first looked it has nothing cached and nothing open
    /// that a look could end.
    pub fn sight(&self, now: Duration) -> Sight {
        match self.read_at.load(Ordering::Acquire) {
            NEVER => Sight::Clear,
            read_at => Sight::after(now.saturating_sub(Duration::from_millis(read_at))),
        }
    }

    fn followed(&self) -> MutexGuard<'_, BTreeSet<i64>> {
        self.followed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Refuses to begin anything on the ground of a right that may have ended unseen.
pub fn must_be_seen(app: &App) -> Result<(), Failure> {
    match app.revocations.sight(app.clock.monotonic()) {
        Sight::Clear => Ok(()),
        Sight::Dim | Sight::Blind => Err(Failure::RevocationsUnseen),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_followed_once_by_whoever_wrote_it() {
        let revocations = Revocations::default();
        revocations.follows(&[3, 5]);
        assert_eq!([3, 4, 5, 3].map(|number| revocations.was_followed(number)), [true, false, true, true]);
        revocations.forget(&[3, 4]);
        assert_eq!([3, 5].map(|number| revocations.was_followed(number)), [false, true]);
    }

    #[test]
    fn sight_is_lost_only_by_who_had_it() {
        let revocations = Revocations::default();
        let sec = Duration::from_secs;
        assert_eq!(revocations.sight(sec(3600)), Sight::Clear);
        revocations.read(sec(3600));
        for (at, expected) in [(3604, Sight::Clear), (3605, Sight::Dim), (3630, Sight::Blind)] {
            assert_eq!(revocations.sight(sec(at)), expected, "{at}");
        }
        revocations.read(sec(3630));
        assert_eq!(revocations.sight(sec(3630)), Sight::Clear);
    }
}
