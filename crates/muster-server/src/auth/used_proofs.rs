//! Proofs that were used, for as long as they could be used again. Bounded; one node's own.
//!
//! Only proofs whose signature was verified come here, at the door only with a ticket whose secret is right: a
//! stranger fills nothing. No key holds more than [`PER_KEY`], no ticket more than [`PER_TICKET`]. Door and hosts
//! remember apart. Time is the monotonic clock's: setting the wall clock forgets nothing.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use muster_ids::{KeyThumbprint, TicketId};
use muster_keyring::NONCE_BUCKET;
use muster_proof::digest::sha256;
use muster_proof::dpop::{JTI_REMEMBERED_FOR, VerifiedProof};

/// Proofs of one key that are remembered at once; an agent needs a few a minute when its line is bad.
const PER_KEY: u32 = 64;
/// Proofs with one ticket that are remembered at once: 80 machines a second for ten minutes.
const PER_TICKET: u32 = 50_000;
/// Proofs of copies of one key that are remembered at once: 40 copies that all ask twice a minute for ten minutes.
const PER_FORMER_KEY: u32 = 1_000;
/// Proofs that are remembered altogether; about 30 MiB.
const ALTOGETHER: usize = 200_000;

/// The proofs used on this node.
#[derive(Debug)]
pub struct UsedProofs {
    door: Mutex<Memory>,
    hosts: Mutex<Memory>,
}

/// A proof cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It was used before.
    Used,
    /// Its key, or its ticket, has as many proofs remembered as it may.
    TooMany,
    /// More proofs are remembered than memory may hold.
    Full,
}

impl Default for UsedProofs {
    fn default() -> Self {
        // At the door a proof is timely by its `iat`; of a host a nonce is required, which lives for two buckets.
        Self {
            door: Mutex::new(Memory::new(JTI_REMEMBERED_FOR, WhenFull::ForgetOldest)),
            hosts: Mutex::new(Memory::new(2 * NONCE_BUCKET, WhenFull::Refuse)),
        }
    }
}

impl UsedProofs {
    /// Remembers a verified proof as used at the door.
    pub fn take_at_door(
        &self,
        proof: &VerifiedProof,
        ticket_id: TicketId,
        now: Duration,
    ) -> Result<(), NotTaken> {
        take(&self.door, proof, Some(Vouched::Ticket(ticket_id)), now)
    }

    /// Remembers a verified proof of a copy that the key it was copied with vouches for as used at the door.
    pub fn take_of_copy(
        &self,
        proof: &VerifiedProof,
        former: KeyThumbprint,
        now: Duration,
    ) -> Result<(), NotTaken> {
        take(&self.door, proof, Some(Vouched::FormerKey(former)), now)
    }

    /// Remembers a verified proof of a host as used.
    pub fn take_of_host(&self, proof: &VerifiedProof, now: Duration) -> Result<(), NotTaken> {
        take(&self.hosts, proof, None, now)
    }
}

fn take(
    memory: &Mutex<Memory>,
    proof: &VerifiedProof,
    by: Option<Vouched>,
    now: Duration,
) -> Result<(), NotTaken> {
    let name = sha256(&[proof.thumbprint.digest(), proof.claims.jti.as_bytes()].concat());
    let taken = Taken { at: now, name, key: proof.thumbprint, by };
    memory.lock().unwrap_or_else(PoisonError::into_inner).take(taken)
}

/// What a full memory does.
#[derive(Debug, Clone, Copy)]
enum WhenFull {
    /// An enrolment that comes twice is answered twice and done once: better than to keep everybody out.
    ForgetOldest,
    /// A host's request may not be repeated by others.
    Refuse,
}

#[derive(Debug)]
struct Memory {
    lapses_after: Duration,
    when_full: WhenFull,
    capacity: usize,
    names: HashSet<[u8; 32]>,
    by_age: VecDeque<Taken>,
    of_keys: HashMap<KeyThumbprint, u32>,
    of_vouchers: HashMap<Vouched, u32>,
}

/// What stands for a machine nobody knows: without it a stranger could fill memory with keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Vouched {
    Ticket(TicketId),
    FormerKey(KeyThumbprint),
}

impl Vouched {
    const fn most(self) -> u32 {
        match self {
            Self::Ticket(_) => PER_TICKET,
            Self::FormerKey(_) => PER_FORMER_KEY,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Taken {
    at: Duration,
    name: [u8; 32],
    key: KeyThumbprint,
    by: Option<Vouched>,
}

impl Memory {
    fn new(lapses_after: Duration, when_full: WhenFull) -> Self {
        Self {
            lapses_after,
            when_full,
            capacity: ALTOGETHER,
            names: HashSet::new(),
            by_age: VecDeque::new(),
            of_keys: HashMap::new(),
            of_vouchers: HashMap::new(),
        }
    }

    fn take(&mut self, taken: Taken) -> Result<(), NotTaken> {
        while self.by_age.front().is_some_and(|first| taken.at.saturating_sub(first.at) > self.lapses_after) {
            self.forget_oldest();
        }
        if self.names.contains(&taken.name) {
            return Err(NotTaken::Used);
        }
        let of_key = self.of_keys.get(&taken.key).copied().unwrap_or(0);
        let is_full = |by: Vouched| self.of_vouchers.get(&by).is_some_and(|count| *count >= by.most());
        if of_key >= PER_KEY || taken.by.is_some_and(is_full) {
            return Err(NotTaken::TooMany);
        }
        if self.by_age.len() >= self.capacity {
            match self.when_full {
                WhenFull::Refuse => return Err(NotTaken::Full),
                WhenFull::ForgetOldest => self.forget_oldest(),
            }
        }
        self.names.insert(taken.name);
        self.by_age.push_back(taken);
        *self.of_keys.entry(taken.key).or_default() += 1;
        if let Some(by) = taken.by {
            *self.of_vouchers.entry(by).or_default() += 1;
        }
        Ok(())
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.by_age.pop_front() else { return };
        self.names.remove(&oldest.name);
        one_less(&mut self.of_keys, &oldest.key);
        if let Some(by) = oldest.by {
            one_less(&mut self.of_vouchers, &by);
        }
    }
}

fn one_less<K: Eq + std::hash::Hash>(counts: &mut HashMap<K, u32>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
