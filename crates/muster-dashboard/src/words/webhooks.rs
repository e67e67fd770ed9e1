//! Words of who hears of events: kinds of endpoints, where deliveries stand, why one was not taken.

use muster_wire::endpoint::{DeliveryState, Endpoint, EndpointKind, EndpointTested};
use muster_wire::notification::Day;

use super::{Tone, Worded};

impl Worded for DeliveryState {
    fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Failed => "given up",
        }
    }

    fn tone(&self) -> Tone {
        match self {
            Self::Waiting => Tone::Busy,
            Self::Delivered => Tone::Good,
            Self::Failed => Tone::Bad,
        }
    }
}

/// Every kind, as they are offered.
pub(crate) const KINDS: [EndpointKind; 6] = [
    EndpointKind::Webhook,
    EndpointKind::Email,
    EndpointKind::Ntfy,
    EndpointKind::Slack,
    EndpointKind::Teams,
    EndpointKind::Matrix,
];

/// Names a kind of endpoint.
pub(crate) const fn kind(kind: EndpointKind) -> &'static str {
    match kind {
        EndpointKind::Webhook => "Webhook",
        EndpointKind::Email => "Email",
        EndpointKind::Ntfy => "ntfy",
        EndpointKind::Slack => "Slack",
        EndpointKind::Teams => "Microsoft Teams",
        EndpointKind::Matrix => "Matrix",
    }
}

/// Says what a kind of endpoint does.
pub(crate) const fn kind_says(kind: EndpointKind) -> &'static str {
    match kind {
        EndpointKind::Webhook => "For a program: each event as a signed request, at once and in order.",
        EndpointKind::Email => "For people: messages over your mail server.",
        EndpointKind::Ntfy => "For phones: messages to a topic of an ntfy server.",
        EndpointKind::Slack => "For people: messages to a channel, by an incoming webhook.",
        EndpointKind::Teams => "For people: messages to a channel, by a workflow.",
        EndpointKind::Matrix => "For people: messages to a room, by an account that is in it.",
    }
}

/// Says how it stands with an endpoint.
pub(crate) const fn state(endpoint: &Endpoint) -> (&'static str, Tone) {
    match (endpoint.paused_at.is_some(), endpoint.failing_since.is_some()) {
        (true, _) => ("paused", Tone::Warn),
        (false, true) => ("failing", Tone::Bad),
        (false, false) => ("on", Tone::Good),
    }
}

/// Says how a test message went.
pub(crate) fn tested(tested: &EndpointTested) -> String {
    let status = tested.status.map(|status| format!(" It answered {status}.")).unwrap_or_default();
    if tested.delivered {
        return format!("The test message was taken.{status}");
    }
    let why = tested.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    format!(
        "The test message was not taken{why}.{status} Look at the address and whether the receiver is up."
    )
}

/// Names how long events are gathered.
pub(crate) fn gathered(seconds: u64) -> String {
    match seconds {
        0 => "at once".to_owned(),
        1..60 => format!("gathered for {seconds} s"),
        60..3_600 => format!("gathered for {} min", seconds / 60),
        _ => format!("gathered for {} h", seconds / 3_600),
    }
}

/// Names a day, and its value.
pub(crate) const fn day(day: Day) -> (&'static str, &'static str) {
    match day {
        Day::Monday => ("monday", "Monday"),
        Day::Tuesday => ("tuesday", "Tuesday"),
        Day::Wednesday => ("wednesday", "Wednesday"),
        Day::Thursday => ("thursday", "Thursday"),
        Day::Friday => ("friday", "Friday"),
        Day::Saturday => ("saturday", "Saturday"),
        Day::Sunday => ("sunday", "Sunday"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_failed_says_why_and_what_to_do() {
        let failed = EndpointTested {
            delivered: false,
            status: Some(500),
            error: Some("nobody answers there".to_owned()),
        };
        let says = tested(&failed);
        assert!(
            says.contains("nobody answers there") && says.contains("500") && says.contains("Look at"),
            "{says}"
        );
        assert_eq!(
            [gathered(0), gathered(600), gathered(7_200)],
            ["at once", "gathered for 10 min", "gathered for 2 h"]
        );
    }
}
