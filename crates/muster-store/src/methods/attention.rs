//! What somebody should look at, found by indexes: how many, up to a bound, and a few of them.

use muster_ids::{ClaimId, EndpointId, HostId, JobId, TeamId, TicketId, Timestamp};

use crate::{FromValue, StoreError, ToValue, Tx, Value, params};

/// How many there are, at most as many as were asked for, and a few of them: id, name, since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The first few.
    pub items: Vec<(String, String, Timestamp)>,
}

impl Tx<'_> {
    /// Finds hosts that are held, the longest-standing first.
    pub fn hosts_held(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        self.found::<HostId>(
            "SELECT count(*) FROM
                (SELECT 1 FROM host WHERE team_id = $1 AND held_at IS NOT NULL LIMIT $2) AS found",
            "SELECT id, name, held_at FROM host WHERE team_id = $1 AND held_at IS NOT NULL ORDER BY held_at, id LIMIT $2",
            team_id,
            (most, few),
            &[],
        )
    }

    /// Finds claims that wait, oldest first.
    pub fn claims_waiting(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        self.found::<ClaimId>(
            "SELECT count(*) FROM
                (SELECT 1 FROM claim WHERE team_id = $1 AND state = 'waiting' LIMIT $2) AS found",
            "SELECT id, hostname, created_at FROM claim
              WHERE team_id = $1 AND state = 'waiting' ORDER BY id LIMIT $2",
            team_id,
            (most, few),
            &[],
        )
    }

    /// Finds jobs that failed or were lost since `since`, newest first; their names are those of their hosts.
    pub fn jobs_gone_wrong(
        &mut self,
        team_id: TeamId,
        since: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        self.found::<JobId>(
            "SELECT count(*) FROM
                (SELECT 1 FROM job WHERE team_id = $1 AND state IN ('failed', 'lost') AND finished_at >= $3
                  LIMIT $2) AS found",
            "SELECT job.id, host.name, job.finished_at FROM job JOIN host ON host.id = job.host_id
              WHERE job.team_id = $1 AND job.state IN ('failed', 'lost') AND job.finished_at >= $3
              ORDER BY job.finished_at DESC LIMIT $2",
            team_id,
            (most, few),
            &[since.to_value()],
        )
    }

    /// Finds site keys that lapse between `now` and `until` and that nothing took the place of, the next one first; their
    /// names are those of their sites, and their times those at which they lapse.
    pub fn site_keys_lapsing(
        &mut self,
        team_id: TeamId,
        now: Timestamp,
        until: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        self.found::<TicketId>(
            "SELECT count(*) FROM
                (SELECT 1 FROM ticket
                  WHERE team_id = $1 AND kind = 'site_key' AND revoked_at IS NULL AND rotated_at IS NULL
                    AND expires_at IS NOT NULL AND expires_at > $3 AND expires_at <= $4 LIMIT $2) AS found",
            "SELECT ticket.id, site.name, ticket.expires_at FROM ticket JOIN site ON site.id = ticket.site_id
              WHERE ticket.team_id = $1 AND ticket.kind = 'site_key' AND ticket.revoked_at IS NULL
                AND ticket.rotated_at IS NULL
                AND ticket.expires_at IS NOT NULL AND ticket.expires_at > $3 AND ticket.expires_at <= $4
              ORDER BY ticket.expires_at LIMIT $2",
            team_id,
            (most, few),
            &[now.to_value(), until.to_value()],
        )
    }

    /// Finds endpoints that take nothing, oldest trouble first.
    pub fn endpoints_failing(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        self.found::<EndpointId>(
            "SELECT count(*) FROM
                (SELECT 1 FROM endpoint
                  WHERE team_id = $1 AND failing_since IS NOT NULL AND removed_at IS NULL LIMIT $2) AS found",
            "SELECT id, name, failing_since FROM endpoint
              WHERE team_id = $1 AND failing_since IS NOT NULL AND removed_at IS NULL
              ORDER BY failing_since LIMIT $2",
            team_id,
            (most, few),
            &[],
        )
    }

    /// Finds records that did not open since `since`, newest first; ids and names are what the event is about.
    pub fn secrets_unreadable(
        &mut self,
        team_id: TeamId,
        since: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        self.found::<String>(
            "SELECT count(*) FROM
                (SELECT 1 FROM outbox WHERE team_id = $1 AND kind = 'secret.unreadable' AND at >= $3
                  LIMIT $2) AS found",
            "SELECT subject, subject, at FROM outbox
              WHERE team_id = $1 AND kind = 'secret.unreadable' AND at >= $3 ORDER BY at DESC LIMIT $2",
            team_id,
            (most, few),
            &[since.to_value()],
        )
    }

    /// Returns what people call hosts of a team; one that is not there has no name.
    pub fn host_names(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
    ) -> Result<Vec<Option<String>>, StoreError> {
        let sets: Vec<_> = hosts.iter().map(|host_id| params![team_id, host_id].to_vec()).collect();
        let found =
            self.query_each("SELECT name FROM host WHERE team_id = $1 AND id = $2", &sets, |row| {
                row.get::<String>(0)
            })?;
        Ok(found.into_iter().map(|mut names| names.pop()).collect())
    }

    /// Counts up to `most` with one text and reads up to `few` with the other; in both, `$1` is the team and `$2` the limit.
    fn found<I: FromValue + ToString>(
        &mut self,
        count: &'static str,
        items: &'static str,
        team_id: TeamId,
        (most, few): (i64, i64),
        more: &[Value],
    ) -> Result<Found, StoreError> {
        let limited = |limit: i64| [params![team_id, limit], more].concat();
        let count = self.query_one(count, &limited(most), |row| row.get(0))?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(items, &limited(few), |row| {
            Ok((row.get::<I>(0)?.to_string(), row.get(1)?, row.get(2)?))
        })?;
        Ok(Found { count, items })
    }
}
