//! Failures, counted: who fails too often is told to stay away (DESIGN §4, Limits).
//!
//! A credential is judged before anything is counted, and only failures are, so that nobody is refused because of a
//! neighbour: over a limit further *failures* get 429 instead of their 401, a credential that verifies is served. The
//! setup code alone is guarded the other way round, because it is short and typed: over its limit it is not looked at.
//! Passwords, codes and what comes back from a provider stand between the two: each is counted *before* it is judged
//! and given back when it was right, so that neither hanging up nor asking in parallel makes a guess for free.
//! One table for all doors; time comes in as a value. To limit another door, count its failures here too.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_http::{AddressBucket, ListenerKind};
use muster_ids::PublicId;

const MINUTE: Duration = Duration::from_secs(60);
/// Failures from one IPv4 address or IPv6 /64: a school or a branch office behind one address may fail that often.
const PER_SOURCE: Rate = Rate { failures: 600, per: MINUTE };
/// Failures with one public id, wherever they come from.
const PER_ID: Rate = Rate { failures: 1200, per: MINUTE };
/// Failures altogether.
const ALTOGETHER: Rate = Rate { failures: 30_000, per: MINUTE };
/// Wrong passwords, or codes, from one source: as many as an office full of people mistypes.
const GUESSES_PER_SOURCE: Rate = Rate { failures: 20, per: Duration::from_secs(5 * 60) };
/// Wrong passwords, or codes, for one login, wherever they come from.
const GUESSES_PER_LOGIN: Rate = Rate { failures: 50, per: Duration::from_secs(10 * 60) };
/// Wrong codes of one person's second factor, by whoever has the password.
const CODES: Rate = Rate { failures: 10, per: Duration::from_secs(10 * 60) };
/// Answers of providers that did not hold, from one source: each makes this server knock at the provider.
const VOUCHED_PER_SOURCE: Rate = Rate { failures: 20, per: Duration::from_secs(5 * 60) };
/// Wrong setup codes at one listener.
const SETUP: Rate = Rate { failures: 10, per: MINUTE };
/// Sources, and ids, that are remembered; about 2 MiB each.
const REMEMBERED: usize = 16 * 1024;

/// How many failures are borne in which time.
#[derive(Debug, Clone, Copy)]
struct Rate {
    failures: u32,
    per: Duration,
}

/// When everything counted so far is forgotten: a level that falls by itself, as one number.
type EmptyAt = Duration;

impl Rate {
    /// Adds a failure. The level stops at twice the limit: who stops failing is free again within `per`.
    fn count(self, before: EmptyAt, now: Duration) -> EmptyAt {
        (before.max(now) + self.per / self.failures).min(now + 2 * self.per)
    }

    /// Returns how long the level needs to fall below the limit; `None` when it is below.
    fn wait(self, level: EmptyAt, now: Duration) -> Option<Duration> {
        level.saturating_sub(now).checked_sub(self.per).filter(|wait| !wait.is_zero())
    }
}

/// Levels by key, at most `capacity` of them.
///
/// Past that a newcomer takes the place of the lowest level *and its level*: whoever was pushed out and returns
/// takes over a level at least as high as the one they left, so that pushing out resets nobody.
#[derive(Debug)]
struct Table<K> {
    rate: Rate,
    capacity: usize,
    levels: HashMap<K, EmptyAt>,
    lowest_first: BTreeSet<(EmptyAt, K)>,
}

impl<K: Copy + Ord + Hash> Table<K> {
    fn new(rate: Rate, capacity: usize) -> Self {
        Self { rate, capacity, levels: HashMap::new(), lowest_first: BTreeSet::new() }
    }

    /// Counts a failure and returns how long its key should stay away, if it should.
    fn count(&mut self, key: K, now: Duration) -> Option<Duration> {
        self.charge(key, now);
        self.wait(key, now)
    }

    /// Returns how long a key should stay away, as far as it is remembered.
    fn wait(&self, key: K, now: Duration) -> Option<Duration> {
        self.levels.get(&key).and_then(|level| self.rate.wait(*level, now))
    }

