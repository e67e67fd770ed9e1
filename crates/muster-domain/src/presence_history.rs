//! What is kept of whether a host could be reached: few changes, and none that only the server's own absence made.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::host::{HostState, Presence};
use muster_wire::overview::PresenceSpan;

use crate::presence::{OFFLINE_AFTER, RECONNECT_WINDOW, SignsOfLife, UNREACHABLE_AFTER};

/// Time for which a host that came back counts as there: however often it goes, no more is kept of it.
pub const STEADY_AFTER: Duration = Duration::from_secs(10 * 60);

/// What was last noted of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// Whether it could be reached.
    pub status: Presence,
    /// Since when; it was never seen, when it is unset.
    pub at: Option<Timestamp>,
}

impl Noted {
    /// Of a host nothing was noted of.
    pub const NOTHING: Self = Self { status: Presence::NeverSeen, at: None };
}

/// Whether nobody can know yet that a host is there: the server was away when it was last heard, and all of them still
/// have the time to come back.
pub fn is_unsure(signs: &SignsOfLife, now: Timestamp) -> bool {
    let heard_before = signs.seen_at.is_some_and(|seen_at| now.since(seen_at) > signs.server_up_for);
    !signs.connected && signs.server_up_for < RECONNECT_WINDOW && heard_before
}

/// Decides what is to be noted of a host in `state` whose presence is `shown` at `now`, and since when it is so. None:
/// nothing changed, or it is not worth a note yet.
///
/// Who says goodbye and comes back at once, as at a restart of the agent, was never away. Who goes again and again is
/// noted at most twice in [`STEADY_AFTER`].
pub fn note(
    noted: Noted,
    state: HostState,
    shown: Presence,
    signs: &SignsOfLife,
    now: Timestamp,
) -> Option<(Presence, Timestamp)> {
    if shown == noted.status || is_unsure(signs, now) {
        return None;
    }
    let is_refused = matches!(state, HostState::Suspended | HostState::Retired);
    if shown == Presence::Online || is_refused {
        return Some((shown, after(noted, now, now)));
    }
    let seen_at = signs.seen_at?;
    let is_fresh = noted.status == Presence::Online
        && noted.at.is_some_and(|noted_at| now.since(noted_at) < STEADY_AFTER);
    if is_fresh || now.since(seen_at) < UNREACHABLE_AFTER {
        return None;
    }
    let since = match shown {
        Presence::Unreachable => seen_at.plus(UNREACHABLE_AFTER),
        Presence::Offline if !signs.said_goodbye => seen_at.plus(OFFLINE_AFTER),
        Presence::Offline | Presence::NeverSeen | Presence::Online => seen_at,
    };
    Some((shown, after(noted, since, now)))
}

/// Returns `since`, but after what was noted before, and not after now.
fn after(noted: Noted, since: Timestamp, now: Timestamp) -> Timestamp {
    let earliest = noted.at.map(|noted_at| noted_at.plus(Duration::from_millis(1)));
    since.min(now).max(earliest.unwrap_or(since.min(now)))
}

/// A change that was noted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Since when.
    pub at: Timestamp,
    /// What was so before.
    pub was: Presence,
    /// What is so since.
    pub status: Presence,
}

