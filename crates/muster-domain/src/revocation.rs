//! How a node follows the log of revocations: what it has read, what may still come, and what it does when it cannot
//! read (DESIGN §5).

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// Time between two looks at the log.
pub const READ_EVERY: Duration = Duration::from_millis(500);
/// A log unread for so long: nothing new is begun.
pub const REFUSE_AFTER: Duration = Duration::from_secs(5);
/// A log unread for so long: what is open is cut.
pub const CUT_AFTER: Duration = Duration::from_secs(30);
/// How much later than a row of a greater number one of a smaller number may be committed. Statements are interrupted
/// after seconds, so a transaction that takes longer is none.
pub const LATE_WITHIN: Duration = Duration::from_secs(60);
/// Rows before the last one that a node that starts looks at, too: some smaller number may not be committed yet.
pub const LOOK_BACK: i64 = 1000;

/// How well a node sees what was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sight {
    /// It reads the log.
    Clear,
    /// It did not for [`REFUSE_AFTER`]: nothing new is begun.
    Dim,
    /// It did not for [`CUT_AFTER`]: what is open is cut.
    Blind,
}

impl Sight {
    /// Judges by how long ago the log was last read.
    pub fn after(unread_for: Duration) -> Self {
        if unread_for >= CUT_AFTER {
            Self::Blind
        } else if unread_for >= REFUSE_AFTER {
            Self::Dim
        } else {
            Self::Clear
        }
    }
}

/// What was read of a log whose rows are numbered when they are inserted and seen when they are committed: a smaller
/// number may come after a greater one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tail {
    /// Everything up to here was read, or never comes.
    floor: i64,
    /// What was read above it.
    seen: BTreeSet<i64>,
    /// When which greatest number was known: after [`LATE_WITHIN`] nothing smaller comes.
    marks: VecDeque<(Duration, i64)>,
}

impl Tail {
    /// Begins at a log whose last row has this number.
    pub fn begin(last: i64) -> Self {
        Self { floor: (last - LOOK_BACK).max(0), ..Self::default() }
    }

    /// The number after which the log is to be read.
    pub fn after(&self) -> i64 {
        self.floor
    }

    /// Takes everything the log has after [`Self::after`], read at `now` on a monotonic clock, and returns what is new.
    pub fn take(&mut self, numbers: impl IntoIterator<Item = i64>, now: Duration) -> Vec<i64> {
        let is_new = |number: &i64| *number > self.floor && self.seen.insert(*number);
        let new: Vec<i64> = numbers.into_iter().filter(is_new).collect();
        let last = self.seen.last().copied().unwrap_or(self.floor);
        if self.marks.back().is_none_or(|(_, known)| *known < last) {
            self.marks.push_back((now, last));
        }
        while let Some((at, known)) = self.marks.front()
            && now.saturating_sub(*at) >= LATE_WITHIN
        {
            self.floor = self.floor.max(*known);
            self.marks.pop_front();
        }
        self.seen = self.seen.split_off(&(self.floor + 1));
        while self.seen.remove(&(self.floor + 1)) {
            self.floor += 1;
        }
        new
    }
}

#[cfg(test)]
mod tests;
