//! The append-only log of what every node must stop trusting.

use muster_ids::{TeamId, Timestamp};

use crate::{StoreError, Tx, params};

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevocationRow {
    /// Its place in the log. On PostgreSQL a smaller one may be committed later.
    pub seq: i64,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// What is no longer trusted: a key, a host or a ticket, in its text form.
    pub subject: String,
    /// Why.
    pub reason: String,
    /// When.
    pub revoked_at: Timestamp,
}

impl Tx<'_> {
    /// Appends to the log, in the transaction that revokes, and returns the row's place in it.
    pub fn revocation_insert(
        &mut self,
        team_id: TeamId,
        subject: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let places = self.revocations_insert(team_id, &[subject.to_owned()], reason, now)?;
        places.first().copied().ok_or_else(|| StoreError::corrupt("a row of the log has no place"))
    }

    /// Appends rows of one team and reason, as [`Tx::revocation_insert`] does one.
    pub fn revocations_insert(
        &mut self,
        team_id: TeamId,
        subjects: &[String],
        reason: &str,
        now: Timestamp,
    ) -> Result<Vec<i64>, StoreError> {
        let row = |subject: &String| params![team_id, subject, reason, now].to_vec();
        let places = self.query_each(
            "INSERT INTO revocation (team_id, subject, reason, revoked_at) VALUES ($1, $2, $3, $4) RETURNING seq",
            &subjects.iter().map(row).collect::<Vec<_>>(),
            |row| row.get(0),
        )?;
        Ok(places.into_iter().flatten().collect())
    }

    /// Returns the place of the last entry; 0 when there is none.
    pub fn revocations_last(&mut self) -> Result<i64, StoreError> {
        self.query_one("SELECT coalesce(max(seq), 0) FROM revocation", params![], |row| row.get(0))
    }

    /// Returns entries after `after`, in order.
    pub fn revocations_after(&mut self, after: i64, limit: i64) -> Result<Vec<RevocationRow>, StoreError> {
        self.query(
            "SELECT seq, team_id, subject, reason, revoked_at FROM revocation WHERE seq > $1 ORDER BY seq LIMIT $2",
            params![after, limit],
            |row| {
                Ok(RevocationRow {
                    seq: row.get(0)?,
                    team_id: row.get(1)?,
                    subject: row.get(2)?,
                    reason: row.get(3)?,
                    revoked_at: row.get(4)?,
                })
            },
        )
    }
}
