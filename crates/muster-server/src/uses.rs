//! When credentials were last used, and from where: memory, flushed in batches by a reconciler.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_ids::{AgentKeyId, Timestamp, TokenId, WebSessionId};

/// Uses that wait to be written down; past that the newest are dropped until the next flush.
const WAITING: usize = 64 * 1024;

/// What was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Used {
    /// An API token.
    Token(TokenId),
    /// A signed-in session.
    WebSession(WebSessionId),
    /// An agent key.
    AgentKey(AgentKeyId),
}

/// The last use of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastUse {
    /// When.
    pub at: Timestamp,
    /// From which address.
    pub source: String,
}

/// The uses this node saw since they were flushed.
#[derive(Debug, Default)]
pub struct Uses(Mutex<HashMap<Used, LastUse>>);

impl Uses {
    /// Notes a use.
    pub fn note(&self, used: Used, at: Timestamp, source: &str) {
        let mut waiting = self.lock();
        if let Some(last) = waiting.get_mut(&used) {
            last.at = last.at.max(at);
            source.clone_into(&mut last.source);
        } else if waiting.len() < WAITING {
            waiting.insert(used, LastUse { at, source: source.to_owned() });
        }
    }

    /// Returns when something was used, if that is still to be written down.
    pub fn of(&self, used: Used) -> Option<Timestamp> {
        self.lock().get(&used).map(|last| last.at)
    }

    /// Takes at most `limit` uses to write down.
    pub fn take(&self, limit: usize) -> Vec<(Used, LastUse)> {
        let mut waiting = self.lock();
        let keys: Vec<Used> = waiting.keys().copied().take(limit).collect();
        keys.into_iter().filter_map(|used| waiting.remove(&used).map(|last| (used, last))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Used, LastUse>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
