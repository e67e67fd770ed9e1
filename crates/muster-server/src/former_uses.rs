//! Uses of keys that were replaced or revoked: refused where they are made, and told of here, once a key and hour.
//!
//! Bounded: who shows more former keys than fit is counted. Written down in the background and never on the urgent
//! lane: the alarm must not cost what the attack could not.

use std::collections::HashSet;
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
    /// Those that were shown in this hour, and are told of.
    keys: HashSet<KeyName>,
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
        if noted.keys.contains(&used.key) {
            return false;
        }
        if noted.keys.len() >= TOLD_APART || noted.waiting.len() >= WAITING {
            noted.others = noted.others.saturating_add(1);
            return false;
        }
        noted.keys.insert(used.key);
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
                for one in &told {
                    unit.tx.host_key_was_shown(&one.used.key)?;
                    unit.happened(fact(one));
                }
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
        let room = WAITING.saturating_sub(noted.waiting.len()).min(some.len());
        let without_room = u64::try_from(some.len() - room).unwrap_or(u64::MAX);
        noted.others = noted.others.saturating_add(without_room);
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

    fn note_many(uses: &FormerUses, numbers: std::ops::Range<u32>) {
        for n in numbers {
            uses.note(used(n), "-".to_owned(), NOW);
        }
    }

    fn waiting(uses: &FormerUses) -> usize {
        uses.noted().waiting.len()
    }

    #[test]
    fn a_flood_that_cannot_be_written_down_fills_nothing_and_is_counted() {
        let uses = FormerUses::default();
        note_many(&uses, 0..10_000);
        assert_eq!(waiting(&uses), WAITING);
        let (some, others) = uses.take();
        assert_eq!((some.len(), others), (AT_ONCE, 10_000 - WAITING as u64));
        // Most of the room was taken before it came back.
        note_many(&uses, 20_000..20_040);
        uses.put_back(some);
        assert_eq!((waiting(&uses), uses.take().1), (WAITING, 40));
    }

    #[test]
    fn a_flood_that_is_written_down_at_once_is_told_apart_up_to_a_bound() {
        let uses = FormerUses::default();
        let (mut told, mut others) = (0, 0);
        for n in 0..200 {
            note_many(&uses, n * AT_ONCE as u32..(n + 1) * AT_ONCE as u32);
            let (some, more) = uses.take();
            (told, others) = (told + some.len(), others + more);
            assert_eq!(waiting(&uses), 0);
        }
        let all = 200 * AT_ONCE;
        assert_eq!(
            (told, uses.noted().keys.len(), others),
            (TOLD_APART, TOLD_APART, (all - TOLD_APART) as u64)
        );
    }
}
