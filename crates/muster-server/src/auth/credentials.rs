//! Credentials of agents that this node has looked up, each only for as long as nobody took it away (DESIGN §5).
//!
//! An entry says that a key may act. Whoever takes that right away writes it to the log of revocations, and the node
//! drops the entry: the one that revokes before it replies, every other one when it reads the log. A look at the
//! database that began before may still be on its way then with what was true: it began with an [`Interest`], and what
//! it brings is kept only if nothing was dropped from that part of the map meanwhile. Who may not act is never kept,
//! so giving a right back needs no word to anybody. A transaction that relies on the right looks for itself.

use std::collections::HashMap;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_ids::{HostId, KeyName, Timestamp};
use muster_store::rows::AgentRow;

use crate::effects::Ended;

/// Entries of all parts together; past that another one goes.
const MOST: usize = 200_000;
const PARTS: usize = 64;
/// How often the use of an entry is noted.
const NOTED_EVERY: Duration = Duration::from_secs(10);

/// What is known of a key.
#[derive(Debug)]
pub struct Known {
    /// Its row, as it was read.
    pub row: AgentRow,
    noted_at: AtomicI64,
}

impl Known {
    fn new(row: AgentRow) -> Self {
        Self { row, noted_at: AtomicI64::new(i64::MIN) }
    }

    /// Whether a use at `now` is to be noted: what is kept of uses is no finer than [`NOTED_EVERY`].
    pub fn is_news(&self, now: Timestamp) -> bool {
        let noted_at = self.noted_at.load(Ordering::Relaxed);
        let is_news = noted_at == i64::MIN
            || now.as_millis().saturating_sub(noted_at).unsigned_abs() >= NOTED_EVERY.as_millis() as u64;
        if is_news {
            self.noted_at.store(now.as_millis(), Ordering::Relaxed);
        }
        is_news
    }
}

struct Entry {
    /// Beside the pointer, so that dropping a host's keys reads no row.
    host_id: HostId,
    known: Arc<Known>,
}

#[derive(Default)]
struct Part {
    /// Counts what was dropped: what was read before may not be kept after.
    drops: u64,
    entries: HashMap<KeyName, Entry>,
}

/// The promise that a look at the database began now, and not before what was dropped until now.
#[derive(Debug)]
#[must_use = "an interest that is taken after the look proves nothing"]
pub struct Interest {
    key: KeyName,
    drops: u64,
}

/// The credentials this node knows.
pub struct Credentials {
    parts: [Mutex<Part>; PARTS],
    most_in_a_part: usize,
}

impl Default for Credentials {
    fn default() -> Self {
        Self::of_at_most(MOST)
    }
}

impl Credentials {
    /// Keeps at most `most` entries, and at least one in each part.
    pub fn of_at_most(most: usize) -> Self {
        Self { parts: std::array::from_fn(|_| Mutex::default()), most_in_a_part: (most / PARTS).max(1) }
    }

    /// Returns what is known of a key that may act.
    pub fn get(&self, key: &KeyName) -> Option<Arc<Known>> {
        self.part(key).entries.get(key).map(|entry| Arc::clone(&entry.known))
    }

    /// To be called before the database is asked about a key.
    pub fn begin(&self, key: KeyName) -> Interest {
        Interest { key, drops: self.part(&key).drops }
    }

    /// Takes what the database said, and keeps it if the key may act and nothing was dropped since `interest` was taken.
    #[expect(clippy::needless_pass_by_value, reason = "an interest proves one look, and is spent by it")]
    pub fn keep(&self, interest: Interest, row: AgentRow) -> Arc<Known> {
        let host_id = row.host_id;
        let may_act = row.may_act();
        let known = Arc::new(Known::new(row));
        let Interest { key, drops } = interest;
        let mut part = self.part(&key);
        if may_act && part.drops == drops {
            if part.entries.len() >= self.most_in_a_part
                && !part.entries.contains_key(&key)
                && let Some(another) = part.entries.keys().next().copied()
            {
                part.entries.remove(&another);
            }
            part.entries.insert(key, Entry { host_id, known: Arc::clone(&known) });
        }
        known
    }

    /// Drops a key, and whatever is being read about it.
    pub fn drop_key(&self, key: &KeyName) {
        let mut part = self.part(key);
        part.drops += 1;
        part.entries.remove(key);
    }

    /// Drops every key of these hosts, and whatever is being read about any key.
    pub fn drop_hosts(&self, hosts: &[HostId]) {
        if hosts.is_empty() {
            return;
        }
        for part in &self.parts {
            let mut part = lock(part);
            part.drops += 1;
            part.entries.retain(|_, entry| !hosts.contains(&entry.host_id));
        }
    }

    /// Drops what may not act any more on the ground of these.
    pub fn drop_ended(&self, ended: &[Ended]) {
        let mut hosts = Vec::new();
        for ended in ended {
            match ended {
                Ended::Key(key) => self.drop_key(key),
                Ended::Host(host_id) => hosts.push(*host_id),
                // People are looked up anew with each request.
                _ => {}
            }
        }
        self.drop_hosts(&hosts);
    }

    /// Drops everything: the log of what was revoked cannot be read.
    pub fn clear(&self) {
        for part in &self.parts {
            let mut part = lock(part);
            part.drops += 1;
            part.entries.clear();
        }
    }

    /// How many credentials are known.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| lock(part).entries.len()).sum()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn part(&self, key: &KeyName) -> MutexGuard<'_, Part> {
        lock(&self.parts[place(key)])
    }
}

/// Names of keys are random: a few bytes of them are as good as a hash.
fn place(key: &KeyName) -> usize {
    let place = match key {
        KeyName::Pair(thumbprint) => usize::from(thumbprint.digest()[0]),
        KeyName::Agent(id) => {
            let text = id.as_str().as_bytes();
            usize::from(text[0]) ^ (usize::from(text[1]) << 3)
        }
    };
    place % PARTS
}

fn lock(part: &Mutex<Part>) -> MutexGuard<'_, Part> {
    part.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
