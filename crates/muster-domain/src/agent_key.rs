//! Agent keys of machines that cannot hold a key pair: who may have one, and which of two counts (DESIGN §2, §3).

use muster_ids::{KeyName, Timestamp};
use muster_wire::host::HostState;

/// Most agent keys a host may have at once: the one in use and the one that takes its place.
pub const MOST_LIVE: usize = 2;

/// What a host proves itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldKeys {
    /// How many of its keys are active.
    pub active: usize,
    /// The newest key it ever had, active or not.
    pub newest: Option<KeyName>,
}

/// Why no agent key is minted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotMinted {
    /// The host is suspended or retired.
    #[error("the host is neither invited nor active")]
    NotPossible,
    /// The host has, or last had, a key pair: it comes back with another one.
    #[error("the host has a key pair")]
    HasKeyPair,
    /// The host has as many as it may.
    #[error("the host has two agent keys")]
    TooMany,
}

/// Decides whether a person may give a host another agent key. A host has a key pair or agent keys, never both.
pub fn mint(state: HostState, held: &HeldKeys) -> Result<(), NotMinted> {
    match (state, held.newest) {
        (HostState::Suspended | HostState::Retired, _) => Err(NotMinted::NotPossible),
        (HostState::Invited, _) => Ok(()),
        (HostState::Active, Some(KeyName::Agent(_))) if held.active >= MOST_LIVE => Err(NotMinted::TooMany),
        (HostState::Active, Some(KeyName::Agent(_))) => Ok(()),
        (HostState::Active, _) => Err(NotMinted::HasKeyPair),
    }
}

/// A key and when it was made.
pub type Dated = (KeyName, Timestamp);

/// Whether who comes with `newcomer` takes the channel over from who is connected with `open`, another key of the same
/// host: the newer key counts, so that two holders do not push each other out in turn.
pub fn takes_over(newcomer: Dated, open: Dated) -> bool {
    (newcomer.1, newcomer.0) > (open.1, open.0)
}

#[cfg(test)]
mod tests {
    use HostState::{Active, Invited, Retired, Suspended};

    use super::*;

    fn agent(n: u32) -> KeyName {
        format!("agk:{n:012}").parse().expect("the name of an agent key")
    }

    fn pair() -> KeyName {
        format!("jkt:{:042}A", 1).parse().expect("the name of a key pair")
    }

    #[track_caller]
    fn check(state: HostState, active: usize, newest: Option<KeyName>, expected: Result<(), NotMinted>) {
        assert_eq!(mint(state, &HeldKeys { active, newest }), expected, "{state:?} {active} {newest:?}");
    }

    #[test]
    fn every_state_and_what_it_holds() {
        check(Invited, 0, None, Ok(()));
        check(Active, 0, Some(agent(1)), Ok(()));
        check(Active, 1, Some(agent(1)), Ok(()));
        check(Active, 2, Some(agent(2)), Err(NotMinted::TooMany));
        check(Active, 1, Some(pair()), Err(NotMinted::HasKeyPair));
        check(Active, 0, Some(pair()), Err(NotMinted::HasKeyPair));
        check(Active, 0, None, Err(NotMinted::HasKeyPair));
        for state in [Suspended, Retired] {
            check(state, 0, Some(agent(1)), Err(NotMinted::NotPossible));
            check(state, 1, Some(agent(1)), Err(NotMinted::NotPossible));
        }
    }

    #[test]
    fn the_newer_of_two_keys_counts_and_one_of_them_always_does() {
        let at = Timestamp::from_millis;
        assert!(takes_over((agent(1), at(2)), (agent(2), at(1))));
        assert!(!takes_over((agent(1), at(1)), (agent(2), at(2))));
        let same = [(agent(1), at(1)), (agent(2), at(1))];
        assert_ne!(takes_over(same[0], same[1]), takes_over(same[1], same[0]));
    }
}
