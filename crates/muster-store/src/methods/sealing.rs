//! What the sealer does: committed rows get their place, and the last place is kept outside of their tables, so that a
//! tail that is cut off is noticed and no place is given twice.

use muster_ids::{AuditId, Timestamp};

use super::audit::{AuditRow, read_audit};
use crate::{StoreError, Tx, params};

/// The fact that holds the last link of the audit chain, sealed by the server's keys.
const AUDIT_HEAD: &str = "audit_head";
/// The fact that holds the last link that was dropped.
const AUDIT_TAIL: &str = "audit_tail";
/// The fact that holds the last position of the outbox.
const OUTBOX_HEAD: &str = "outbox_head";

/// A link of the audit chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its place; 0 before the first.
    pub position: i64,
    /// Its MAC; zeros before the first.
    pub mac: [u8; 32],
}

impl ChainHead {
    /// What the first link follows.
    pub const START: Self = Self { position: 0, mac: [0; 32] };

    /// Returns the place of the link after this one.
    pub fn next_position(&self) -> Result<i64, StoreError> {
        next_position(self.position)
    }
}

/// An audit row that waits for its place.
#[derive(Debug, Clone, PartialEq)]
pub struct UnsealedAuditRow {
    /// The row.
    pub row: AuditRow,
    /// What proves that the server wrote it; none: somebody else did.
    pub written: Option<Vec<u8>>,
}

/// A sealed row as the database holds it, whatever was done to it.
#[derive(Debug, Clone, PartialEq)]
pub struct ChainedAuditRow {
    /// Its place.
    pub position: i64,
    /// The row; `None`: a column holds what the server cannot have written.
    pub row: Option<AuditRow>,
    /// Its link; `None`: that is no MAC.
    pub mac: Option<[u8; 32]>,
}

