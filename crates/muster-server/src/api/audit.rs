//! `/v1/audit`: what was done, in its sealed order.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_store::rows::{AuditFilter, SealedAuditRow};
use muster_wire::audit::AuditEntry;
use muster_wire::page::{Order, Page, PageLimit};
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};

const OLDEST_FIRST: &str = "audit";
const NEWEST_FIRST: &str = "audit.desc";

/// The query of the audit list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Only this action.
    pub action: Option<Line<64>>,
    /// Only what was done to this.
    pub target: Option<Line<128>>,
    /// Which end comes first: `asc`, the oldest, when not said.
    pub order: Option<Order>,
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
    let order = query.order.unwrap_or_default();
    // The cursor is of one order: in the other it would go back to where it came from.
    let list = match order {
        Order::Asc => OLDEST_FIRST,
        Order::Desc => NEWEST_FIRST,
    };
    let after: Option<i64> = open_cursor(&app, actor.team_id, list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let text = |line: &str| line.to_owned();
    let filter = AuditFilter {
        action: query.action.as_ref().map(Line::as_str).map(text),
        target: query.target.as_ref().map(Line::as_str).map(text),
    };
    let rows = app.look(move |tx| tx.audit_page(actor.team_id, &filter, order, after, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, list, rows, limit, |row| row.position, view)?))
}

fn view(sealed: SealedAuditRow) -> AuditEntry {
    let row = sealed.row;
    AuditEntry {
        id: row.id,
        position: sealed.position,
        at: row.at,
        actor: row.actor,
        source: row.source,
        action: row.action,
        target: row.target,
        outcome: row.outcome,
        // What is not JSON was changed behind the server's back, and is shown as it is.
        details: serde_json::from_str(&row.details).unwrap_or(Value::String(row.details)),
    }
}