    /// Counts what may still turn out to be no failure.
    fn charge(&mut self, key: K, now: Duration) -> Charged<K> {
        self.forget_lapsed(now);
        let before = match self.levels.get(&key) {
            Some(level) => {
                self.lowest_first.remove(&(*level, key));
                *level
            }
            None if self.levels.len() < self.capacity => now,
            None => self.remove_lowest().unwrap_or(now),
        };
        let level = self.rate.count(before, now);
        self.levels.insert(key, level);
        self.lowest_first.insert((level, key));
        Charged { key, added: level.saturating_sub(before.max(now)) }
    }

    /// Takes back what was counted of something that was no failure.
    fn give_back(&mut self, charged: Charged<K>) {
        let Some(level) = self.levels.get_mut(&charged.key) else { return };
        self.lowest_first.remove(&(*level, charged.key));
        *level = level.saturating_sub(charged.added);
        self.lowest_first.insert((*level, charged.key));
    }

    /// Returns how long a key should stay away before it may fail again.
    ///
    /// A key nobody remembers is as bad as the best one that is, if there was no room to remember it.
    fn refuses(&self, key: K, now: Duration) -> Option<Duration> {
        let unknown = || match self.lowest_first.first() {
            Some((lowest, _)) if self.levels.len() >= self.capacity => *lowest,
            _ => now,
        };
        let level = self.levels.get(&key).copied().unwrap_or_else(unknown);
        self.rate.wait(self.rate.count(level, now), now)
    }

    /// Whether a key failed lately, as far as is remembered.
    fn remembers(&self, key: K, now: Duration) -> bool {
        self.levels.get(&key).is_some_and(|level| *level > now)
    }

    fn forget_lapsed(&mut self, now: Duration) {
        while self.lowest_first.first().is_some_and(|(level, _)| *level <= now) {
            self.remove_lowest();
        }
    }

    fn remove_lowest(&mut self) -> Option<EmptyAt> {
        let (level, key) = self.lowest_first.pop_first()?;
        self.levels.remove(&key);
        Some(level)
    }
}

/// What was counted before it was judged.
#[derive(Debug, Clone, Copy)]
pub struct Charged<K> {
    key: K,
    added: Duration,
}

/// A guess that was counted before it was judged.
#[derive(Debug, Clone, Copy)]
pub struct ChargedGuess {
    by_source: Charged<AddressBucket>,
    by_login: Charged<PublicId>,
    /// One too many for what is guessed at: how long to stay away, if it turns out wrong.
    pub over: Option<Duration>,
}

/// The failures of all doors: enrolment, agents, operators, setup. One node's own.
#[derive(Debug)]
pub struct FailureLimits(Mutex<Levels>);

#[derive(Debug)]
struct Levels {
    sources: Table<AddressBucket>,
    ids: Table<PublicId>,
    guessers: Table<AddressBucket>,
    guessed: Table<PublicId>,
    codes: Table<PublicId>,
    vouched: Table<AddressBucket>,
    altogether: EmptyAt,
    setup_by_operators: EmptyAt,
    setup_by_machines: EmptyAt,
}

impl Default for FailureLimits {
    fn default() -> Self {
        Self(Mutex::new(Levels {
            sources: Table::new(PER_SOURCE, REMEMBERED),
            ids: Table::new(PER_ID, REMEMBERED),
            guessers: Table::new(GUESSES_PER_SOURCE, REMEMBERED),
            guessed: Table::new(GUESSES_PER_LOGIN, REMEMBERED),
            codes: Table::new(CODES, REMEMBERED),
            vouched: Table::new(VOUCHED_PER_SOURCE, REMEMBERED),
            altogether: Duration::ZERO,
            setup_by_operators: Duration::ZERO,
            setup_by_machines: Duration::ZERO,
        }))
    }
}

impl Levels {
    fn refuses_guess(&self, source: AddressBucket, login: PublicId, now: Duration) -> Option<Duration> {
        if !self.guessers.remembers(source, now) {
            return None;
        }
        self.guessers.refuses(source, now).max(self.guessed.refuses(login, now))
    }

    fn charge_guess(&mut self, source: AddressBucket, login: PublicId, now: Duration) -> ChargedGuess {
        let by_source = self.guessers.charge(source, now);
        let by_login = self.guessed.charge(login, now);
        let over = self.guessers.wait(source, now).max(self.guessed.wait(login, now));
        ChargedGuess { by_source, by_login, over }
    }
}

