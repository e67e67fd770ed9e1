//! Signs of life in memory, flushed to the narrow table in batches.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_domain::presence::Rounds;
use muster_edge::Clock;
use muster_ids::{HostId, Timestamp};
use muster_store::rows::VitalsRow;
use muster_wire::overview::Vitals;

use crate::vitals::{self, Samples, Told};

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

/// A sign, and what of it is still to be written down.
#[derive(Debug)]
struct Kept {
    sign: Sign,
    vitals: vitals::Kept,
    is_unflushed: bool,
    /// The host is no more: kept only until it is written down.
    is_forgotten: bool,
}

#[derive(Debug, Default)]
struct Memory {
    signs: HashMap<HostId, Kept>,
    /// Whose sign is to be written down, each once.
    unflushed: Vec<HostId>,
    rounds: Rounds,
    samples: Samples,
}

impl Memory {
    fn keep(&mut self, host_id: HostId, sign: Sign, told: Option<Told>) {
        let kept = self.signs.entry(host_id).or_insert_with(|| Kept {
            sign,
            vitals: vitals::Kept::new(sign.seq, sign.seen_at),
            is_unflushed: false,
            is_forgotten: false,
        });
        (kept.sign, kept.is_forgotten) = (sign, false);
        if let Some(told) = told {
            kept.vitals.take(told, sign.seen_at);
        }
        if !std::mem::replace(&mut kept.is_unflushed, true) {
            self.unflushed.push(host_id);
        }
    }
}

/// Signs of life of the hosts this node heard.
#[derive(Debug, Default)]
pub struct Presences(Mutex<Memory>);

impl Presences {
    /// Records a sign of life.
    pub fn heard(&self, host_id: HostId, sign: Sign) {
        self.memory().keep(host_id, sign, None);
    }

    /// Records a sign of life that says how the host is.
    pub fn told(&self, host_id: HostId, sign: Sign, told: Option<Told>) {
        self.memory().keep(host_id, sign, told);
    }

    /// Returns what a host last said to this node about how it is.
    pub fn vitals(&self, host_id: HostId) -> Option<Vitals> {
        self.memory().signs.get(&host_id).and_then(|kept| kept.vitals.shown())
    }

    /// Takes at most `limit` hours of hosts to write down, all of one hour.
    pub fn take_samples(&self, limit: usize) -> Vec<VitalsRow> {
        self.memory().samples.take(limit)
    }

    /// Puts back hours of hosts that could not be written.
    pub fn put_samples_back(&self, rows: Vec<VitalsRow>) {
        self.memory().samples.put_back(rows);
    }

    /// Returns what was last heard of a host on this node.
    pub fn of(&self, host_id: HostId) -> Option<Sign> {
        self.memory().signs.get(&host_id).map(|kept| kept.sign)
    }

    /// Takes a round of the server's work into account. `false`: it was away, and not all hosts can be back yet.
    ///
    /// Rounds of several reconcilers overtake each other: the clock is read with the lock held, or the later one would
    /// look like a clock that was set back.
    pub fn round(&self, clock: &Clock) -> bool {
        let mut memory = self.memory();
        let now = clock.now();
        memory.rounds = memory.rounds.after(now);
        memory.rounds.all_are_back(now)
    }

    /// Returns how long the server is there without a break.
    pub fn there_for(&self, clock: &Clock, up_for: Duration) -> Duration {
        let memory = self.memory();
        memory.rounds.there_for(clock.now(), up_for)
    }

    /// Forgets a host that is no more; when it was last heard is still written down.
    pub fn forget(&self, host_id: HostId) {
        let mut memory = self.memory();
        match memory.signs.get_mut(&host_id) {
            Some(kept) if kept.is_unflushed => kept.is_forgotten = true,
            _ => drop(memory.signs.remove(&host_id)),
        }
    }

    /// Takes what was heard since the last call.
    pub fn take_unflushed(&self) -> Vec<(HostId, Sign)> {
        let mut memory = self.memory();
        let Memory { signs, unflushed, samples, .. } = &mut *memory;
        let take = |host_id: HostId| {
            let kept = signs.get_mut(&host_id)?;
            kept.is_unflushed = false;
            let sign = kept.sign;
            if let Some(sample) = kept.vitals.sample(host_id, sign.seq, sign.seen_at) {
                samples.add(sample);
            }
            if kept.is_forgotten {
                signs.remove(&host_id);
            }
            Some((host_id, sign))
        };
        std::mem::take(unflushed).into_iter().filter_map(take).collect()
    }

    /// Puts back what could not be written, where nothing newer was heard meanwhile.
    pub fn put_back(&self, signs: &[(HostId, Sign)]) {
        let mut memory = self.memory();
        for (host_id, sign) in signs {
            match memory.signs.get(host_id) {
                Some(kept) if kept.is_unflushed => {}
                Some(kept) => {
                    let sign = kept.sign;
                    memory.keep(*host_id, sign, None);
                }
                None => {
                    memory.keep(*host_id, *sign, None);
                    memory.signs.entry(*host_id).and_modify(|kept| kept.is_forgotten = true);
                }
            }
        }
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn host(n: u128) -> HostId {
        HostId::from_uuid(Uuid::from_u128(n))
    }

    fn sign(seq: i64, at: i64) -> Sign {
        Sign { seq, seen_at: Timestamp::from_millis(at), said_goodbye: false }
    }

    #[test]
    fn what_was_heard_is_written_down_once_as_it_was_last() {
        let presences = Presences::default();
        presences.heard(host(1), sign(1, 10));
        presences.heard(host(2), sign(2, 11));
        presences.heard(host(1), sign(1, 12));
        assert_eq!(presences.take_unflushed(), [(host(1), sign(1, 12)), (host(2), sign(2, 11))]);
        assert_eq!(presences.take_unflushed(), []);
        assert_eq!(presences.of(host(1)), Some(sign(1, 12)));
    }

    #[test]
    fn what_could_not_be_written_takes_nothing_from_what_came_later() {
        let presences = Presences::default();
        (1..=3).for_each(|n| presences.heard(host(n), sign(n as i64, 10)));
        let taken = presences.take_unflushed();
        presences.heard(host(1), sign(1, 20));
        presences.forget(host(2));
        presences.put_back(&taken);
        let mut again = presences.take_unflushed();
        again.sort_by_key(|(_, sign)| sign.seq);
        assert_eq!(again, [(host(1), sign(1, 20)), (host(2), sign(2, 10)), (host(3), sign(3, 10))]);
        assert_eq!((presences.of(host(2)), presences.of(host(3))), (None, Some(sign(3, 10))));
    }

    #[test]
    fn a_host_that_is_no_more_is_written_down_and_forgotten() {
        let presences = Presences::default();
        presences.heard(host(1), sign(1, 10));
        presences.forget(host(1));
        assert_eq!(presences.take_unflushed(), [(host(1), sign(1, 10))]);
        assert_eq!(presences.of(host(1)), None);
    }
}
