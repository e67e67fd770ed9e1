//! What the server's word that a state is a copy means for the agent that holds it. Pure.
//!
//! `generation_stale` leaves no doubt about who said it: the server knows a newer state, and what this machine
//! acknowledged was on its disk before. Whoever stands in for the server may say so as well; the server itself says then,
//! where the copy asks for an identity, that it is none. `fenced` is not: for a moment the other connection may be this agent's own last one, of which the server has
//! not noticed yet that nobody is there any more. Such a one is silent when the server asks, so it lasts no longer than
//! the server waits for a peer that is gone; somebody else answers for longer than that.

#[cfg(test)]
mod tests;

use std::time::Duration;

use muster_wire::claim::CopyCause;
use muster_wire::parting::GoodbyeReason;

/// How often `fenced` is waited out before another machine is sure to hold the identity.
pub const FENCES_WAITED_OUT: u32 = 2;
/// How long it is waited out: no server believes in a silent peer for longer.
pub const FENCED_FOR: Duration = Duration::from_secs(90);
/// Before the first try after a `fenced`, and what every further one adds.
const FENCE_STEP: Duration = Duration::from_secs(5);

/// What the server said of the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// It knows a newer one.
    Stale,
    /// Another connection of the host is open and answers.
    Fenced,
}

impl Word {
    /// Reads it from why a channel ended; `None`: it ended otherwise.
    pub fn of(reason: GoodbyeReason) -> Option<Self> {
        match reason {
            GoodbyeReason::GenerationStale => Some(Self::Stale),
            GoodbyeReason::Fenced => Some(Self::Fenced),
            _ => None,
        }
    }
}

/// The `fenced` since the last channel that was welcomed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Fences {
    count: u32,
    first_at: Option<Duration>,
}

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighed {
    /// It stops using the key and asks for an identity of its own.
    Fork(CopyCause),
    /// It comes back with the same key, after this long at least.
    ComeBack(Duration),
}

impl Fences {
    /// Weighs a word that came at `now`, a time that only goes forward; forget the fences at each welcome.
    pub fn weigh(&mut self, word: Word, now: Duration) -> Weighed {
        if word == Word::Stale {
            return Weighed::Fork(CopyCause::GenerationStale);
        }
        let first_at = *self.first_at.get_or_insert(now);
        self.count += 1;
        if self.count > FENCES_WAITED_OUT || now.saturating_sub(first_at) >= FENCED_FOR {
            return Weighed::Fork(CopyCause::Fenced);
        }
        Weighed::ComeBack(FENCE_STEP * self.count)
    }
}
