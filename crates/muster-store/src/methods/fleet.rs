//! The fleet as it was counted: every host in its turn, whether it could be reached, and how many of a team could.

use muster_domain::host_config::Configured;
use muster_ids::{HostId, TeamId, Timestamp};
use muster_wire::host::{HostState, Presence};
use muster_wire::overview::{PresenceCounts, PresenceSample};

use super::shown_hosts::read_configured;
use crate::words::Word;
use crate::{Row, StoreError, Tx, params};

/// A host as it is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CountedHost {
    /// Its integer key.
    pub seq: i64,
    /// The host.
    pub host_id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// Where it stands in its life.
    pub state: HostState,
    /// Since when it is held.
    pub held_at: Option<Timestamp>,
    /// When it was first admitted.
    pub enrolled_at: Option<Timestamp>,
    /// When it was last heard, as far as that is stored.
    pub seen_at: Option<Timestamp>,
    /// Whether its last word was goodbye.
    pub said_goodbye: bool,
    /// Whether it could be reached, as was last noted, and since when. None: it was never seen.
    pub noted: Option<(Presence, Timestamp)>,
    /// What an active host should have and has not confirmed.
    pub lacking: Option<Configured>,
}

/// That a host can be reached, or cannot any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PresenceChange {
    /// The host.
    pub host_id: HostId,
    /// Since when.
    pub at: Timestamp,
    /// What was noted before.
    pub was: Presence,
    /// What is so since.
    pub status: Presence,
}

