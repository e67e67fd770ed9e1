//! How many commits were made durable, and for how many transactions.

use std::sync::atomic::{AtomicU64, Ordering};

/// Durable commits since the store was opened; a group of transactions shares one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Write transactions whose commit is durable.
    pub transactions: u64,
    /// Commits that made them so.
    pub commits: u64,
}

/// Counts commits after they are durable.
#[derive(Debug, Default)]
pub(super) struct Commits {
    transactions: AtomicU64,
    commits: AtomicU64,
}

impl Commits {
    pub(super) fn count(&self, transactions: usize) {
        self.transactions.fetch_add(transactions as u64, Ordering::Relaxed);
        self.commits.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> Committed {
        Committed {
            transactions: self.transactions.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
        }
    }
}
