//! Uses of keys that were replaced or revoked: refused where they are made, and told of here, once a key and hour.
//!
//! Bounded: who shows more former keys than fit is counted. Written down in the background and never on the urgent
//! lane: the alarm must not cost what the attack could not.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_ids::{HostId, KeyName, TeamId, Timestamp};
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::json;

use crate::app::App;
use crate::failure::Failure;
use crate::unit::{Author, Fact};

/// Keys that are told apart within an hour.
const TOLD_APART: usize = 4096;
/// Uses that wait to be written down.
const WAITING: usize = 512;
/// Uses that are written down in one transaction.
const AT_ONCE: usize = 50;
const HOUR_MILLIS: i64 = 3_600_000;

/// A key that ended, and whose it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FormerUse {
    /// The key.
    pub key: KeyName,
    /// The host it spoke for.
    pub host_id: HostId,
    /// The team of the host.
    pub team_id: TeamId,
}

#[derive(Debug, Clone)]
struct Waiting {
    used: FormerUse,
    source: String,
    at: Timestamp,
}

#[derive(Debug, Default)]
struct Noted {
    hour: i64,
    /// How often each key was shown in this hour.
    keys: HashMap<KeyName, u64>,
    waiting: Vec<Waiting>,
    /// Uses of keys that were not told apart.
    others: u64,
}

/// The uses that are still to be told of. One node's own.
#[derive(Debug, Default)]
pub struct FormerUses(Mutex<Noted>);

impl FormerUses {
    /// Notes that a key that ended was proved again; `true`: that is news in this hour.
    pub fn note(&self, used: FormerUse, source: String, now: Timestamp) -> bool {
        let mut noted = self.noted();
        let hour = now.as_millis().div_euclid(HOUR_MILLIS);
        if noted.hour != hour {
            noted.hour = hour;
            noted.keys.clear();
        }
        if let Some(count) = noted.keys.get_mut(&used.key) {
            *count = count.saturating_add(1);
            return false;
        }
        if noted.keys.len() >= TOLD_APART || noted.waiting.len() >= WAITING {
            noted.others = noted.others.saturating_add(1);
            return false;
        }
        noted.keys.insert(used.key, 1);
        noted.waiting.push(Waiting { used, source, at: now });
        true
    }

    /// Writes down what waits. Returns how many.
    pub async fn write(&self, app: &App) -> Result<usize, Failure> {
        let mut written = 0;
        loop {
            let (some, others) = self.take();
            if others > 0 {
                tracing::warn!(count = others, "more former keys were used than are told apart");
            }
            if some.is_empty() {
                return Ok(written);
            }
            written += some.len();
            let told = some.clone();
            let change = app.change(Priority::Normal, app.clock.now(), move |unit| {
                told.iter().for_each(|one| unit.happened(fact(one)));
                Ok(())
            });
            if let Err(failure) = change.await {
                self.put_back(some);
                return Err(failure);
            }
        }
    }

    fn take(&self) -> (Vec<Waiting>, u64) {
        let mut noted = self.noted();
        let count = noted.waiting.len().min(AT_ONCE);
        (noted.waiting.drain(..count).collect(), std::mem::take(&mut noted.others))
    }

    fn put_back(&self, some: Vec<Waiting>) {
        let mut noted = self.noted();
        let room = WAITING.saturating_sub(noted.waiting.len());
        noted.waiting.extend(some.into_iter().take(room));
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn fact(waiting: &Waiting) -> Fact {
    let Waiting { used, source, at } = waiting;
    let author = Author { actor: used.key.to_string(), role: None, source: source.clone() };
    let fact = Fact::new(Happening::KeyFormerUsed, used.team_id, &author, used.key).of_host(used.host_id);
    fact.outcome("refused").details(json!({ "host_id": used.host_id, "source": source, "used_at": at }))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn used(n: u32) -> FormerUse {
        FormerUse {
            key: format!("agk:{n:012}").parse().expect("a key"),
            host_id: HostId::from_uuid(Uuid::from_u128(1)),
            team_id: TeamId::from_uuid(Uuid::from_u128(2)),
        }
    }

    #[test]
    fn a_key_is_told_of_once_an_hour() {
        let uses = FormerUses::default();
        let note = |n, at| uses.note(used(n), "-".to_owned(), at);
        assert!(note(1, NOW));
        assert!(!note(1, NOW.plus(Duration::from_secs(60))));
        assert!(note(2, NOW));
        assert!(note(1, NOW.plus(Duration::from_secs(3600))));
        assert_eq!(uses.take().0.len(), 3);
    }

    #[test]
    fn a_flood_of_former_keys_fills_nothing() {
        let uses = FormerUses::default();
        for n in 0..100_000 {
            uses.note(used(n), "-".to_owned(), NOW);
        }
        let (waiting, keys) = {
            let noted = uses.noted();
            (noted.waiting.len(), noted.keys.len())
        };
        assert!(waiting <= WAITING && keys <= TOLD_APART, "{waiting} {keys}");
        assert_eq!(uses.take().1, 100_000 - WAITING as u64);
        // What cannot be written is kept within the same bounds.
        let some = uses.take().0;
        uses.put_back(some);
        assert!(uses.noted().waiting.len() <= WAITING);
    }
}
