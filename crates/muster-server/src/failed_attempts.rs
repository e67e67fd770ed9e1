//! Attempts that failed, gathered in memory and written down in a few rows: a flood must not fill the trail.
//!
//! Bounded everywhere: who does not fit is counted among the others. Told apart are the kind of door, the address
//! (IPv6: its /64) and the person whose account was tried, if there is one; nothing that was typed is kept.

mod recent;
mod write;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_http::AddressBucket;
use muster_ids::{TeamId, Timestamp, UserId};

use recent::Recent;

/// Doors, addresses and people that are told apart at once.
const TOLD_APART: usize = 1024;
/// Addresses, and people, whose last failures are remembered.
const REMEMBERED: usize = 4096;
/// Those who fail again and again that are named at once; more are counted.
const NAMED: usize = 8;

macro_rules! doors {
    ($($(#[$doc:meta])+ $name:ident = $word:literal;)+) => {
        /// What was tried.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum AttemptKind {
            $($(#[$doc])+ $name,)+
        }

        impl AttemptKind {
            /// Its word in the audit trail.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)+ }
            }
        }
    };
}

doors! {
    /// A login with a password, or with a second factor.
    SignIn = "sign_in";
    /// An API token.
    Token = "token";
    /// The cookie of a session.
    Session = "session";
    /// The link of an invitation.
    Invitation = "invitation";
    /// The answer of a provider people sign in with.
    Oidc = "oidc";
    /// The setup code.
    Setup = "setup";
    /// The key of a host.
    Agent = "agent";
    /// A ticket.
    Ticket = "ticket";
}

/// Somebody whose account was tried; there is such a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Whom {
    /// The person.
    pub user_id: UserId,
    /// Their team, which is told.
    pub team_id: TeamId,
}

/// What is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    kind: AttemptKind,
    source: AddressBucket,
    whom: Option<Whom>,
}

/// How many, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Tally {
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Tally {
    fn with(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}

/// Those who are not told apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Others {
    tally: Option<Tally>,
    by_kind: BTreeMap<AttemptKind, u64>,
}

impl Others {
    fn add(&mut self, kind: AttemptKind, tally: Tally) {
        self.tally = Some(self.tally.map_or(tally, |known| known.with(tally)));
        let count = self.by_kind.entry(kind).or_default();
        *count = count.saturating_add(tally.count);
    }

    fn merge(&mut self, other: &Self) {
        if let Some(tally) = other.tally {
            self.tally = Some(self.tally.map_or(tally, |known| known.with(tally)));
        }
        for (kind, count) in &other.by_kind {
            let known = self.by_kind.entry(*kind).or_default();
            *known = known.saturating_add(*count);
        }
    }
}

/// Somebody, or an address, that fails again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Repeated {
    kind: AttemptKind,
    source: AddressBucket,
    whom: Option<Whom>,
    at: Timestamp,
}

#[derive(Debug)]
struct Gathered {
    places: HashMap<Place, Tally>,
    /// Who gives way to a newcomer first.
    lowest_first: BTreeSet<(u64, Place)>,
    others: Others,
    people: Recent<Whom>,
    sources: Recent<AddressBucket>,
    repeated: Vec<Repeated>,
    repeated_unnamed: u64,
    /// When the next rows may be written, and how long after these.
    due_at: Duration,
    every: Duration,
}

impl Gathered {
    fn add(&mut self, place: Place, tally: Tally) {
        if let Some(known) = self.places.get_mut(&place) {
            self.lowest_first.remove(&(known.count, place));
            *known = known.with(tally);
            self.lowest_first.insert((known.count, place));
            return;
        }
        if self.places.len() >= TOLD_APART
            && let Some((_, lowest)) = self.lowest_first.pop_first()
            && let Some(evicted) = self.places.remove(&lowest)
        {
            self.others.add(lowest.kind, evicted);
        }
        self.places.insert(place, tally);
        self.lowest_first.insert((tally.count, place));
    }

    fn name(&mut self, repeated: Repeated) {
        if self.repeated.len() < NAMED {
            self.repeated.push(repeated);
        } else {
            self.repeated_unnamed = self.repeated_unnamed.saturating_add(1);
        }
    }
}

/// The failed attempts that are still to be written down. One node's own.
#[derive(Debug)]
pub struct FailedAttempts {
    gathered: Mutex<Gathered>,
    writing: tokio::sync::Mutex<()>,
}

impl Default for FailedAttempts {
    fn default() -> Self {
        let gathered = Gathered {
            places: HashMap::new(),
            lowest_first: BTreeSet::new(),
            others: Others::default(),
            people: Recent::new(REMEMBERED),
            sources: Recent::new(REMEMBERED),
            repeated: Vec::new(),
            repeated_unnamed: 0,
            due_at: Duration::ZERO,
            every: write::SOONEST,
        };
        Self { gathered: Mutex::new(gathered), writing: tokio::sync::Mutex::default() }
    }
}

impl FailedAttempts {
    /// Counts a failed attempt; `whom`: the person whose account it was, if there is one.
    pub fn note(
        &self,
        kind: AttemptKind,
        source: AddressBucket,
        whom: Option<Whom>,
        now: Timestamp,
        monotonic: Duration,
    ) {
        let mut gathered = self.gathered();
        gathered.add(Place { kind, source, whom }, Tally { count: 1, first: now, last: now });
        if let Some(person) = whom
            && gathered.people.fails_again(person, monotonic)
        {
            gathered.name(Repeated { kind, source, whom, at: now });
        }
        if gathered.sources.fails_again(source, monotonic) {
            gathered.name(Repeated { kind, source, whom: None, at: now });
        }
    }

    fn gathered(&self) -> MutexGuard<'_, Gathered> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
