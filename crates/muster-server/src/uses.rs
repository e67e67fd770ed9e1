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
            // What could not be written down comes back later than what was noted since.
            if last.at <= at {
                last.at = at;
                source.clone_into(&mut last.source);
            }
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

#[cfg(test)]
mod tests {
    use muster_ids::PublicId;

    use super::*;

    #[test]
    fn a_use_that_comes_back_takes_nothing_from_a_later_one() {
        let uses = Uses::default();
        let used = Used::Token(TokenId::new(PublicId::from_entropy([1; 16])));
        let at = |secs: i64| Timestamp::from_millis(secs * 1000);
        uses.note(used, at(1), "192.0.2.1");
        let taken = uses.take(10);
        uses.note(used, at(2), "192.0.2.2");
        taken.iter().for_each(|(used, last)| uses.note(*used, last.at, &last.source));
        assert_eq!(uses.take(10), [(used, LastUse { at: at(2), source: "192.0.2.2".to_owned() })]);
        assert_eq!(uses.of(used), None);
    }
}
