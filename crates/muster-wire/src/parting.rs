//! Why the server lets go of a channel, and why a key is void: the words server and agent share.

use std::fmt;

use crate::channel::close;
use crate::text::Line;

/// Why the server says goodbye. On the wire it is a short line, so that an older agent bears a word it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GoodbyeReason {
    /// The server restarts, or cannot see whether the right to the channel still holds: come back.
    Restart,
    /// The host is suspended: it keeps its key and is refused everything.
    Suspended,
    /// The host is held until a person answered whether it is the copy.
    Held,
    /// A connection with a newer key of the same host takes the place.
    Superseded,
    /// The connection showed an old generation: a copy, or a restored state.
    GenerationStale,
    /// Another connection of the same host is open and answers.
    Fenced,
    /// The server cannot take it now.
    Busy,
    /// A secret of the host does not open at its place.
    SecretUnreadable,
    /// The server failed.
    Failed,
}

impl GoodbyeReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Restart,
        Self::Suspended,
        Self::Held,
        Self::Superseded,
        Self::GenerationStale,
        Self::Fenced,
        Self::Busy,
        Self::SecretUnreadable,
        Self::Failed,
    ];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Restart => "restart",
            Self::Suspended => "suspended",
            Self::Held => "held",
            Self::Superseded => "superseded",
            Self::GenerationStale => "generation_stale",
            Self::Fenced => "fenced",
            Self::Busy => "busy",
            Self::SecretUnreadable => "secret_unreadable",
            Self::Failed => "failed",
        }
    }

    /// Reads a word of the wire. `None`: a newer server's, or none at all.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    /// The WebSocket close code that follows the goodbye.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Restart => close::RESTART,
            Self::Suspended => close::REVOKED,
            Self::Held => close::HELD,
            Self::Superseded | Self::Busy | Self::SecretUnreadable | Self::Failed => close::TRY_LATER,
            Self::GenerationStale => close::GENERATION_STALE,
            Self::Fenced => close::FENCED,
        }
    }

    /// Reads a close code that belongs to one reason alone. A suspended host shares its own with a key that ended.
    pub fn of_close(code: u16) -> Option<Self> {
        let mut of_code = Self::ALL.into_iter().filter(|reason| reason.close_code() == code);
        let only = of_code.next().filter(|_| of_code.next().is_none());
        only.filter(|reason| *reason != Self::Suspended)
    }

    /// Whether it says that the state the agent showed is a copy, or may be one.
    pub const fn says_copy(self) -> bool {
        matches!(self, Self::GenerationStale | Self::Fenced)
    }

    /// The word as the message carries it.
    pub fn line(self) -> Line<64> {
        Line::parse(self.as_str()).expect("reasons are short words")
    }
}

impl fmt::Display for GoodbyeReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a key is void, as the signed statement says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevokedReason {
    /// It was revoked alone; the host stays.
    Revoked,
    /// Another key took its place.
    Replaced,
    /// Its host was retired.
    Retired,
    /// It ended before its agent asked, in one of these ways.
    Ended,
}

impl RevokedReason {
    /// The words of the statement.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Replaced => "replaced",
            Self::Retired => "retired",
            Self::Ended => "this key was revoked or replaced",
        }
    }
}

impl fmt::Display for RevokedReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::GoodbyeReason;

    #[test]
    fn every_reason_is_one_word_that_is_read_back() {
        for reason in GoodbyeReason::ALL {
            assert_eq!(reason.line().as_str(), reason.as_str());
            assert_eq!(GoodbyeReason::parse(reason.as_str()), Some(reason));
        }
        assert_eq!(GoodbyeReason::parse("tea"), None);
    }

    #[test]
    fn a_close_code_names_the_reason_that_alone_has_it() {
        use GoodbyeReason::{Fenced, GenerationStale, Held, Restart};
        let named = GoodbyeReason::ALL.into_iter().filter(|reason| {
            let named = GoodbyeReason::of_close(reason.close_code());
            assert!(named.is_none_or(|named| named == *reason), "{reason}");
            named.is_some()
        });
        assert_eq!(named.collect::<Vec<_>>(), [Restart, Held, GenerationStale, Fenced]);
        assert_eq!(GoodbyeReason::of_close(1000), None);
    }
}
