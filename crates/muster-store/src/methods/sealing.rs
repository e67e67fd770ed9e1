//! What the sealer does: committed rows get their place, and the last place is kept outside of their tables, so that a
//! tail that is cut off is noticed and no place is given twice.

use muster_ids::AuditId;

use super::audit::{AuditRow, read_audit};
use crate::{StoreError, Tx, params};

/// The fact that holds the last link of the audit chain: its position and its MAC.
const AUDIT_HEAD: &str = "audit_head";
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

impl Tx<'_> {
    /// Returns committed audit rows without a place, in the order in which they were written.
    pub fn audit_unsealed(&mut self, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details FROM audit
              WHERE position IS NULL ORDER BY seq LIMIT $1",
            params![limit],
            read_audit,
        )
    }

    /// Returns the last link of the audit chain as it is kept outside of the table.
    pub fn audit_head(&mut self) -> Result<ChainHead, StoreError> {
        let Some(kept) = self.installation(AUDIT_HEAD)? else { return Ok(ChainHead::START) };
        let parts =
            kept.split_first_chunk().and_then(|(position, mac)| Some((*position, mac.try_into().ok()?)));
        let (position, mac) = parts.ok_or_else(|| StoreError::corrupt("the head of the audit chain"))?;
        Ok(ChainHead { position: i64::from_be_bytes(position), mac })
    }

    /// Keeps the last link of the audit chain, in the transaction that made it.
    pub fn audit_head_keep(&mut self, head: &ChainHead) -> Result<(), StoreError> {
        let kept = [&head.position.to_be_bytes()[..], &head.mac].concat();
        self.installation_set(AUDIT_HEAD, &kept)
    }

    /// Returns the last link of the audit chain that the table holds.
    pub fn audit_last(&mut self) -> Result<ChainHead, StoreError> {
        let last = self.query_opt(
            "SELECT position, mac FROM audit WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1",
            params![],
            |row| Ok(ChainHead { position: row.get(0)?, mac: row.get(1)? }),
        )?;
        Ok(last.unwrap_or(ChainHead::START))
    }

    /// Gives an audit row its place. `false`: it has one.
    pub fn audit_seal(&mut self, id: AuditId, link: &ChainHead) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE audit SET position = $1, mac = $2 WHERE id = $3 AND position IS NULL",
            params![link.position, link.mac, id],
        )?;
        Ok(changed == 1)
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
        for seq in &waiting {
            position = next_position(position)?;
            self.execute(
                "UPDATE outbox SET position = $1 WHERE seq = $2 AND position IS NULL",
                params![position, seq],
            )?;
        }
        self.installation_set(OUTBOX_HEAD, &position.to_be_bytes())?;
        Ok(waiting.len() as u64)
    }

    fn outbox_last(&mut self) -> Result<i64, StoreError> {
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
