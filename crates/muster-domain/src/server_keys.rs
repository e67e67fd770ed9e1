//! The server's own keys as agents know them: what is said of them, and who already heard it (DESIGN §3).

use muster_ids::{KeyThumbprint, Timestamp};

/// The keys of a server at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerKeys {
    /// Pins of the certificates it shows; empty: publicly valid ones.
    pub current: Vec<String>,
    /// Pins of those it will show.
    pub next: Vec<String>,
    /// Signs instructions.
    pub instruction: KeyThumbprint,
    /// Will sign them.
    pub next_instruction: Option<KeyThumbprint>,
}

/// What was said last, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// When: agents keep the newest.
    pub issued_at: Timestamp,
    /// What.
    pub keys: ServerKeys,
    /// Since when every one of the next pins is said.
    pub next_since: Timestamp,
    /// Since when the next instruction key is said.
    pub next_instruction_since: Timestamp,
}

/// Returns what is to be said from now on. `None`: what was said still holds.
///
/// Two statements never share a moment, whatever the clock says.
pub fn say(said: Option<&Said>, keys: &ServerKeys, now: Timestamp) -> Option<Said> {
    let Some(said) = said else {
        return Some(Said {
            issued_at: now,
            keys: keys.clone(),
            next_since: now,
            next_instruction_since: now,
        });
    };
    if said.keys == *keys {
        return None;
    }
    let issued_at = now.max(Timestamp::from_millis(said.issued_at.as_millis() + 1));
    let known = |pin: &String| said.keys.next.contains(pin);
    let same_instruction = said.keys.next_instruction == keys.next_instruction;
    Some(Said {
        issued_at,
        keys: keys.clone(),
        next_since: if keys.next.iter().all(known) { said.next_since } else { issued_at },
        next_instruction_since: if same_instruction { said.next_instruction_since } else { issued_at },
    })
}

/// What an agent knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The statement it keeps, by when it was issued.
    pub pins_issued_at: Option<Timestamp>,
    /// When the join string was made that it took.
    pub told_at: Timestamp,
}

/// An instruction key that took another one's place, as long as the former one can still sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    /// Since when it was said that it would.
    pub announced_at: Timestamp,
    /// When it did.
    pub switched_at: Timestamp,
}

/// The key that signs for one agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signer {
    /// The one in use.
    Current,
    /// The one before it.
    Former,
}

/// Chooses the key whose signature an agent accepts.
pub fn signer(overlap: Option<Overlap>, heard: Heard) -> Signer {
    let Some(overlap) = overlap else { return Signer::Current };
    let knows = heard.told_at >= overlap.switched_at
        || heard.pins_issued_at.is_some_and(|issued_at| issued_at >= overlap.announced_at);
    if knows { Signer::Current } else { Signer::Former }
}

/// How many of how many hosts heard of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spread {
    /// Hosts that are to hear of it.
    pub hosts: u64,
    /// Those whose agents said they keep it.
    pub kept: u64,
}

/// A key that not everybody knows must not take another one's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missing} of {hosts} hosts do not know the next key yet")]
pub struct NotKnown {
    /// Hosts that would be lost.
    pub missing: u64,
    /// All of them.
    pub hosts: u64,
}

/// Decides whether a key may take another one's place.
pub fn may_switch(spread: Spread, force: bool) -> Result<(), NotKnown> {
    let missing = spread.hosts.saturating_sub(spread.kept);
    if missing == 0 || force { Ok(()) } else { Err(NotKnown { missing, hosts: spread.hosts }) }
}

#[cfg(test)]
mod tests;
