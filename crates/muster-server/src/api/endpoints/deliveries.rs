//! The log of deliveries, and deliveries that are asked for again.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::{DeliveryId, EndpointId, Timestamp};
use muster_store::rows::{EndpointRow, NOT_ITS_TURN, ShownDelivery};
use muster_wire::endpoint::{DeliveryState, EventDelivery, Redeliver, Redelivering};
use muster_wire::happening::Happening;
use muster_wire::page::{Page, PageLimit};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::super::page::{limit, open_cursor, page};
use super::EndpointPath;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::endpoints::locked;
use crate::failure::Failure;
use crate::unit::{Fact, Unit};

/// Deliveries that one transaction asks for again.
const BATCH: i64 = 500;
/// Deliveries that one request asks for again: the oldest; ask again for the rest.
const MOST: u64 = 10_000;

/// The delivery of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeliveryPath {
    /// The endpoint.
    pub endpoint_id: EndpointId,
    /// The delivery.
    pub delivery_id: DeliveryId,
}

/// The query of the log of deliveries.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct DeliveryQuery {
    /// Only those that stand here.
    pub state: Option<DeliveryState>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `GET /v1/endpoints/{endpoint_id}/deliveries`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
    StrictQuery(query): StrictQuery<DeliveryQuery>,
) -> Result<Reply<Page<EventDelivery>>, Problem> {
    // A cursor of one endpoint's log says nothing about another's.
    let list = format!("deliveries {}", path.endpoint_id);
    let before = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app
        .look(move |tx| match tx.endpoint(actor.team_id, path.endpoint_id)? {
            Some(endpoint) => {
                let rows = tx.deliveries_page(endpoint.id, query.state, before, limit + 1)?;
                Ok(Some((rows, tries_from(&endpoint))))
            }
            None => Ok(None),
        })
        .await?;
    let (rows, tries_from) = rows.ok_or(Failure::NotFound)?;
    let view = |shown| view(shown, tries_from);
    Ok(Reply::new(page(&app, actor.team_id, &list, rows, limit, |shown| shown.row.position, view)?))
}

/// `POST /v1/endpoints/{endpoint_id}/deliveries/{delivery_id}/redeliver`
pub async fn redeliver(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<DeliveryPath>,
) -> Result<Reply<EventDelivery>, Problem> {
    let delivery = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let endpoint = locked(unit, actor, path.endpoint_id)?;
            unit.tx.delivery(endpoint.id, path.delivery_id)?.ok_or(Failure::NotFound)?;
            if !unit.tx.delivery_again(endpoint.id, path.delivery_id, unit.now)? {
                let detail = "the delivery still waits, or its event is not kept any more";
                return Err(Failure::conflict("not_redeliverable", detail));
            }
            asked_again(unit, actor, &endpoint, 1)?;
            let shown = unit.tx.delivery(endpoint.id, path.delivery_id)?.ok_or(Failure::NotFound)?;
            Ok(view(shown, unit.now))
        })
        .await?;
    app.news.deliveries.notify_one();
    Ok(Reply::new(delivery))
}

/// `POST /v1/endpoints/{endpoint_id}/redeliver`
pub async fn redeliver_since(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
    StrictJson(request): StrictJson<Redeliver>,
) -> Result<Reply<Redelivering>, Problem> {
    let mut count = 0;
    loop {
        let asked = actor
            .clone()
            .change(&app, app.clock.now(), move |unit, actor| {
                let endpoint = locked(unit, actor, path.endpoint_id)?;
                let asked = unit.tx.deliveries_again(endpoint.id, request.since, unit.now, BATCH)?;
                if asked > 0 {
                    asked_again(unit, actor, &endpoint, asked)?;
                }
                Ok(asked)
            })
            .await?;
        count += asked;
        if asked < BATCH.unsigned_abs() || count >= MOST {
            break;
        }
    }
    app.news.deliveries.notify_one();
    Ok(Reply::new(Redelivering { count }))
}

fn asked_again(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<permits::ManageEndpoints>,
    endpoint: &EndpointRow,
    count: u64,
) -> Result<(), Failure> {
    if endpoint.kind.is_for_programs() {
        unit.tx.delivery_lines_settle(endpoint.id, unit.now)?;
    }
    unit.tx.endpoint_try_now(endpoint.id)?;
    let fact = Fact::new(Happening::DeliveryAskedAgain, actor.team_id, &actor.author(), endpoint.id);
    unit.happened(fact.details(json!({ "count": count })));
    Ok(())
}

/// When an endpoint is tried again at the earliest.
fn tries_from(endpoint: &EndpointRow) -> Timestamp {
    endpoint.next_try_at.max(endpoint.next_look_at)
}

fn view(shown: ShownDelivery, tries_from: Timestamp) -> EventDelivery {
    let row = shown.row;
    let is_waiting = row.state == DeliveryState::Waiting && row.next_at != NOT_ITS_TURN;
    EventDelivery {
        id: row.id,
        event_id: row.event_id,
        position: u64::try_from(row.position).unwrap_or_default(),
        kind: shown.kind,
        host_id: shown.host_id,
        state: row.state,
        attempts: row.attempts.unsigned_abs(),
        next_at: is_waiting.then_some(row.next_at.max(tries_from)),
        last_at: row.last_at,
        last_status: row.last_status,
        last_error: row.last_error,
        created_at: row.created_at,
        done_at: row.done_at,
    }
}
