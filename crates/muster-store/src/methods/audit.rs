//! The audit trail and the outbox: rows are added without a place and read once they have one.

use muster_ids::{AuditId, EventId, TeamId, Timestamp};
use muster_wire::page::Order;
use serde_json::Value as Payload;

use crate::{Json, Row, StoreError, Tx, Value, params};

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
    /// Details that are not secret: JSON, as the text that is stored and chained.
    pub details: String,
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
    pub payload: Payload,
}

/// An audit row with its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct SealedAuditRow {
    /// Its place: dense, without gaps.
    pub position: u64,
    /// The row.
    pub row: AuditRow,
}

/// Which audit rows to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// Only this action.
    pub action: Option<String>,
    /// Only what was done to this.
    pub target: Option<String>,
}

impl AuditRow {
    /// Returns the text the chain covers: every stored column, length-prefixed.
    pub fn chained_text(&self) -> Vec<u8> {
        let mut text = Vec::new();
        let id = self.id.to_string();
        let team = self.team_id.to_string();
        let at = self.at.as_millis().to_string();
        let fields: [&str; 9] = [
            &id,
            &team,
            &at,
            &self.actor,
            &self.source,
            &self.action,
            &self.target,
            &self.outcome,
            &self.details,
        ];
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
                row.id,
                row.team_id,
                row.at,
                row.actor,
                row.source,
                row.action,
                row.target,
                row.outcome,
                row.details
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

    /// Returns audit rows of a team in order of their positions, after `after` or from the end of the order.
    pub fn audit_page(
        &mut self,
        team_id: TeamId,
        filter: &AuditFilter,
        order: Order,
        after: Option<i64>,
        limit: i64,
    ) -> Result<Vec<SealedAuditRow>, StoreError> {
        let (action, target) = (&filter.action, &filter.target);
        let after = after.unwrap_or(match order {
            Order::Asc => 0,
            Order::Desc => i64::MAX,
        });
        // One text a filter, so that each reads only what it shows, from its own index.
        match (target, action) {
            (Some(target), action) => {
                self.sealed_rows(of_a_target(order), params![team_id, after, limit, target, action])
            }
            (None, Some(action)) => {
                self.sealed_rows(of_an_action(order), params![team_id, after, limit, action])
            }
            (None, None) => self.sealed_rows(of_a_team(order), params![team_id, after, limit]),
        }
    }

    fn sealed_rows(
        &mut self,
        sql: &'static str,
        params: &[Value],
    ) -> Result<Vec<SealedAuditRow>, StoreError> {
        self.query(sql, params, |row| Ok(SealedAuditRow { position: row.get(9)?, row: read_audit(row)? }))
    }
}

const fn of_a_team(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position > $2
              ORDER BY position LIMIT $3"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position < $2
              ORDER BY position DESC LIMIT $3"
        }
    }
}

const fn of_an_action(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position > $2 AND action = $4
              ORDER BY position LIMIT $3"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position < $2 AND action = $4
              ORDER BY position DESC LIMIT $3"
        }
    }
}

const fn of_a_target(order: Order) -> &'static str {
    match order {
        Order::Asc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position > $2 AND target = $4
                AND (CAST($5 AS TEXT) IS NULL OR action = $5)
              ORDER BY position LIMIT $3"
        }
        Order::Desc => {
            "SELECT id, team_id, at, actor, source, action, target, outcome, details, position FROM audit
              WHERE team_id = $1 AND position < $2 AND target = $4
                AND (CAST($5 AS TEXT) IS NULL OR action = $5)
              ORDER BY position DESC LIMIT $3"
        }
    }
}

/// Takes an audit row from the columns id, team_id, at, actor, source, action, target, outcome, details.
pub(super) fn read_audit(row: &Row<'_>) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        at: row.get(2)?,
        actor: row.get(3)?,
        source: row.get(4)?,
        action: row.get(5)?,
        target: row.get(6)?,
        outcome: row.get(7)?,
        details: row.get(8)?,
    })
}
