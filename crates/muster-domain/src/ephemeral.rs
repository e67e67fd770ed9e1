//! When an ephemeral host is over.

use std::time::Duration;

use muster_ids::Timestamp;

use crate::presence::{RECONNECT_WINDOW, SignsOfLife};

/// What an ephemeral host is judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ephemeral {
    /// Hours without contact after which it is retired.
    pub hours: u64,
    /// When a key of it was last admitted.
    pub admitted_at: Option<Timestamp>,
    /// When it last resumed: a suspended host could not be heard of.
    pub resumed_at: Option<Timestamp>,
    /// What was heard of it.
    pub signs: SignsOfLife,
}

/// Whether an active ephemeral host was away for as long as it may be.
///
/// Within the reconnect window nobody is over: while the server was down no host could be heard of, and after it all
/// had the time to come back. A host nothing is known of is never over.
pub fn is_over(host: &Ephemeral, now: Timestamp) -> bool {
    let last_contact = host.signs.seen_at.max(host.admitted_at).max(host.resumed_at);
    let may_be_away_for = Duration::from_secs(host.hours.saturating_mul(3600));
    !host.signs.connected
        && host.signs.server_up_for >= RECONNECT_WINDOW
        && last_contact.is_some_and(|last_contact| now.since(last_contact) >= may_be_away_for)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const HOUR: u64 = 3600;

    fn ago(secs: u64) -> Option<Timestamp> {
        Some(NOW.minus(Duration::from_secs(secs)))
    }

    /// May be away for two hours; was admitted a day ago, is silent for three hours, on a server that is up for long.
    fn silent() -> Ephemeral {
        let signs = SignsOfLife {
            connected: false,
            seen_at: ago(3 * HOUR),
            said_goodbye: false,
            server_up_for: Duration::from_secs(30 * HOUR),
        };
        Ephemeral { hours: 2, admitted_at: ago(24 * HOUR), resumed_at: None, signs }
    }

    #[track_caller]
    fn check(arrange: impl FnOnce(&mut Ephemeral), expected: bool) {
        let mut host = silent();
        arrange(&mut host);
        assert_eq!(is_over(&host, NOW), expected, "{host:?}");
    }

    #[test]
    fn every_row() {
        check(|_| {}, true);
        check(|host| host.signs.connected = true, false);
        check(|host| host.signs.seen_at = ago(2 * HOUR), true);
        check(|host| host.signs.seen_at = ago(2 * HOUR - 1), false);
        check(|host| host.signs.said_goodbye = true, true);
        check(|host| host.hours = 8760, false);
        check(|host| host.signs.seen_at = None, true);
        check(|host| (host.signs.seen_at, host.admitted_at) = (None, ago(HOUR)), false);
        check(|host| host.admitted_at = ago(HOUR), false);
        check(|host| host.resumed_at = ago(60), false);
        check(|host| host.resumed_at = ago(20 * HOUR), true);
        check(|host| (host.signs.seen_at, host.admitted_at) = (None, None), false);
        check(|host| host.hours = u64::MAX, false);
    }

    #[test]
    fn a_server_that_was_down_waits_for_the_reconnect_window() {
        check(|host| host.signs.server_up_for = Duration::from_secs(1), false);
        check(|host| host.signs.server_up_for = RECONNECT_WINDOW - Duration::from_secs(1), false);
        check(|host| host.signs.server_up_for = RECONNECT_WINDOW, true);
    }
}
