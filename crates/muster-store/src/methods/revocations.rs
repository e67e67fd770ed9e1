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
    /// Appends to the log, in the transaction that revokes.
    pub fn revocation_insert(
        &mut self,
        team_id: TeamId,
        subject: &str,
        reason: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO revocation (team_id, subject, reason, revoked_at) VALUES ($1, $2, $3, $4)",
            params![team_id, subject, reason, now],
        )?;
        Ok(())
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
