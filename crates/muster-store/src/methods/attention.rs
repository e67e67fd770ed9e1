//! What somebody should look at, found by indexes: how many, up to a bound, and a few of them.

use muster_ids::{ClaimId, EndpointId, HostId, JobId, TeamId, TicketId, Timestamp};

use crate::{FromValue, Row, StoreError, Tx, Value, params};

/// How many there are, at most as many as were asked for, and a few of them: id, name, since when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// How many.
    pub count: u64,
    /// The first few.
    pub items: Vec<(String, String, Timestamp)>,
}

impl Tx<'_> {
    /// Finds hosts that are held.
    pub fn find_held(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM host WHERE team_id = $1 AND held_at IS NOT NULL LIMIT $2) AS found",
            params![team_id, most],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT id, name, held_at FROM host WHERE team_id = $1 AND held_at IS NOT NULL ORDER BY id LIMIT $2",
            params![team_id, few],
            item::<HostId>,
        )?;
        Ok(Found { count, items })
    }

    /// Finds claims that wait, oldest first.
    pub fn find_waiting(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM claim WHERE team_id = $1 AND state = 'waiting' LIMIT $2) AS found",
            params![team_id, most],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT id, hostname, created_at FROM claim
              WHERE team_id = $1 AND state = 'waiting' ORDER BY id LIMIT $2",
            params![team_id, few],
            item::<ClaimId>,
        )?;
        Ok(Found { count, items })
    }

    /// Finds jobs that failed or were lost since `since`, newest first; their names are those of their hosts.
    pub fn find_failed(
        &mut self,
        team_id: TeamId,
        since: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM job WHERE team_id = $1 AND state IN ('failed', 'lost') AND finished_at >= $3
                  LIMIT $2) AS found",
            params![team_id, most, since],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT job.id, host.name, job.finished_at FROM job JOIN host ON host.id = job.host_id
              WHERE job.team_id = $1 AND job.state IN ('failed', 'lost') AND job.finished_at >= $3
              ORDER BY job.finished_at DESC LIMIT $2",
            params![team_id, few, since],
            item::<JobId>,
        )?;
        Ok(Found { count, items })
    }

    /// Finds site keys that lapse between `now` and `until` and that nothing took the place of, the next one first; their
    /// names are those of their sites, and their times those at which they lapse.
    pub fn find_lapsing(
        &mut self,
        team_id: TeamId,
        now: Timestamp,
        until: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM ticket
                  WHERE team_id = $1 AND kind = 'site_key' AND revoked_at IS NULL AND rotated_at IS NULL
                    AND expires_at IS NOT NULL AND expires_at > $3 AND expires_at <= $4 LIMIT $2) AS found",
            params![team_id, most, now, until],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT ticket.id, site.name, ticket.expires_at FROM ticket JOIN site ON site.id = ticket.site_id
              WHERE ticket.team_id = $1 AND ticket.kind = 'site_key' AND ticket.revoked_at IS NULL
                AND ticket.rotated_at IS NULL
                AND ticket.expires_at IS NOT NULL AND ticket.expires_at > $3 AND ticket.expires_at <= $4
              ORDER BY ticket.expires_at LIMIT $2",
            params![team_id, few, now, until],
            item::<TicketId>,
        )?;
        Ok(Found { count, items })
    }

    /// Finds endpoints that take nothing, oldest trouble first.
    pub fn find_failing(&mut self, team_id: TeamId, most: i64, few: i64) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM endpoint
                  WHERE team_id = $1 AND failing_since IS NOT NULL AND removed_at IS NULL LIMIT $2) AS found",
            params![team_id, most],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT id, name, failing_since FROM endpoint
              WHERE team_id = $1 AND failing_since IS NOT NULL AND removed_at IS NULL
              ORDER BY failing_since LIMIT $2",
            params![team_id, few],
            item::<EndpointId>,
        )?;
        Ok(Found { count, items })
    }

    /// Finds records that did not open since `since`, newest first; ids and names are what the event is about.
    pub fn find_unreadable(
        &mut self,
        team_id: TeamId,
        since: Timestamp,
        most: i64,
        few: i64,
    ) -> Result<Found, StoreError> {
        let count = self.counted(
            "SELECT count(*) FROM
                (SELECT 1 FROM outbox WHERE team_id = $1 AND kind = 'secret.unreadable' AND at >= $3
                  LIMIT $2) AS found",
            params![team_id, most, since],
        )?;
        if count == 0 {
            return Ok(Found::default());
        }
        let items = self.query(
            "SELECT subject, subject, at FROM outbox
              WHERE team_id = $1 AND kind = 'secret.unreadable' AND at >= $3 ORDER BY at DESC LIMIT $2",
            params![team_id, few, since],
            item::<String>,
        )?;
        Ok(Found { count, items })
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

    fn counted(&mut self, sql: &'static str, params: &[Value]) -> Result<u64, StoreError> {
        self.query_one(sql, params, |row| row.get(0))
    }
}

fn item<I: FromValue + ToString>(row: &Row<'_>) -> Result<(String, String, Timestamp), StoreError> {
    Ok((row.get::<I>(0)?.to_string(), row.get(1)?, row.get(2)?))
}
