//! How one try to hold a channel ended, what it means in words, and how long to wait before the next. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::StatusCode;
use muster_channel::backoff::Backoff;
use muster_client::Response;
use muster_wire::parting::GoodbyeReason;

use crate::copied::Word;
use crate::server;
use crate::session::{End, Ended};

/// How long a suspended host waits when the server does not say.
const SUSPENDED_FOR: Duration = Duration::from_secs(30);

/// How one try ended.
#[derive(Debug)]
pub(crate) enum Round {
    /// A socket was open.
    Held(Ended),
    /// The server refused the upgrade.
    Refused(Box<Response>),
    /// No address answered.
    Unreachable(String),
}

impl Round {
    pub(crate) fn stopped() -> Self {
        Self::Held(Ended::before_the_welcome(End::Stopped))
    }

    pub(crate) fn was_welcomed(&self) -> bool {
        matches!(self, Self::Held(Ended { welcomed: true, .. }))
    }

    /// The server's word that this state is a copy, if it said so.
    pub(crate) fn word(&self) -> Option<Word> {
        match self {
            Self::Held(ended) => ended.end.reason().and_then(Word::of),
            _ => None,
        }
    }

    /// Whether the server did not bear what was shown to it.
    pub(crate) fn was_refused_in_role(&self) -> bool {
        matches!(self, Self::Held(ended) if ended.was_refused_in_role())
    }

    /// Whether the server did not take the key, as one that does not know it.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self, Self::Refused(response) if response.status == StatusCode::UNAUTHORIZED)
    }
}

/// How long to wait before the next round.
pub(crate) fn pause(round: &Round, backoff: &mut Backoff, fraction: f64) -> Duration {
    let held_for = match round {
        Round::Held(ended) => ended.held_for,
        _ => Duration::ZERO,
    };
    backoff.ended(held_for);
    match round {
        Round::Held(Ended { end: End::Left { retry_after, .. }, .. }) => {
            backoff.delay(fraction, Some(*retry_after))
        }
        Round::Held(ended) if ended.end.reason() == Some(GoodbyeReason::Held) => {
            backoff.delay(fraction, Some(SUSPENDED_FOR))
        }
        Round::Held(ended) if ended.welcomed && ended.is_without_a_word() => {
            backoff.delay_after_loss(fraction, ended.window)
        }
        Round::Refused(response) => {
            let held_back = (response.status == StatusCode::FORBIDDEN).then_some(SUSPENDED_FOR);
            backoff.delay(fraction, server::retry_after(&response.headers).or(held_back))
        }
        _ => backoff.delay(fraction, None),
    }
}

pub(crate) fn in_words(round: &Round) -> String {
    const STALE: &str = "the server knows a newer state of this host than this machine holds";
    const FENCED: &str = "another connection of this host is open and answers: coming back to see whether it is an \
        earlier one of this machine";
    const HELD: &str = "a copy of this host showed itself and the server holds both back: the key is kept, ask the \
        operator to decide which one is the copy (`muster claim list`)";
    let end = match round {
        Round::Held(ended) => &ended.end,
        Round::Refused(response) => {
            let refusal = server::refusal(response, None).map(|refusal| refusal.to_string());
            let said =
                refusal.unwrap_or_else(|| format!("the server refused the channel with {}", response.status));
            return format!("{said}; the key is kept");
        }
        Round::Unreachable(causes) => return causes.clone(),
    };
    match (end.reason(), end) {
        (Some(GoodbyeReason::GenerationStale), _) => STALE.to_owned(),
        (Some(GoodbyeReason::Fenced), _) => FENCED.to_owned(),
        (Some(GoodbyeReason::Held), _) => HELD.to_owned(),
        (Some(GoodbyeReason::Restart), _) => "the server restarts".to_owned(),
        (Some(GoodbyeReason::Suspended), _) => {
            "the host is suspended: it goes on when the operator resumes it".to_owned()
        }
        (_, End::Left { reason, .. }) => format!("the server said goodbye: {reason}"),
        (_, End::Closed { code }) => format!("the server closed the channel with code {code}"),
        (_, End::Lost(cause)) => format!("the channel broke: {cause}"),
        (_, End::Violation(cause)) => {
            format!("closed the channel: {cause}; is this agent older than the server?")
        }
        (_, End::State(cause)) => cause.to_string(),
        (_, End::Rekeyed) => "coming back with the next key".to_owned(),
        (_, End::Stopped | End::Revoked(_)) => String::new(),
    }
}
