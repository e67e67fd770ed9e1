//! `/v1/audit`: what was done, in its sealed order; and whether it is still what was sealed.

mod export;
mod verify;

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_ids::{HostId, Timestamp};
use muster_store::rows::{AuditFilter, AuditRow};
use muster_wire::audit::{ActionList, AuditEntry};
use muster_wire::event::Position;
use muster_wire::page::{Order, Page, PageLimit};
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::event_stream::place;

pub use export::{AuditLines, export};
pub use verify::verify;

const OLDEST_FIRST: &str = "audit";
const NEWEST_FIRST: &str = "audit.desc";

/// The query of the audit list.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct AuditQuery {
    /// Only these actions, between commas.
    pub action: Option<ActionList>,
    /// Only what was done to this.
    pub target: Option<Line<128>>,
    /// Only what is about this host.
    pub host_id: Option<HostId>,
    /// Only what this one did: a person, a host, or `system`.
    pub actor: Option<Line<128>>,
    /// Only what ended like this: `ok`, or the code of a refusal.
    pub outcome: Option<Line<64>>,
    /// Nothing from before this time.
    pub since: Option<Timestamp>,
    /// Only what is from before this time.
    pub until: Option<Timestamp>,
    /// Only what comes after this position.
    pub after: Option<Position>,
    /// Which end comes first: `asc`, the oldest, when not said.
    pub order: Option<Order>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

impl AuditQuery {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            actions: self.action.as_ref().map(ActionList::words).unwrap_or_default(),
            target: self.target.as_ref().map(ToString::to_string),
            host_id: self.host_id,
            actor: self.actor.as_ref().map(ToString::to_string),
            outcome: self.outcome.as_ref().map(ToString::to_string),
            since: self.since,
            until: self.until,
            after: self.after.map_or(0, place),
        }
    }
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
    let (limit, filter) = (limit(query.limit), query.filter());
    let rows = app.look(move |tx| tx.audit_page(actor.team_id, &filter, order, after, limit + 1)).await?;
    let view = |sealed: muster_store::rows::SealedAuditRow| view(sealed.position, sealed.row);
    Ok(Reply::new(page(&app, actor.team_id, list, rows, limit, |row| row.position, view)?))
}

/// Shows a row as operators read it.
fn view(position: u64, row: AuditRow) -> AuditEntry {
    AuditEntry {
        id: row.id,
        team_id: row.team_id,
        position,
        at: row.at,
        actor: row.actor,
        role: row.role.filter(|role| !role.is_empty()),
        source: row.source,
        action: row.action,
        target: row.target,
        host_id: row.host_id,
        outcome: row.outcome,
        changed: row.changed.and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default(),
        // What is not JSON was changed behind the server's back, and is shown as it is.
        details: serde_json::from_str(&row.details).unwrap_or(Value::String(row.details)),
    }
}
