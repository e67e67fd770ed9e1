//! Advisory locks: what a write transaction relies on, and what it takes away (DESIGN §9).

use aws_lc_rs::digest;
use muster_ids::{EndpointId, HostId, KeyName, MachineUid, SiteId, TeamId, TicketId, UserId};

/// What is locked. The order of the variants, then of the ids, is the order in which locks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LockKey {
    /// A person's right to act.
    User(UserId),
    /// A ticket's validity.
    Ticket(TicketId),
    /// A site's policy.
    Site(SiteId),
    /// Who owns a machine uid in a team.
    Uid(TeamId, MachineUid),
    /// A host's state.
    Host(HostId),
    /// A key's validity.
    Key(KeyName),
    /// The deliveries of an endpoint.
    Endpoint(EndpointId),
    /// Anything else that there is one of.
    Named(&'static str),
}

impl LockKey {
    /// Returns the 64 bits that PostgreSQL locks. Two keys that collide merely wait for each other.
    pub(crate) fn hash64(&self) -> i64 {
        let text = match self {
            Self::User(id) => id.to_string(),
            Self::Ticket(id) => format!("ticket:{id}"),
            Self::Site(id) => id.to_string(),
            Self::Uid(team_id, uid) => format!("uid:{team_id}:{uid}"),
            Self::Host(id) => id.to_string(),
            Self::Key(name) => format!("key:{name}"),
            Self::Endpoint(id) => id.to_string(),
            Self::Named(name) => format!("named:{name}"),
        };
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let head = digest.as_ref().first_chunk().expect("a SHA-256 digest has 32 bytes");
        i64::from_be_bytes(*head)
    }
}

/// A lock until the end of the transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lock {
    key: LockKey,
    exclusive: bool,
}

impl Lock {
    /// For a transaction that relies on the right of `key` to act.
    pub const fn shared(key: LockKey) -> Self {
        Self { key, exclusive: false }
    }

    /// For a transaction that takes that right away or changes it.
    pub const fn exclusive(key: LockKey) -> Self {
        Self { key, exclusive: true }
    }
}

/// Returns the hashes to lock and whether exclusively: in order, each key once, its strongest claim.
pub(crate) fn in_order(locks: &[Lock]) -> (Vec<i64>, Vec<bool>) {
    let mut sorted = locks.to_vec();
    sorted.sort_by_key(|lock| (lock.key, !lock.exclusive));
    sorted.dedup_by_key(|lock| lock.key);
    sorted.iter().map(|lock| (lock.key.hash64(), lock.exclusive)).unzip()
}

/// Returns the hashes to lock and whether exclusively, as they were asked for.
pub(crate) fn as_asked(locks: &[Lock]) -> (Vec<i64>, Vec<bool>) {
    locks.iter().map(|lock| (lock.key.hash64(), lock.exclusive)).unzip()
}

#[cfg(test)]
mod tests;
