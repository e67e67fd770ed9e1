//! `/v1/audit`: what was done, in its sealed order.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_store::rows::SealedAuditRow;
use muster_wire::audit::AuditEntry;
use muster_wire::page::{Page, PageLimit};
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};

const LIST: &str = "audit";

/// The query of the audit list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Only this action.
    pub action: Option<Line<64>>,
    /// Only what was done to this.
    pub target: Option<Line<128>>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /v1/audit`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ReadAudit>,
    StrictQuery(query): StrictQuery<AuditQuery>,
) -> Result<Reply<Page<AuditEntry>>, Problem> {
    let after: i64 = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?.unwrap_or(0);
    let limit = limit(query.limit);
    let rows = app
        .look(move |tx| {
            let action = query.action.as_ref().map(Line::as_str);
            tx.audit_page(actor.team_id, after, action, query.target.as_ref().map(Line::as_str), limit + 1)
        })
        .await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.position, view)?))
}

fn view(sealed: SealedAuditRow) -> AuditEntry {
    let row = sealed.row;
    AuditEntry {
        id: row.id,
        position: u64::try_from(sealed.position).unwrap_or(0),
        at: row.at,
        actor: row.actor,
        source: row.source,
        action: row.action,
        target: row.target,
        outcome: row.outcome,
        details: row.details,
    }
}
