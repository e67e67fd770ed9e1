//! Whether a host can be reached, from its last sign of life.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::host::{HostState, Presence};

/// Time between heartbeats.
pub const HEARTBEAT_EVERY: Duration = Duration::from_secs(30);
/// Silence after which a host is unreachable: three heartbeats.
pub const UNREACHABLE_AFTER: Duration = Duration::from_secs(90);
/// Silence after which an unreachable host is offline.
pub const OFFLINE_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Time all agents need to come back after a server start.
pub const RECONNECT_WINDOW: Duration = Duration::from_secs(10 * 60);

/// Agents that may come back within one second without hurting the server or each other.
const COMEBACKS_PER_SECOND: usize = 170;
/// Longest time over which a fleet is spread when it comes back.
const LONGEST_COMEBACK: Duration = Duration::from_secs(300);

/// Returns over how long a fleet of `hosts` should come back when its server is lost without a word.
pub fn comeback_window(hosts: usize) -> Duration {
    let seconds = hosts.div_ceil(COMEBACKS_PER_SECOND).max(1);
    Duration::from_secs(seconds as u64).min(LONGEST_COMEBACK)
}

/// Returns the seconds after which the `place`-th of `hosts` is asked to come back when its server leaves on purpose:
/// spread evenly over [`comeback_window`], of which each agent draws a little more.
pub fn comeback_hint(place: usize, hosts: usize) -> u32 {
    let window = comeback_window(hosts).as_secs() as usize;
    u32::try_from(1 + place.min(hosts) * window / hosts.max(1)).unwrap_or(u32::MAX)
}

/// Time between two rounds of the server's own work above which it was not there in between.
pub const AWAY_ABOVE: Duration = Duration::from_secs(5 * 60);

/// Whether this server was there all the time, as its regular rounds show: a suspended machine, a clock that was set or
/// a long outage of the database is like a restart to the hosts, who need the time to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rounds {
    last_at: Option<Timestamp>,
    back_at: Option<Timestamp>,
}

impl Rounds {
    /// Takes a round that went well into account.
    #[must_use]
    pub fn after(self, now: Timestamp) -> Self {
        let was_away = self.last_at.is_some_and(|last_at| now < last_at || now.since(last_at) > AWAY_ABOVE);
        Self { last_at: Some(now), back_at: if was_away { Some(now) } else { self.back_at } }
    }

    /// Whether every host had the time to come back since the server was away.
    pub fn all_are_back(self, now: Timestamp) -> bool {
        self.back_at.is_none_or(|back_at| now >= back_at && now.since(back_at) >= RECONNECT_WINDOW)
    }

    /// Returns how long the server is there without a break, when its process runs for `up_for`. A break counts from its
    /// end on, before a round took it into account.
    pub fn there_for(self, now: Timestamp, up_for: Duration) -> Duration {
        self.after(now).back_at.map_or(up_for, |back_at| up_for.min(now.since(back_at)))
    }
}

/// What is known of a host's signs of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignsOfLife {
    /// Whether its channel is open on this node.
    pub connected: bool,
    /// When it last gave one.
    pub seen_at: Option<Timestamp>,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
    /// How long this server is there without a break: within the reconnect window nobody becomes unreachable.
    pub server_up_for: Duration,
}

/// Names the presence of a host in `state` at `now`.
///
/// Who is refused everything cannot be reached, whatever was last heard: a suspended or retired host is offline at
/// once, unless it was never seen.
pub fn presence(state: HostState, signs: &SignsOfLife, now: Timestamp) -> Presence {
    match state {
        HostState::Invited | HostState::Active => of_signs(signs, now),
        HostState::Suspended | HostState::Retired if signs.connected || signs.seen_at.is_some() => {
            Presence::Offline
        }
        HostState::Suspended | HostState::Retired => Presence::NeverSeen,
    }
}

