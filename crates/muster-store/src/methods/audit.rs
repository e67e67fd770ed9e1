//! The audit trail, the outbox and the sealer that gives their rows a place.

use muster_ids::{AuditId, EventId, TeamId, Timestamp};
use serde_json::Value as Details;
use uuid::Uuid;

use crate::{Json, Row, StoreError, Tx, params};

/// An audit row before it is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditRow {
    /// Names it.
    pub id: AuditId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// From where.
    pub source: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// How it ended.
    pub outcome: String,
    /// Details that are not secret.
    pub details: Details,
}

/// An outbox row before it is sealed.
#[derive(Debug, Clone, PartialEq)]
pub struct OutboxRow {
    /// Names it.
    pub id: EventId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// Details that are not secret.
    pub payload: Details,
}

/// An audit row with its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedAuditRow {
    /// Its place: dense, without gaps.
    pub position: i64,
    /// The row.
    pub row: AuditRow,
}

/// The last link of the audit chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainHead {
    /// Its place; 0 before the first.
    pub position: i64,
    /// Its MAC; zeros before the first.
    pub mac: [u8; 32],
}

impl AuditRow {
    /// Returns the text the chain covers: every stored column, length-prefixed.
    pub fn chained_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let details = self.details.to_string();
        let id = self.id.to_string();
        let team = self.team_id.to_string();
        let at = self.at.as_millis().to_string();
        let fields: [&str; 9] =
            [&id, &team, &at, &self.actor, &self.source, &self.action, &self.target, &self.outcome, &details];
        for field in fields {
            text.extend_from_slice(&(field.len() as u64).to_be_bytes());
            text.extend_from_slice(field.as_bytes());
        }
        text
    }
}

impl Tx<'_> {
    /// Writes an audit row; last in its transaction, before outbox rows.
    pub fn audit_insert(&mut self, row: &AuditRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO audit (id, team_id, at, actor, source, action, target, outcome, details)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            params![
                row.id, row.team_id, row.at, row.actor, row.source, row.action, row.target, row.outcome,
                Json(&row.details)
            ],
        )?;
        Ok(())
    }

    /// Writes an outbox row; last in its transaction.
    pub fn outbox_insert(&mut self, row: &OutboxRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO outbox (id, team_id, at, kind, subject, payload) VALUES ($1, $2, $3, $4, $5, $6)",
            params![row.id, row.team_id, row.at, row.kind, row.subject, Json(&row.payload)],
        )?;
        Ok(())
    }

    /// Returns audit rows of a team in order of their positions, after `after`.
    pub fn audit_page(
        &mut self,
        team_id: TeamId,
        after: i64,
        action: Option<&str>,
        target: Option<&str>,
        limit: i64,
    ) -> Result<Vec<SealedAuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position > $2
                AND (CAST($3 AS TEXT) IS NULL OR action = $3) AND (CAST($4 AS TEXT) IS NULL OR target = $4)
              ORDER BY position LIMIT $5",
            params![team_id, after, action, target, limit],
            |row| Ok(SealedAuditRow { position: row.get(9)?, row: read_audit(row)? }),
        )
    }

    /// Returns committed audit rows without a place, in the order they will get one.
    pub fn audit_unsealed(&mut self, limit: i64) -> Result<Vec<AuditRow>, StoreError> {
        self.query(
            "SELECT id, team_id, at, actor, source, action, target, outcome, details FROM audit
              WHERE position IS NULL ORDER BY id LIMIT $1",
            params![limit],
            read_audit,
        )
    }

    /// Returns the last link of the audit chain.
    pub fn audit_head(&mut self) -> Result<ChainHead, StoreError> {
        let head = self.query_opt(
            "SELECT position, mac FROM audit WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1",
            params![],
            |row| Ok(ChainHead { position: row.get(0)?, mac: row.get(1)? }),
        )?;
        Ok(head.unwrap_or(ChainHead { position: 0, mac: [0; 32] }))
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
        let found = self
            .query("SELECT 1 FROM outbox WHERE position IS NULL LIMIT 1", params![], |row| row.get::<i64>(0))?;
        Ok(!found.is_empty())
    }

    /// Gives committed outbox rows their places, in order. Returns how many got one.
    pub fn outbox_seal(&mut self, limit: i64) -> Result<u64, StoreError> {
        let last: Option<i64> =
            self.query_one("SELECT max(position) FROM outbox", params![], |row| row.get(0))?;
        let ids: Vec<EventId> = self.query(
            "SELECT id FROM outbox WHERE position IS NULL ORDER BY id LIMIT $1",
            params![limit],
            |row| row.get(0),
        )?;
        for (position, id) in (last.unwrap_or(0) + 1..).zip(&ids) {
            self.execute(
                "UPDATE outbox SET position = $1 WHERE id = $2 AND position IS NULL",
                params![position, id],
            )?;
        }
        Ok(ids.len() as u64)
    }

    /// Takes or renews a lease until `until`. `false`: somebody else holds it.
    pub fn lease_take(
        &mut self,
        name: &str,
        holder: Uuid,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO lease (name, holder, until) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
              WHERE lease.holder = excluded.holder OR lease.until < $4",
            params![name, holder, until, now],
        )?;
        Ok(changed == 1)
    }
}

fn read_audit(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        at: row.get(2)?,
        actor: row.get(3)?,
        source: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        outcome: row.get(7)?,
        details: row.get::<Json<Details>>(8)?.0,
    })
}