impl FailureLimits {
    /// Counts a failed attempt with the public id it presented, whether or not there is such an id.
    ///
    /// `Some`: that is one too many; come back after this time.
    pub fn count(
        &self,
        source: AddressBucket,
        presented: Option<PublicId>,
        now: Duration,
    ) -> Option<Duration> {
        let mut levels = self.levels();
        levels.altogether = ALTOGETHER.count(levels.altogether, now);
        let altogether = ALTOGETHER.wait(levels.altogether, now);
        let by_source = levels.sources.count(source, now);
        let by_id = presented.and_then(|id| levels.ids.count(id, now));
        altogether.max(by_source).max(by_id)
    }

    /// Says how long this source must wait before it may guess at this login.
    ///
    /// A password is judged by slow work, which a source that failed too often is not worth. Who guesses at a login
    /// from many sources is refused at every one that failed; from one that did not, its owner still gets in. What
    /// failed at other doors is no matter: a machine with a dead ticket does not lock its people out.
    pub fn refuses_guess(&self, source: AddressBucket, login: PublicId, now: Duration) -> Option<Duration> {
        self.levels().refuses_guess(source, login, now)
    }

    /// Counts a guess at a login before it is judged, unless [`refuses_guess`](Self::refuses_guess) says no.
    pub fn charge_guess(
        &self,
        source: AddressBucket,
        login: PublicId,
        now: Duration,
    ) -> Result<ChargedGuess, Duration> {
        let mut levels = self.levels();
        match levels.refuses_guess(source, login, now) {
            Some(wait) => Err(wait),
            None => Ok(levels.charge_guess(source, login, now)),
        }
    }

    /// Takes back a guess that was right, or was not judged.
    pub fn give_back_guess(&self, charged: ChargedGuess) {
        let mut levels = self.levels();
        levels.guessers.give_back(charged.by_source);
        levels.guessed.give_back(charged.by_login);
    }

    /// Counts a wrong password, or code, for a login; who counts it counts it among all failures, too.
    pub fn count_guess(&self, source: AddressBucket, login: PublicId, now: Duration) -> Option<Duration> {
        self.levels().charge_guess(source, login, now).over
    }

    /// Counts a code of a person's second factor before it is judged; one that `may_be_guessed` is refused when too
    /// many were wrong.
    pub fn charge_code(
        &self,
        person: PublicId,
        may_be_guessed: bool,
        now: Duration,
    ) -> Result<Charged<PublicId>, Duration> {
        let mut levels = self.levels();
        match levels.codes.refuses(person, now).filter(|_| may_be_guessed) {
            Some(wait) => Err(wait),
            None => Ok(levels.codes.charge(person, now)),
        }
    }

    /// Takes back a code that was right, or was not judged.
    pub fn give_back_code(&self, charged: Charged<PublicId>) {
        self.levels().codes.give_back(charged);
    }

    /// Counts an answer of a provider before the provider is asked about it, unless too many of this source did not
    /// hold.
    pub fn charge_vouched(
        &self,
        source: AddressBucket,
        now: Duration,
    ) -> Result<Charged<AddressBucket>, Duration> {
        let mut levels = self.levels();
        match levels.vouched.refuses(source, now) {
            Some(wait) => Err(wait),
            None => Ok(levels.vouched.charge(source, now)),
        }
    }

    /// Takes back an answer that held.
    pub fn give_back_vouched(&self, charged: Charged<AddressBucket>) {
        self.levels().vouched.give_back(charged);
    }

    /// Judges a setup code, unless too many wrong ones were shown at this listener: then even the right one waits.
    ///
    /// Judged under the lock, so that guesses in parallel are no more than guesses in a row; counted by listener, so
    /// that no stranger on the network keeps out who sits at the server.
    pub fn judge_setup_code(
        &self,
        listener: ListenerKind,
        now: Duration,
        is_right: impl FnOnce() -> bool,
    ) -> Result<bool, Duration> {
        let mut levels = self.levels();
        let level = match listener {
            ListenerKind::Operators => &mut levels.setup_by_operators,
            ListenerKind::Machines => &mut levels.setup_by_machines,
        };
        let next = SETUP.count(*level, now);
        if let Some(wait) = SETUP.wait(next, now) {
            return Err(wait);
        }
        let is_right = is_right();
        if !is_right {
            *level = next;
        }
        Ok(is_right)
    }

    fn levels(&self) -> MutexGuard<'_, Levels> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