impl Tx<'_> {
    /// Returns hosts in the order of their integer keys, after `after`, wherever they stand.
    pub fn hosts_counted(&mut self, after: i64, limit: i64) -> Result<Vec<CountedHost>, StoreError> {
        self.query(
            "SELECT presence.seq, host.id, host.team_id, host.state, host.held_at, host.enrolled_at,
                    presence.seen_at, presence.said_goodbye, presence_noted.status, presence_noted.at,
                    host_config.epoch, host_config.n, host_config.changed_at, host_config.applied_epoch,
                    host_config.applied_n, host_config.applied_at, host_config.sent_at, host_config.sent_times
               FROM presence
               JOIN host ON host.id = presence.host_id
               LEFT JOIN presence_noted ON presence_noted.host_id = presence.host_id
               LEFT JOIN host_config ON host_config.host_id = presence.host_id AND host.state = 'active'
                     AND (host_config.applied_epoch IS NULL OR host_config.applied_epoch < host_config.epoch
                          OR (host_config.applied_epoch = host_config.epoch AND host_config.applied_n < host_config.n))
              WHERE presence.seq > $1 ORDER BY presence.seq LIMIT $2",
            params![after, limit],
            read_counted,
        )
    }

    /// Returns how many claims wait in each team.
    pub fn claims_open_by_team(&mut self) -> Result<Vec<(TeamId, u64)>, StoreError> {
        self.query(
            "SELECT team_id, count(*) FROM claim WHERE state = 'waiting' GROUP BY team_id",
            params![],
            by_team,
        )
    }

    /// Returns how many jobs of each team have not ended.
    pub fn jobs_open_by_team(&mut self) -> Result<Vec<(TeamId, u64)>, StoreError> {
        self.query(
            "SELECT team_id, count(*) FROM job WHERE state IN ('queued', 'dispatched', 'running') GROUP BY team_id",
            params![],
            by_team,
        )
    }

    /// Returns how many jobs of each team failed or were lost since `since`. Asked team by team, so that of jobs that are
    /// older none is read.
    pub fn jobs_failed_by_team(&mut self, since: Timestamp) -> Result<Vec<(TeamId, u64)>, StoreError> {
        let counted = self.query(
            "SELECT team.id, (SELECT count(*) FROM job
                               WHERE job.team_id = team.id AND job.state IN ('failed', 'lost')
                                 AND job.finished_at >= $1)
               FROM team",
            params![since],
            by_team,
        )?;
        Ok(counted.into_iter().filter(|(_, count)| *count > 0).collect())
    }

    /// Notes that hosts can be reached, or cannot any more; each of them once.
    pub fn presence_note(&mut self, changes: &[PresenceChange]) -> Result<(), StoreError> {
        let of_change = |change: &PresenceChange| {
            params![change.host_id, change.at, Word(change.was), Word(change.status)].to_vec()
        };
        let of_noted =
            |change: &PresenceChange| params![change.host_id, Word(change.status), change.at].to_vec();
        self.insert_rows(
            "INSERT INTO presence_change (host_id, at, was, status) VALUES ($1, $2, $3, $4)
             ON CONFLICT (host_id, at) DO UPDATE SET status = excluded.status",
            &changes.iter().map(of_change).collect::<Vec<_>>(),
        )?;
        self.insert_rows(
            "INSERT INTO presence_noted (host_id, status, at) VALUES ($1, $2, $3)
             ON CONFLICT (host_id) DO UPDATE SET status = excluded.status, at = excluded.at",
            &changes.iter().map(of_noted).collect::<Vec<_>>(),
        )?;
        Ok(())
    }

    /// Returns whether a host could be reached, as was last noted, and since when.
    pub fn presence_noted(&mut self, host_id: HostId) -> Result<Option<(Presence, Timestamp)>, StoreError> {
        self.query_opt("SELECT status, at FROM presence_noted WHERE host_id = $1", params![host_id], |row| {
            Ok((row.get::<Word<Presence>>(0)?.0, row.get(1)?))
        })
    }

    /// Returns what was noted of a host after `from`, newest first.
    pub fn presence_changes(
        &mut self,
        host_id: HostId,
        from: Timestamp,
        limit: i64,
    ) -> Result<Vec<PresenceChange>, StoreError> {
        self.query(
            "SELECT at, was, status FROM presence_change
              WHERE host_id = $1 AND at > $2 ORDER BY at DESC LIMIT $3",
            params![host_id, from, limit],
            |row| {
                Ok(PresenceChange {
                    host_id,
                    at: row.get(0)?,
                    was: row.get::<Word<Presence>>(1)?.0,
                    status: row.get::<Word<Presence>>(2)?.0,
                })
            },
        )
    }

    /// Keeps how many hosts of teams could be reached at `at`; what was kept of that moment before stays.
    pub fn fleet_samples_add(
        &mut self,
        at: Timestamp,
        counts: &[(TeamId, PresenceCounts)],
    ) -> Result<u64, StoreError> {
        let stored = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let of_team = |(team_id, counts): &(TeamId, PresenceCounts)| {
            let PresenceCounts { online, unreachable, offline, never_seen } = *counts;
            let [online, unreachable, offline, never_seen] =
                [online, unreachable, offline, never_seen].map(stored);
            params![team_id, at, online, unreachable, offline, never_seen].to_vec()
        };
        self.insert_rows(
            "INSERT INTO fleet_sample (team_id, at, online, unreachable, offline, never_seen)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (team_id, at) DO NOTHING",
            &counts.iter().map(of_team).collect::<Vec<_>>(),
        )
    }

    /// Returns how many hosts of a team could be reached, from `from` on, oldest first.
    pub fn fleet_samples(
        &mut self,
        team_id: TeamId,
        from: Timestamp,
    ) -> Result<Vec<PresenceSample>, StoreError> {
        self.query(
            "SELECT at, online, unreachable, offline, never_seen FROM fleet_sample
              WHERE team_id = $1 AND at >= $2 ORDER BY at",
            params![team_id, from],
            |row| {
                Ok(PresenceSample {
                    at: row.get(0)?,
                    online: row.get(1)?,
                    unreachable: row.get(2)?,
                    offline: row.get(3)?,
                    never_seen: row.get(4)?,
                })
            },
        )
    }

    /// Drops samples of fleets of before `before`. Returns how many.
    pub fn fleet_samples_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM fleet_sample WHERE (team_id, at) IN
               (SELECT team_id, at FROM fleet_sample WHERE at < $1 ORDER BY at LIMIT $2)",
            params![before, limit],
        )
    }

    /// Drops what was noted of hosts before `before`; whether they can be reached stays noted. Returns how many.
    pub fn presence_changes_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM presence_change WHERE (host_id, at) IN
               (SELECT host_id, at FROM presence_change WHERE at < $1 ORDER BY at LIMIT $2)",
            params![before, limit],
        )
    }
}

fn by_team(row: &Row<'_>) -> Result<(TeamId, u64), StoreError> {
    Ok((row.get(0)?, row.get(1)?))
}

fn read_counted(row: &Row<'_>) -> Result<CountedHost, StoreError> {
    let status = row.get::<Option<Word<Presence>>>(8)?.map(|word| word.0);
    Ok(CountedHost {
        seq: row.get(0)?,
        host_id: row.get(1)?,
        team_id: row.get(2)?,
        state: row.get::<Word<HostState>>(3)?.0,
        held_at: row.get(4)?,
        enrolled_at: row.get(5)?,
        seen_at: row.get(6)?,
        said_goodbye: row.get(7)?,
        noted: status.zip(row.get(9)?),
        lacking: read_configured(row, 10)?,
    })
}
