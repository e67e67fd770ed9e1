//! Signs of life in memory, flushed to the narrow table in batches.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use muster_domain::presence::Rounds;
use muster_ids::{HostId, Timestamp};

/// What was last heard of one host on this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sign {
    /// The host's integer key in the narrow table.
    pub seq: i64,
    /// When it was heard.
    pub seen_at: Timestamp,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
}

#[derive(Debug, Default)]
struct Memory {
    signs: HashMap<HostId, Sign>,
    unflushed: HashMap<HostId, Sign>,
    rounds: Rounds,
}

/// Signs of life of the hosts this node heard.
#[derive(Debug, Default)]
pub struct Presences(Mutex<Memory>);

impl Presences {
    /// Records a sign of life.
    pub fn heard(&self, host_id: HostId, sign: Sign) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.signs.insert(host_id, sign);
        memory.unflushed.insert(host_id, sign);
    }

    /// Returns what was last heard of a host on this node.
    pub fn of(&self, host_id: HostId) -> Option<Sign> {
        let memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.signs.get(&host_id).or_else(|| memory.unflushed.get(&host_id)).copied()
    }

    /// Takes a round of the server's work into account. `false`: it was away, and not all hosts can be back yet.
    pub fn round(&self, now: Timestamp) -> bool {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        memory.rounds = memory.rounds.after(now);
        memory.rounds.all_are_back(now)
    }

    /// Forgets a host that is no more; when it was last heard is still written down.
    pub fn forget(&self, host_id: HostId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).signs.remove(&host_id);
    }

    /// Takes what was heard since the last call.
    pub fn take_unflushed(&self) -> Vec<(HostId, Sign)> {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut memory.unflushed).into_iter().collect()
    }

    /// Puts back what could not be written, where nothing newer was heard meanwhile.
    pub fn put_back(&self, signs: &[(HostId, Sign)]) {
        let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (host_id, sign) in signs {
            memory.unflushed.entry(*host_id).or_insert(*sign);
        }
    }
}
