//! The fleet as it was last counted, by team: kept in memory, so that no request looks at every host.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use muster_ids::{HostId, TeamId, Timestamp};
use muster_wire::host::HostState;
use muster_wire::overview::{ATTENTION_NAMED, HostCounts, PresenceCounts};

/// Hosts that need attention: how many, and those for which it is so the longest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Longest {
    /// How many.
    pub count: u64,
    /// A few of them, longest first, each with what else names it.
    pub items: Vec<(Timestamp, HostId, Option<String>)>,
}

impl Longest {
    /// Counts one.
    pub fn count(&mut self, since: Timestamp, host_id: HostId, name: Option<String>) {
        self.count += 1;
        let place = self.items.partition_point(|(at, ..)| *at <= since);
        if place < ATTENTION_NAMED {
            self.items.insert(place, (since, host_id, name));
            self.items.truncate(ATTENTION_NAMED);
        }
    }
}

/// One team's fleet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TeamCensus {
    /// Hosts by where they stand.
    pub hosts: HostCounts,
    /// Active hosts by whether they can be reached, as a list shows them.
    pub presence: PresenceCounts,
    /// The same, but those that had no time yet to come back to this server as they were noted before.
    pub sampled: PresenceCounts,
    /// Claims that wait.
    pub claims_open: u64,
    /// Jobs that have not ended.
    pub jobs_open: u64,
    /// Jobs that failed or were lost within a day.
    pub jobs_failed_day: u64,
    /// Active hosts that cannot be reached, since they were last heard.
    pub unreachable: Longest,
    /// Active hosts that have not confirmed what they should have.
    pub drifted: Longest,
    /// Secrets that went to a key nobody trusts any more, with their names.
    pub exposed: Longest,
}

impl TeamCensus {
    /// Counts where a host stands in its life.
    pub fn count_state(&mut self, state: HostState, is_held: bool) {
        let counts = &mut self.hosts;
        match state {
            HostState::Invited => counts.invited += 1,
            HostState::Active => counts.active += 1,
            HostState::Suspended => counts.suspended += 1,
            HostState::Retired => counts.retired += 1,
        }
        counts.held += u64::from(is_held);
    }
}

/// All teams' fleets, as they were counted at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// When.
    pub at: Timestamp,
    /// When that began, as long as this server runs.
    pub began_at: Duration,
    /// When it was done.
    pub done_at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Each team that has anything.
    pub teams: HashMap<TeamId, TeamCensus>,
}

/// When what a census found was last noted, as long as this server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotedAt {
    /// When the count began.
    pub began_at: Duration,
    /// When everything was noted.
    pub done_at: Duration,
}

/// The last census.
#[derive(Debug, Default)]
pub struct Census {
    last: RwLock<Option<Arc<Counted>>>,
    noted: RwLock<Option<NotedAt>>,
    sampled_at: RwLock<Option<Timestamp>>,
    /// One counts at a time.
    pub counting: tokio::sync::Mutex<()>,
    /// One counts and notes what changed at a time; no request waits for that.
    pub noting: tokio::sync::Mutex<()>,
}

impl Census {
    /// Returns the last one. None: nobody counted since the server started.
    pub fn last(&self) -> Option<Arc<Counted>> {
        self.last.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a census.
    pub fn keep(&self, counted: Arc<Counted>) {
        *self.last.write().unwrap_or_else(PoisonError::into_inner) = Some(counted);
    }

    /// Returns when what was found was last noted.
    pub fn noted(&self) -> Option<NotedAt> {
        *self.noted.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that what was found is noted.
    pub fn has_noted(&self, at: NotedAt) {
        *self.noted.write().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }

    /// Returns of which moment samples were last kept.
    pub fn sampled_at(&self) -> Option<Timestamp> {
        *self.sampled_at.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the samples of a moment are kept.
    pub fn sampled(&self, at: Timestamp) {
        *self.sampled_at.write().unwrap_or_else(PoisonError::into_inner) = Some(at);
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_longest_are_named_and_all_are_counted() {
        let mut longest = Longest::default();
        for n in [7, 3, 9, 1, 8, 2, 5] {
            let host_id = HostId::from_uuid(Uuid::from_u128(n));
            longest.count(Timestamp::from_millis(n as i64), host_id, None);
        }
        let named: Vec<_> = longest.items.iter().map(|(at, ..)| at.as_millis()).collect();
        assert_eq!((longest.count, named), (7, vec![1, 2, 3, 5, 7]));
    }
}
