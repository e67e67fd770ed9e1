//! How long a browser stays signed in.

use std::time::Duration;

use muster_ids::Timestamp;

/// Nobody uses it for so long: it ends.
pub const IDLE_FOR: Duration = Duration::from_secs(12 * 3600);
/// It ends in any case.
pub const LIVES_FOR: Duration = Duration::from_secs(7 * 24 * 3600);

/// Sessions one person has at most; one more ends the oldest.
pub const MOST: usize = 32;

/// What is known of a session when it is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// When it was last used.
    pub seen_at: Timestamp,
    /// When it lapses in any case.
    pub expires_at: Timestamp,
    /// When somebody ended it.
    pub ended_at: Option<Timestamp>,
}

/// Whether a session is good at `now`.
pub fn is_good(known: &Known, now: Timestamp) -> bool {
    known.ended_at.is_none() && now < known.expires_at && now < known.seen_at.plus(IDLE_FOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_when_idle_when_old_and_when_ended() {
        let at = |hours: i64| Timestamp::from_millis(hours * 3_600_000);
        let known = Known { seen_at: at(100), expires_at: at(168), ended_at: None };
        let check = |known: Known, now, good| assert_eq!(is_good(&known, now), good, "{known:?} at {now:?}");
        check(known, at(111), true);
        check(known, at(112), false);
        check(Known { seen_at: at(167), ..known }, at(167), true);
        check(Known { seen_at: at(167), ..known }, at(168), false);
        check(Known { ended_at: Some(at(1)), ..known }, at(101), false);
    }
}
