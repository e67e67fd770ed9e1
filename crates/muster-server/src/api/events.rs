//! `/v1/events`: what happened, page by page, or as it happens.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_ids::HostId;
use muster_store::rows::EventFilter;
use muster_wire::event::{Event, EventKind, KindList, Position};
use muster_wire::happening::Happening;
use muster_wire::page::{Order, Page, PageLimit};
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::event_stream::{self, EventStream, LastEventId, place};
use crate::events::view;
use crate::problems::too_many_streams;

const OLDEST_FIRST: &str = "events";
const NEWEST_FIRST: &str = "events.desc";

/// The query of the list of events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct EventQuery {
    /// Only of these kinds, between commas.
    pub kind: Option<KindList>,
    /// Only about this host.
    pub host_id: Option<HostId>,
    /// Only what happened to this.
    pub subject: Option<Line<128>>,
    /// Only after this position.
    pub after: Option<Position>,
    /// Which end comes first: `asc`, the oldest, when not said.
    pub order: Option<Order>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The query of the stream of events.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct EventStreamQuery {
    /// Only of these kinds, between commas.
    pub kind: Option<KindList>,
    /// Only about this host.
    pub host_id: Option<HostId>,
    /// Only what happened to this.
    pub subject: Option<Line<128>>,
    /// After this position, as `Last-Event-ID` says it; from now on when neither is said.
    pub after: Option<Position>,
}

fn filter(
    kind: Option<&KindList>,
    host_id: Option<HostId>,
    subject: Option<&Line<128>>,
    after: Option<Position>,
) -> EventFilter {
    EventFilter {
        kinds: kind.map(KindList::words).unwrap_or_default(),
        host_id,
        subject: subject.map(|subject| subject.as_str().to_owned()),
        after: after.map_or(0, place),
    }
}

/// `GET /v1/events`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ReadEvents>,
    StrictQuery(query): StrictQuery<EventQuery>,
) -> Result<Reply<Page<Event>>, Problem> {
    let order = query.order.unwrap_or_default();
    // The cursor is of one order: in the other it would go back to where it came from.
    let list = match order {
        Order::Asc => OLDEST_FIRST,
        Order::Desc => NEWEST_FIRST,
    };
    let cursor: Option<i64> = open_cursor(&app, actor.team_id, list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let filter = filter(query.kind.as_ref(), query.host_id, query.subject.as_ref(), query.after);
    let rows = app.look(move |tx| tx.events_page(actor.team_id, &filter, order, cursor, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, list, rows, limit, |row| row.position, view)?))
}

/// `GET /v1/events/stream`
pub async fn stream(
    State(app): State<App>,
    actor: Actor<permits::ReadEvents>,
    last: LastEventId,
    StrictQuery(query): StrictQuery<EventStreamQuery>,
) -> Result<EventStream, Problem> {
    let filter = filter(query.kind.as_ref(), query.host_id, query.subject.as_ref(), None);
    let after = last.0.or(query.after.map(place));
    event_stream::open(&app, actor, filter, after).await?.ok_or_else(too_many_streams)
}

/// `GET /v1/event-kinds`
pub async fn kinds(_: Actor<permits::SeeFleet>) -> Result<Reply<Page<EventKind>>, Problem> {
    let told = Happening::ALL.iter().filter(|kind| kind.is_told());
    let items = told.map(|kind| EventKind { kind: kind.as_str().to_owned(), says: kind.says().to_owned() });
    Ok(Reply::new(Page { items: items.collect(), next_cursor: None }))
}
