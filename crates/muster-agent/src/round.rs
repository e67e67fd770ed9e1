//! How one try to hold a channel ended, what it means in words, and how long to wait before the next. Pure.

#[cfg(test)]
mod tests;

use std::time::Duration;

use http::StatusCode;
use muster_channel::backoff::Backoff;
use muster_client::Response;
use muster_wire::channel::close;
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
            Self::Held(Ended { end: End::Left { reason, .. }, .. }) => Word::of_goodbye(reason),
            Self::Held(Ended { end: End::Closed { code }, .. }) => Word::of_close(*code),
            _ => None,
        }
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
        Round::Held(Ended { end: End::Closed { code: close::HELD }, .. }) => {
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
    match end {
        End::Left { reason, .. } => match GoodbyeReason::parse(reason) {
            Some(GoodbyeReason::GenerationStale) => STALE.to_owned(),
            Some(GoodbyeReason::Fenced) => FENCED.to_owned(),
            Some(GoodbyeReason::Held) => HELD.to_owned(),
            Some(GoodbyeReason::Restart) => "the server restarts".to_owned(),
            Some(GoodbyeReason::Suspended) => {
                "the host is suspended: it goes on when the operator resumes it".to_owned()
            }
            _ => format!("the server said goodbye: {reason}"),
        },
        End::Closed { code: close::GENERATION_STALE } => STALE.to_owned(),
        End::Closed { code: close::FENCED } => FENCED.to_owned(),
        End::Closed { code: close::HELD } => HELD.to_owned(),
        End::Closed { code } => format!("the server closed the channel with code {code}"),
        End::Lost(cause) => format!("the channel broke: {cause}"),
        End::Violation(cause) => format!("closed the channel: {cause}; is this agent older than the server?"),
        End::State(cause) => cause.to_string(),
        End::Rekeyed => "coming back with the next key".to_owned(),
        End::Stopped | End::Revoked(_) => String::new(),
    }
}
