//! The audit trail and the outbox: rows are added without a place and read once they have one.

use muster_ids::{AuditId, EventId, HostId, TeamId, Timestamp};
use serde_json::Value as Payload;

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
    /// In which role, if in one; none in rows of before there were roles.
    pub role: Option<String>,
    /// From where.
    pub source: String,
    /// What.
    pub action: String,
    /// On what.
    pub target: String,
    /// How it ended.
    pub outcome: String,
    /// Names of the fields that changed: a JSON list; none in rows of before they were written.
    pub changed: Option<String>,
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
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
    /// The host it is about, if it is about one.
    pub host_id: Option<HostId>,
    /// Who did it.
    pub actor: String,
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
        let host_id = self.host_id.map(|host_id| host_id.to_string());
        // Rows of before have none of them; one that loses any has another text.
        let later = match (&self.role, &self.changed, &host_id) {
            (None, None, None) => Vec::new(),
            (role, changed, host_id) => {
                [role, changed, host_id].map(|field| marked(field.as_deref())).to_vec()
            }
        };
        for field in fields.into_iter().chain(later.iter().map(String::as_str)) {
            text.extend_from_slice(&(field.len() as u64).to_be_bytes());
            text.extend_from_slice(field.as_bytes());
        }
        text
    }
}

fn marked(field: Option<&str>) -> String {
    field.map_or_else(|| "-".to_owned(), |text| format!("+{text}"))
}

impl Tx<'_> {
    /// Writes an audit row; last in its transaction, before outbox rows. `written` proves who did.
    pub fn audit_insert(&mut self, row: &AuditRow, written: &[u8]) -> Result<(), StoreError> {
        self.audit_insert_all(&[(row.clone(), written.to_vec())])
    }

    /// Writes audit rows, each with what proves who wrote it; last in their transaction, before outbox rows.
    pub fn audit_insert_all(&mut self, rows: &[(AuditRow, Vec<u8>)]) -> Result<(), StoreError> {
        let values = |(row, written): &(AuditRow, Vec<u8>)| {
            let values: &[_] = params![
                row.id,
                row.team_id,
                row.at,
                row.actor,
                row.source,
                row.action,
                row.target,
                row.outcome,
                row.details,
                row.role,
                row.changed,
                row.host_id,
                written
            ];
            values.to_vec()
        };
        self.insert_rows(
            "INSERT INTO audit (id, team_id, at, actor, source, action, target, outcome, details, role, changed,
                                host_id, written)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            &rows.iter().map(values).collect::<Vec<_>>(),
        )?;
        Ok(())
    }

    /// Writes an outbox row; last in its transaction.
    pub fn outbox_insert(&mut self, row: &OutboxRow) -> Result<(), StoreError> {
        self.outbox_insert_all(std::slice::from_ref(row))
    }

    /// Writes outbox rows; last in their transaction.
    pub fn outbox_insert_all(&mut self, rows: &[OutboxRow]) -> Result<(), StoreError> {
        let values = |row: &OutboxRow| {
            let values: &[_] = params![
                row.id,
                row.team_id,
                row.at,
                row.kind,
                row.subject,
                row.host_id,
                row.actor,
                Json(&row.payload)
            ];
            values.to_vec()
        };
        self.insert_rows(
            "INSERT INTO outbox (id, team_id, at, kind, subject, host_id, actor, payload)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            &rows.iter().map(values).collect::<Vec<_>>(),
        )?;
        Ok(())
    }
}

/// Takes an audit row from the columns id, team_id, at, actor, source, action, target, outcome, details, role,
/// changed, host_id.
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
        role: row.get(9)?,
        changed: row.get(10)?,
        host_id: row.get(11)?,
    })
}
