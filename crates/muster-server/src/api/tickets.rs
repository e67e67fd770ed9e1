//! `/v1/tickets`: what opens the doors, and why it did not.

pub mod explain;
pub mod leak;

use axum::extract::State;
use muster_http::{Problem, Reply, StrictPath, StrictQuery};
use muster_ids::{SiteId, TicketId};
use muster_store::rows::{RefusalRow, TicketFilter};
use muster_store::{Lock, LockKey};
use muster_wire::bounds::AnyOf;
use muster_wire::page::{Order, Page, PageLimit};
use muster_wire::permission::Permission;
use muster_wire::refusal::TicketRefusal;
use muster_wire::ticket::{Ticket, TicketKind, TicketStatus};
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{in_order, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::{revoke_unused, view};
use crate::failure::Failure;

const LIST: &str = "tickets";

/// The ticket of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TicketPath {
    /// The ticket.
    pub ticket_id: TicketId,
}

/// The query of the list of tickets.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct TicketQuery {
    /// Only of this door.
    pub kind: Option<TicketKind>,
    /// Only those that stand here, or at one of these between commas: `open,expired`.
    pub status: Option<AnyOf<TicketStatus>>,
    /// Only those that lead to this site.
    pub site_id: Option<SiteId>,
    /// Which end comes first: `asc`, the oldest, when not said.
    pub order: Option<Order>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /v1/tickets`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<TicketQuery>,
) -> Result<Reply<Page<Ticket>>, Problem> {
    let now = app.clock.now();
    let order = query.order.unwrap_or_default();
    let list = in_order(LIST, order);
    let after = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let statuses = query.status.map(AnyOf::into_vec).unwrap_or_default();
    let filter = TicketFilter { kind: query.kind, statuses, site_id: query.site_id };
    let rows =
        app.look(move |tx| tx.tickets_shown(actor.team_id, &filter, order, after, limit + 1, now)).await?;
    let key = |shown: &muster_store::rows::ShownTicket| (shown.row.created_at, shown.row.ticket.id);
    Ok(Reply::new(page(&app, actor.team_id, &list, rows, limit, key, |shown| view(shown, now))?))
}

/// `GET /v1/tickets/{ticket_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<TicketPath>,
) -> Result<Reply<Ticket>, Problem> {
    let shown = app.look(move |tx| tx.ticket_shown(actor.team_id, &path.ticket_id)).await?;
    Ok(Reply::new(view(shown.ok_or(Failure::NotFound)?, app.clock.now())))
}

/// `POST /v1/tickets/{ticket_id}/revoke`
pub async fn revoke(
    State(app): State<App>,
    actor: Actor<permits::MintTokens>,
    StrictPath(path): StrictPath<TicketPath>,
) -> Result<Reply<Ticket>, Problem> {
    let now = app.clock.now();
    let ticket = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Ticket(path.ticket_id))])?;
            let found = unit.tx.ticket_shown(actor.team_id, &path.ticket_id)?.ok_or(Failure::NotFound)?;
            actor.must_cover(to_revoke(found.row.ticket.kind))?;
            revoke_unused(unit, actor.team_id, &path.ticket_id, &actor.author())?;
            let shown = unit.tx.ticket_shown(actor.team_id, &path.ticket_id)?;
            Ok(view(shown.ok_or(Failure::NotFound)?, now))
        })
        .await?;
    Ok(Reply::new(ticket))
}

/// Returns what it takes to revoke a ticket: what it takes to mint it.
const fn to_revoke(kind: TicketKind) -> Permission {
    match kind {
        TicketKind::EnrolmentToken => Permission::MintTokens,
        TicketKind::RegistrationToken => Permission::ManageHosts,
        TicketKind::SiteKey => Permission::ManageSiteKeys,
    }
}

/// `GET /v1/tickets/{ticket_id}/refusals`
pub async fn refusals(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<TicketPath>,
) -> Result<Reply<Page<TicketRefusal>>, Problem> {
    // What is shown is what the machines were told until now.
    app.tally.write_if_possible(&app).await;
    let refusals = app
        .look(move |tx| match tx.ticket_shown(actor.team_id, &path.ticket_id)? {
            Some(_) => tx.refusals(&path.ticket_id).map(Some),
            None => Ok(None),
        })
        .await?;
    let items = refusals.ok_or(Failure::NotFound)?.into_iter().map(refusal).collect();
    Ok(Reply::new(Page { items, next_cursor: None }))
}

fn refusal(row: RefusalRow) -> TicketRefusal {
    TicketRefusal {
        cause: row.cause,
        count: row.count,
        first_at: row.first_at,
        last_at: row.last_at,
        last_source: row.last_source,
        last_request_id: row.last_request_id,
    }
}
