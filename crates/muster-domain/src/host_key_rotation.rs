//! A key pair that takes the place of another: who may be asked for it, and which key is taken (DESIGN §2, §3).
//!
//! Both keys speak: the former one opened the channel, the next one signs the challenge of that very channel. Whatever
//! belongs to another host, another channel, or was anybody's key before, is refused.

use std::time::Duration;

use muster_ids::{HostId, KeyName, KeyThumbprint, Timestamp};
use muster_wire::channel::NextKeyClaims;
use muster_wire::host::HostState;

/// Most hosts that are asked for their next key in one round: a fleet that joined on one day does not rotate on one.
pub const MOST_AT_ONCE: i64 = 20;

/// How long a next key stands before another one that the same host makes takes its place unused.
pub const NEXT_KEY_STANDS: Duration = Duration::from_secs(600);

/// Why a host is not asked for its next key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAsked {
    /// The host is not active: nobody may speak for it now.
    #[error("the host is not active")]
    NotActive,
    /// The host has agent keys: another one is minted by a person.
    #[error("the host has agent keys")]
    AgentKeys,
    /// The host has no key.
    #[error("the host has no key")]
    NoKey,
}

/// Decides whether a host may be asked to replace the keys it proves itself with now.
pub fn ask(state: HostState, active: &[KeyName]) -> Result<(), NotAsked> {
    match (state, active.first()) {
        (HostState::Invited | HostState::Suspended | HostState::Retired, _) => Err(NotAsked::NotActive),
        (HostState::Active, None) => Err(NotAsked::NoKey),
        (HostState::Active, Some(KeyName::Agent(_))) => Err(NotAsked::AgentKeys),
        (HostState::Active, Some(KeyName::Pair(_))) => Ok(()),
    }
}

/// Returns before when a key must have been made to be too old; `None`: keys do not age.
pub fn too_old_before(max_age_days: u64, now: Timestamp) -> Option<Timestamp> {
    (max_age_days > 0).then(|| now.minus(Duration::from_secs(max_age_days * 24 * 3600)))
}

/// The channel a next key is offered on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offered<'a> {
    /// The host of the channel.
    pub host_id: HostId,
    /// The key the channel was proved with.
    pub key: KeyName,
    /// The challenge of the channel.
    pub challenge: &'a str,
    /// Since when the host has a next key that was never used.
    pub unused_since: Option<Timestamp>,
    /// The time.
    pub now: Timestamp,
}

/// What is known of the key that is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// Nobody ever showed it.
    Unknown,
    /// It is the next key of this host.
    NextOf(HostId),
    /// It is, or was, a key of this host.
    Of(HostId),
}

/// What becomes of an offered key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It is stored; another next key of the host gives way.
    Store,
    /// It is stored already: the answer was lost.
    Again,
}

/// Why a key is not taken; the channel it was offered on is closed, unless it only came too soon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotTaken {
    /// It is offered for another host.
    ForeignHost,
    /// It is to take the place of another key than the one that opened the channel.
    ForeignKey,
    /// It answers another challenge.
    ForeignChallenge,
    /// It is somebody's key, or was.
    KnownKey,
    /// The host has one that it did not use yet: one that it lost gives way after a while.
    TooSoon,
}

impl NotTaken {
    /// Says what was wrong with it.
    pub const fn words(self) -> &'static str {
        match self {
            Self::ForeignHost => "the next key is another host's",
            Self::ForeignKey => "the next key follows another key",
            Self::ForeignChallenge => "the next key answers another challenge",
            Self::KnownKey => "the next key was a key before",
            Self::TooSoon => "the host has a next key that it did not use yet",
        }
    }
}

/// Decides whether a key whose own signature holds becomes the next one.
pub fn take(
    offered: &Offered<'_>,
    claims: &NextKeyClaims,
    key: KeyThumbprint,
    known: Known,
) -> Result<Taken, NotTaken> {
    if claims.host_id != offered.host_id {
        return Err(NotTaken::ForeignHost);
    }
    if KeyName::Pair(claims.former) != offered.key {
        return Err(NotTaken::ForeignKey);
    }
    if claims.challenge != offered.challenge {
        return Err(NotTaken::ForeignChallenge);
    }
    match known {
        Known::Unknown if KeyName::Pair(key) == offered.key => Err(NotTaken::KnownKey),
        Known::Unknown if stands(offered) => Err(NotTaken::TooSoon),
        Known::Unknown => Ok(Taken::Store),
        Known::NextOf(host_id) if host_id == offered.host_id => Ok(Taken::Again),
        Known::NextOf(_) | Known::Of(_) => Err(NotTaken::KnownKey),
    }
}

/// Each key that gives way is remembered for ever: a host that shows one after another must not fill the table.
fn stands(offered: &Offered<'_>) -> bool {
    offered.unused_since.is_some_and(|since| offered.now.since(since) < NEXT_KEY_STANDS)
}

#[cfg(test)]
mod tests;