fn of_signs(signs: &SignsOfLife, now: Timestamp) -> Presence {
    if signs.connected {
        return Presence::Online;
    }
    let Some(seen_at) = signs.seen_at else { return Presence::NeverSeen };
    if signs.said_goodbye {
        return Presence::Offline;
    }
    let silent_for = now.since(seen_at);
    // Silence is counted only while this server could have heard the host.
    let silence_heard = silent_for.min(signs.server_up_for);
    let allowance = if signs.server_up_for < RECONNECT_WINDOW && silent_for > signs.server_up_for {
        RECONNECT_WINDOW
    } else {
        UNREACHABLE_AFTER
    };
    if silent_for >= OFFLINE_AFTER && signs.server_up_for >= RECONNECT_WINDOW {
        Presence::Offline
    } else if silence_heard >= allowance {
        Presence::Unreachable
    } else {
        Presence::Online
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    #[track_caller]
    fn check(
        connected: bool,
        silent_secs: Option<u64>,
        said_goodbye: bool,
        up_secs: u64,
        expected: Presence,
    ) {
        let signs = SignsOfLife {
            connected,
            seen_at: silent_secs.map(|secs| NOW.minus(Duration::from_secs(secs))),
            said_goodbye,
            server_up_for: Duration::from_secs(up_secs),
        };
        assert_eq!(presence(HostState::Active, &signs, NOW), expected, "{signs:?}");
    }

    #[test]
    fn every_row() {
        use Presence::{NeverSeen, Offline, Online, Unreachable};
        let day = 24 * 3600;
        check(true, None, false, 5, Online);
        check(false, None, false, day, NeverSeen);
        check(false, Some(5), false, day, Online);
        check(false, Some(89), false, day, Online);
        check(false, Some(90), false, day, Unreachable);
        check(false, Some(day - 1), false, day, Unreachable);
        check(false, Some(day), false, day, Offline);
        check(false, Some(5), true, day, Offline);
    }

    #[test]
    fn a_fleet_comes_back_over_its_window_and_no_second_is_crowded() {
        for hosts in [0, 1, 2, 170, 171, 10_000, 100_000] {
            let window = comeback_window(hosts).as_secs() as u32;
            let mut seconds = vec![0_usize; window as usize + 2];
            for place in 0..hosts {
                let hint = comeback_hint(place, hosts);
                assert!((1..=window + 1).contains(&hint), "{place} of {hosts}: {hint}");
                seconds[hint as usize] += 1;
            }
            let most = hosts.div_ceil(window as usize);
            assert!(seconds.iter().all(|count| *count <= most), "{hosts}: {seconds:?}");
        }
    }

    #[test]
    fn nobody_becomes_unreachable_before_the_reconnect_window_ends() {
        check(false, Some(3000), false, 1, Presence::Online);
        check(false, Some(3000), false, 599, Presence::Online);
        check(false, Some(3000), false, 601, Presence::Unreachable);
        check(false, Some(100), false, 300, Presence::Unreachable);
    }

    #[test]
    fn a_server_that_was_away_waits_for_the_reconnect_window() {
        let minute = |n: i64| Timestamp::from_millis(NOW.as_millis() + n * 60_000);
        let rounds = |at: &[i64]| at.iter().fold(Rounds::default(), |rounds, at| rounds.after(minute(*at)));
        for (at, expected) in [
            (&[0][..], true),
            (&[0, 1, 2], true),
            (&[0, 5], true),
            (&[0, 6], false),
            (&[0, 300], false),
            (&[0, 300, 304, 309], false),
            (&[0, 300, 305, 310], true),
            (&[0, 300, 310], false),
            (&[0, -1], false),
            (&[0, -300, -295, -290], true),
        ] {
            assert_eq!(rounds(at).all_are_back(minute(*at.last().unwrap())), expected, "{at:?}");
        }
    }

    #[test]
    fn a_break_counts_like_a_start() {
        let minute = |n: i64| Timestamp::from_millis(NOW.as_millis() + n * 60_000);
        let (day, mins) = (Duration::from_secs(86_400), |n: u64| Duration::from_secs(n * 60));
        let steady = Rounds::default().after(minute(0)).after(minute(1));
        assert_eq!(steady.there_for(minute(2), day), day);
        assert_eq!(steady.there_for(minute(60), day), mins(0), "over, and no round was made yet");
        let back = steady.after(minute(60));
        assert_eq!([60, 61].map(|at| back.there_for(minute(at), day)), [mins(0), mins(1)]);
        let steady = [64, 69, 74].iter().fold(back, |rounds, at| rounds.after(minute(*at)));
        assert_eq!(steady.there_for(minute(75), day), mins(15));
        assert_eq!(steady.there_for(minute(75), mins(3)), mins(3));
    }

    #[test]
    fn who_is_refused_everything_is_offline_at_once() {
        use HostState::{Active, Invited, Retired, Suspended};
        use Presence::{NeverSeen, Offline, Online, Unreachable};
        let seen = |secs| Some(NOW.minus(Duration::from_secs(secs)));
        let table = [
            (true, seen(5), [Online, Online, Offline, Offline]),
            (true, None, [Online, Online, Offline, Offline]),
            (false, seen(5), [Online, Online, Offline, Offline]),
            (false, seen(500), [Unreachable, Unreachable, Offline, Offline]),
            (false, seen(100_000), [Offline; 4]),
            (false, None, [NeverSeen; 4]),
        ];
        for (connected, seen_at, row) in table {
            let server_up_for = OFFLINE_AFTER;
            let signs = SignsOfLife { connected, seen_at, said_goodbye: false, server_up_for };
            for (state, expected) in [Invited, Active, Suspended, Retired].into_iter().zip(row) {
                assert_eq!(presence(state, &signs, NOW), expected, "{state:?} {signs:?}");
            }
        }
    }
}
