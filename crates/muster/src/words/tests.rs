use muster_wire::claim::ClaimReason;
use muster_wire::host::{HostState, Presence};

use super::*;

#[test]
fn words_are_those_of_the_api() {
    assert_eq!(word(&Presence::NeverSeen), "never_seen");
    assert_eq!(from_word::<HostState>("retired"), Some(HostState::Retired));
    assert_eq!(from_word::<ClaimReason>("nonsense"), None);
}

#[test]
fn moments_are_short_and_in_utc() {
    let at = Timestamp::from_millis(1_700_000_000_123);
    assert_eq!(moment(at), "2023-11-14 22:13:20Z");
    assert_eq!(optional_moment(None), "");
}

#[test]
fn ages_look_both_ways() {
    let now = Timestamp::from_millis(1_000_000_000);
    let minute = Duration::from_secs(300);
    assert_eq!(relative(now.minus(minute), now), "5m ago");
    assert_eq!(relative(now.plus(minute), now), "in 5m");
    assert_eq!(relative(now, now), "now");
}

#[test]
fn sizes_have_units() {
    for (count, text) in
        [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1_572_864, "1.5 MiB"), (u64::MAX, "16384.0 PiB")]
    {
        assert_eq!(bytes(count), text);
    }
}