/// Returns the spans from `from` on that changes make, which are in order and after `from`; without any, what was noted
/// goes on. The last span has no end.
pub fn spans(noted: Noted, changes: &[Change], from: Timestamp) -> Vec<PresenceSpan> {
    let open = |from, status| PresenceSpan { from, to: None, status };
    let Some(first) = changes.first() else {
        let since = noted.at.map_or(from, |noted_at| noted_at.max(from));
        return vec![open(since, noted.status)];
    };
    let mut spans = vec![open(from, first.was)];
    for change in changes {
        if let Some(last) = spans.last_mut().filter(|last| last.status != change.status) {
            last.to = Some(change.at);
            spans.push(open(change.at, change.status));
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use Presence::{NeverSeen, Offline, Online, Unreachable};

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const DAY: u64 = 24 * 3600;

    fn ago(secs: u64) -> Timestamp {
        NOW.minus(Duration::from_secs(secs))
    }

    fn signs(connected: bool, silent_secs: Option<u64>, said_goodbye: bool) -> SignsOfLife {
        let seen_at = silent_secs.map(ago);
        SignsOfLife { connected, seen_at, said_goodbye, server_up_for: Duration::from_secs(2 * DAY) }
    }

    #[track_caller]
    fn check(
        noted: (Presence, Option<u64>),
        shown: Presence,
        signs: SignsOfLife,
        expected: Option<(Presence, u64)>,
    ) {
        let noted = Noted { status: noted.0, at: noted.1.map(ago) };
        let found = note(noted, HostState::Active, shown, &signs, NOW);
        assert_eq!(found, expected.map(|(status, secs)| (status, ago(secs))), "{noted:?} {signs:?}");
    }

    #[test]
    fn every_row() {
        let steady = (Online, Some(DAY));
        check((NeverSeen, None), NeverSeen, signs(false, None, false), None);
        check((NeverSeen, None), Online, signs(true, Some(1), false), Some((Online, 0)));
        check(steady, Online, signs(true, Some(1), false), None);
        check(steady, Unreachable, signs(false, Some(95), false), Some((Unreachable, 5)));
        check(steady, Offline, signs(false, Some(20), true), None);
        check(steady, Offline, signs(false, Some(100), true), Some((Offline, 100)));
        check((Unreachable, Some(300)), Online, signs(true, Some(0), false), Some((Online, 0)));
        check((Unreachable, Some(DAY - 90)), Offline, signs(false, Some(DAY + 5), false), Some((Offline, 5)));
    }

    #[test]
    fn who_goes_again_and_again_is_noted_twice_in_ten_minutes() {
        check((Online, Some(599)), Unreachable, signs(false, Some(200), false), None);
        check((Online, Some(600)), Unreachable, signs(false, Some(200), false), Some((Unreachable, 110)));
    }

    #[test]
    fn while_hosts_may_still_come_back_nothing_is_noted_of_who_is_not_heard() {
        let begun = |signs: SignsOfLife| SignsOfLife { server_up_for: Duration::from_secs(60), ..signs };
        let away = (Unreachable, Some(DAY));
        check(away, Online, begun(signs(false, Some(3 * 3600), false)), None);
        check(away, Online, begun(signs(false, Some(10), false)), Some((Online, 0)));
        check(away, Online, begun(signs(true, Some(3 * 3600), false)), Some((Online, 0)));
    }

    #[test]
    fn no_note_is_before_the_one_before_it_or_after_now() {
        let noted = Noted { status: Unreachable, at: Some(ago(30)) };
        let found = note(noted, HostState::Active, Offline, &signs(false, Some(100), true), NOW);
        assert_eq!(found, Some((Offline, ago(30).plus(Duration::from_millis(1)))));
    }

    #[test]
    fn who_is_refused_everything_is_noted_at_once() {
        let noted = Noted { status: Online, at: Some(ago(5)) };
        for state in [HostState::Suspended, HostState::Retired] {
            let found = note(noted, state, Offline, &signs(true, Some(1), false), NOW);
            assert_eq!(found, Some((Offline, NOW)), "{state:?}");
        }
    }

    #[test]
    fn spans_have_no_gaps() {
        let change = |secs, was, status| Change { at: ago(secs), was, status };
        let shown = |noted, changes: &[Change]| -> Vec<(Presence, u64, Option<u64>)> {
            let secs = |at| NOW.since(at).as_secs();
            let spans = spans(noted, changes, ago(1000));
            spans.iter().map(|span| (span.status, secs(span.from), span.to.map(secs))).collect()
        };
        let noted = |status, secs| Noted { status, at: Some(ago(secs)) };
        assert_eq!(shown(Noted::NOTHING, &[]), [(NeverSeen, 1000, None)]);
        assert_eq!(shown(noted(Online, 5000), &[]), [(Online, 1000, None)]);
        assert_eq!(
            shown(noted(Online, 10), &[change(500, Online, Unreachable), change(10, Unreachable, Online)]),
            [(Online, 1000, Some(500)), (Unreachable, 500, Some(10)), (Online, 10, None)]
        );
        let twice =
            [change(500, NeverSeen, Online), change(400, Online, Online), change(300, Online, Offline)];
        assert_eq!(
            shown(noted(Offline, 300), &twice),
            [(NeverSeen, 1000, Some(500)), (Online, 500, Some(300)), (Offline, 300, None)]
        );
    }
}