impl Tx<'_> {
    /// Returns committed audit rows without a place, in the order in which they were written.
    pub fn audit_unsealed(&mut self, limit: i64) -> Result<Vec<UnsealedAuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed, host_id, written
               FROM audit
              WHERE position IS NULL ORDER BY seq LIMIT $1",
            params![limit],
            |row| Ok(UnsealedAuditRow { row: read_audit(row)?, written: row.get(12)? }),
        )
    }

    /// Returns rows without a place and without a proof of who wrote them, in the order in which they were written.
    pub fn audit_unproved(&mut self, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed, host_id
               FROM audit
              WHERE position IS NULL AND written IS NULL ORDER BY seq LIMIT $1",
            params![limit],
            read_audit,
        )
    }

    /// Adds the proof that the server wrote a row that waits for its place without one.
    pub fn audit_prove(&mut self, id: AuditId, written: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "UPDATE audit SET written = $1 WHERE id = $2 AND position IS NULL AND written IS NULL",
            params![written, id],
        )?;
        Ok(())
    }

    /// Counts the rows that wait for their place.
    pub fn audit_unsealed_count(&mut self) -> Result<u64, StoreError> {
        self.query_one("SELECT count(*) FROM audit WHERE position IS NULL", params![], |row| row.get(0))
    }

    /// Returns sealed rows of all teams after a position, in order.
    pub fn audit_after(&mut self, after: i64, limit: i64) -> Result<Vec<ChainedAuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, role, changed, host_id,
                    position, mac
               FROM audit
              WHERE position > $1 ORDER BY position LIMIT $2",
            params![after, limit],
            |row| {
                Ok(ChainedAuditRow {
                    position: row.get(12)?,
                    row: read_audit(row).ok(),
                    mac: row.get(13).ok(),
                })
            },
        )
    }

    /// Returns the link at a position. The inner `None`: that is no MAC.
    pub fn audit_link(&mut self, position: i64) -> Result<Option<Option<[u8; 32]>>, StoreError> {
        self.query_opt("SELECT mac FROM audit WHERE position = $1", params![position], |row| {
            Ok(row.get(0).ok())
        })
    }

    /// Returns the first position after `after` whose row was not written before `at`, if there is one.
    pub fn audit_first_since(&mut self, after: i64, at: Timestamp) -> Result<Option<i64>, StoreError> {
        let found = self.query(
            "SELECT position FROM audit WHERE position > $1 AND +at >= $2 ORDER BY position LIMIT 1",
            params![after, at],
            |row| row.get(0),
        )?;
        Ok(found.first().copied())
    }

    /// Drops the rows after `after` up to `through`. Returns how many there were.
    pub fn audit_drop(&mut self, after: i64, through: i64) -> Result<u64, StoreError> {
        self.execute("DELETE FROM audit WHERE position > $1 AND position <= $2", params![after, through])
    }

    /// Returns what is kept of the last link of the audit chain, outside of its table.
    pub fn audit_head(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.installation(AUDIT_HEAD)
    }

    /// Keeps the last link of the audit chain, in the transaction that made it.
    pub fn audit_head_keep(&mut self, kept: &[u8]) -> Result<(), StoreError> {
        self.installation_set(AUDIT_HEAD, kept)
    }

    /// Returns what is kept of the last link that was dropped.
    pub fn audit_tail(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        self.installation(AUDIT_TAIL)
    }

    /// Keeps the last link that was dropped, in the transaction that drops it.
    pub fn audit_tail_keep(&mut self, kept: &[u8]) -> Result<(), StoreError> {
        self.installation_set(AUDIT_TAIL, kept)
    }

    /// Returns the last link of the audit chain that the table holds.
    pub fn audit_last(&mut self) -> Result<ChainHead, StoreError> {
        let last = self.query_opt(
            "SELECT position, mac FROM audit WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1",
            params![],
            |row| Ok(ChainHead { position: row.get(0)?, mac: row.get(1).unwrap_or([0; 32]) }),
        )?;
        Ok(last.unwrap_or(ChainHead::START))
    }

    /// Gives audit rows their places. `false`: one of them has one.
    pub fn audit_seal(&mut self, links: &[(AuditId, ChainHead)]) -> Result<bool, StoreError> {
        let set = |(id, link): &(AuditId, ChainHead)| params![link.position, link.mac, id].to_vec();
        let changed = self.execute_each(
            "UPDATE audit SET position = $1, mac = $2, written = NULL WHERE id = $3 AND position IS NULL",
            &links.iter().map(set).collect::<Vec<_>>(),
        )?;
        Ok(changed.iter().all(|changed| *changed == 1))
    }

    /// Whether committed outbox rows wait for their place.
    pub fn outbox_has_unsealed(&mut self) -> Result<bool, StoreError> {
        let found = self.query("SELECT 1 FROM outbox WHERE position IS NULL LIMIT 1", params![], |row| {
            row.get::<i64>(0)
        })?;
        Ok(!found.is_empty())
    }

    /// Gives committed outbox rows their places, in the order in which they were written, above every place that was
    /// ever given. Returns how many got one.
    pub fn outbox_seal(&mut self, limit: i64) -> Result<u64, StoreError> {
        let waiting: Vec<i64> = self.query(
            "SELECT seq FROM outbox WHERE position IS NULL ORDER BY seq LIMIT $1",
            params![limit],
            |row| row.get(0),
        )?;
        if waiting.is_empty() {
            return Ok(0);
        }
        let mut position = self.outbox_last()?;
        let mut places = Vec::with_capacity(waiting.len());
        for seq in &waiting {
            position = next_position(position)?;
            places.push(params![position, seq].to_vec());
        }
        self.execute_each("UPDATE outbox SET position = $1 WHERE seq = $2 AND position IS NULL", &places)?;
        self.installation_set(OUTBOX_HEAD, &position.to_be_bytes())?;
        Ok(waiting.len() as u64)
    }

    /// Returns the last position that was given to an event.
    pub fn outbox_last(&mut self) -> Result<i64, StoreError> {
        let last: Option<i64> =
            self.query_one("SELECT max(position) FROM outbox", params![], |row| row.get(0))?;
        let kept = match self.installation(OUTBOX_HEAD)? {
            Some(kept) => kept.try_into().map_err(|_| StoreError::corrupt("the head of the outbox"))?,
            None => [0; 8],
        };
        Ok(i64::from_be_bytes(kept).max(last.unwrap_or(0)))
    }
}

/// Returns the place after `position`.
fn next_position(position: i64) -> Result<i64, StoreError> {
    position.checked_add(1).ok_or_else(|| StoreError::corrupt("a position beyond the last possible one"))
}
