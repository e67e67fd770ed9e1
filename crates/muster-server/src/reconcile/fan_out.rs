//! The fan-out: makes a delivery of every event for every endpoint that hears of it.

use std::collections::HashSet;
use std::time::Duration;

use muster_domain::delivery::MOST_WAITING;
use muster_domain::quiet;
use muster_ids::{DeliveryId, EndpointId, TeamId};
use muster_store::rows::{EndpointRow, EventDeliveryRow, EventRow, NOT_ITS_TURN};
use muster_store::{Lock, LockKey, Priority, StoreError};
use muster_wire::endpoint::DeliveryState;
use muster_wire::happening::Happening;
use tokio_util::sync::CancellationToken;

use super::deliver_one::tell_of_failing;
use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::unit::Unit;

/// For events whose nudge was lost.
const EVERY: Duration = Duration::from_secs(2);
/// Endpoints of one round.
const ENDPOINTS: i64 = 100;
/// Events that one transaction spreads to one endpoint.
const BATCH: i64 = 250;
const TOO_MANY: &str = "more waits for it than is kept";

/// Spreads events until `shutdown`: at every nudge of the sealer.
pub async fn fan_out(app: App, shutdown: CancellationToken) {
    let pace = Pace { every: EVERY, nudge: Some(&app.news.endpoints) };
    let step = async |app: App| Ok(if spread(&app).await? > 0 { Step::More } else { Step::Done });
    run(&app, Reconciler::FanOut, pace, &shutdown, step).await;
}

/// Takes every endpoint that has news one batch further. Returns how many endpoints that were.
pub async fn spread(app: &App) -> Result<usize, Failure> {
    spread_keeping(app, MOST_WAITING).await
}

/// Like [`spread`], with at most so many deliveries that wait for an endpoint.
pub async fn spread_keeping(app: &App, most_waiting: u64) -> Result<usize, Failure> {
    let found = app.look(|tx| tx.endpoints_with_news(ENDPOINTS)).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let taken = each(
        found,
        |(_, endpoint_id)| endpoint_id.to_string(),
        |(team_id, endpoint_id)| spread_to(app, team_id, endpoint_id, most_waiting),
    )
    .await;
    app.news.deliveries.notify_one();
    taken
}

async fn spread_to(
    app: &App,
    team_id: TeamId,
    endpoint_id: EndpointId,
    most_waiting: u64,
) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(endpoint_id))])?;
        let endpoint = unit.tx.endpoint(team_id, endpoint_id)?;
        let Some(endpoint) = endpoint.filter(|endpoint| endpoint.paused_at.is_none()) else { return Ok(()) };
        let events = unit.tx.events_after(team_id, endpoint.position, BATCH)?;
        let Some(last) = events.last().map(|event| event.position) else { return Ok(()) };
        let mut waiting = HashSet::new();
        for event in events.iter().filter(|event| hears_of(&endpoint, event)) {
            let row = delivery(unit, &endpoint, event, &mut waiting)?;
            unit.tx.delivery_insert(&row)?;
            if !endpoint.kind.is_for_programs() {
                unit.tx.endpoint_look_by(endpoint_id, row.next_at)?;
            }
        }
        give_up_beyond(unit, &endpoint, most_waiting)?;
        if unit.tx.endpoint_advance(endpoint_id, endpoint.position, last)? {
            Ok(())
        } else {
            Err(StoreError::Conflict.into())
        }
    })
    .await
}

/// Gives up the oldest of what waits for an endpoint that takes less than what happens.
fn give_up_beyond(unit: &mut Unit<'_, '_>, endpoint: &EndpointRow, most_waiting: u64) -> Result<(), Failure> {
    let most_counted = most_waiting + BATCH.unsigned_abs();
    let too_many = unit.tx.deliveries_waiting_count(endpoint.id, most_counted)?.saturating_sub(most_waiting);
    if too_many > 0 {
        unit.tx.deliveries_give_up_oldest(endpoint.id, unit.now, TOO_MANY, too_many)?;
        tell_of_failing(unit, endpoint, TOO_MANY)?;
    }
    Ok(())
}

fn hears_of(endpoint: &EndpointRow, event: &EventRow) -> bool {
    endpoint.events.is_empty() || endpoint.events.contains(&event.kind)
}

fn delivery(
    unit: &mut Unit<'_, '_>,
    endpoint: &EndpointRow,
    event: &EventRow,
    waiting: &mut HashSet<String>,
) -> Result<EventDeliveryRow, Failure> {
    let what = Happening::of_word(&event.kind);
    let (line, next_at) = if endpoint.kind.is_for_programs() {
        let line = event.host_id.map_or_else(|| event.subject.clone(), |id| id.to_string());
        let has_others = waiting.contains(&line) || unit.tx.delivery_line_is_waiting(endpoint.id, &line)?;
        waiting.insert(line.clone());
        (line, if has_others { NOT_ITS_TURN } else { unit.now })
    } else {
        // What people get is gathered over all hosts, in one line.
        let group_for = Duration::from_secs(endpoint.group_for_secs.into());
        let due_at = what.map(|what| quiet::due_at(unit.now, what, endpoint.quiet_hours.as_ref(), group_for));
        (String::new(), due_at.unwrap_or(unit.now))
    };
    Ok(EventDeliveryRow {
        id: DeliveryId::from_uuid(unit.draw.uuid(unit.now)),
        team_id: endpoint.team_id,
        endpoint_id: endpoint.id,
        event_id: event.id,
        position: event.position,
        line,
        is_urgent: what.is_some_and(quiet::is_urgent),
        state: DeliveryState::Waiting,
        attempts: 0,
        // Nothing is tried while it is gathered or quiet.
        tried_since: if next_at == NOT_ITS_TURN { unit.now } else { next_at },
        next_at,
        last_at: None,
        last_status: None,
        last_error: None,
        created_at: unit.now,
        done_at: None,
    })
}
