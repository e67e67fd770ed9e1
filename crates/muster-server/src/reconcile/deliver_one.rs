//! One message: what goes into it, whether it arrived, what follows.

use std::time::Duration;

use muster_domain::delivery::{AfterFailure, after_failure};
use muster_domain::quiet::{self, MAX_PER_GROUP, Next, Waiting};
use muster_ids::{EndpointId, TeamId, Timestamp};
use muster_store::rows::{DueRow, EndpointRow, EventDeliveryRow, EventRow, ShownDelivery, TeamRow, Tried};
use muster_store::{Lock, LockKey, Priority, StoreError, Tx};
use muster_wire::endpoint::DeliveryState;
use muster_wire::happening::Happening;
use serde_json::json;

use crate::app::App;
use crate::endpoints;
use crate::failure::Failure;
use crate::notify::{self, SendFailure, Sent};
use crate::unit::{Author, Fact, Unit};

/// How long one message may take, whatever its protocol.
const SEND_WITHIN: Duration = Duration::from_secs(30);
const NOT_KEPT: &str = "the event is not kept any more";

/// What one message is made of.
struct Message {
    team: TeamRow,
    endpoint: EndpointRow,
    deliveries: Vec<EventDeliveryRow>,
    events: Vec<EventRow>,
}

/// Sends what is due in a line, once, and writes down how it went.
pub(super) async fn deliver_one(app: App, due: DueRow) {
    let endpoint_id = due.endpoint_id;
    if let Err(error) = attempt(&app, due).await {
        // It is tried again at the next look: nothing was written down.
        tracing::warn!(endpoint.id = %endpoint_id, %error, "a delivery could not be tried");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn attempt(app: &App, due: DueRow) -> Result<(), Failure> {
    let now = app.clock.now();
    let is_for_people = !due.kind.is_for_programs();
    let (team_id, endpoint_id) = (due.team_id, due.endpoint_id);
    let Some(message) = app.look(move |tx| gather(tx, &due, now)).await? else {
        return if is_for_people { postpone(app, team_id, endpoint_id, now).await } else { Ok(()) };
    };
    let outcome = if message.events.len() < message.deliveries.len() {
        Err(SendFailure::new(NOT_KEPT))
    } else {
        send(app, &message, now).await
    };
    record(app, message, outcome).await
}

/// Reads what goes into the message; `None`: nothing, just now.
fn gather(tx: &mut Tx<'_>, due: &DueRow, now: Timestamp) -> Result<Option<Message>, StoreError> {
    let (Some(team), Some(endpoint)) = (tx.team(due.team_id)?, tx.endpoint(due.team_id, due.endpoint_id)?)
    else {
        return Ok(None);
    };
    if endpoint.paused_at.is_some() {
        return Ok(None);
    }
    let shown = if endpoint.kind.is_for_programs() {
        let first = tx.delivery(endpoint.id, due.id)?;
        first
            .filter(|first| first.row.state == DeliveryState::Waiting && first.row.next_at <= now)
            .into_iter()
            .collect()
    } else {
        gathered(tx, &endpoint, now)?
    };
    let deliveries: Vec<EventDeliveryRow> = shown.into_iter().map(|shown| shown.row).collect();
    let mut events = Vec::with_capacity(deliveries.len());
    for delivery in &deliveries {
        events.extend(tx.event(endpoint.team_id, delivery.event_id)?);
    }
    Ok((!deliveries.is_empty()).then_some(Message { team, endpoint, deliveries, events }))
}

/// Returns what people get in one message now. What tells of an event that is not kept goes by itself.
fn gathered(
    tx: &mut Tx<'_>,
    endpoint: &EndpointRow,
    now: Timestamp,
) -> Result<Vec<ShownDelivery>, StoreError> {
    let mut shown = tx.deliveries_waiting(endpoint.id, MAX_PER_GROUP as i64)?;
    if shown.iter().any(|one| one.kind.is_none()) {
        shown.retain(|one| one.kind.is_none());
        return Ok(shown);
    }
    match next_of(&shown, endpoint, now) {
        Next::Send(ids) => shown.retain(|one| ids.contains(&one.row.id)),
        Next::WaitUntil(_) | Next::Idle => shown.clear(),
    }
    Ok(shown)
}

fn next_of(shown: &[ShownDelivery], endpoint: &EndpointRow, now: Timestamp) -> Next {
    let waiting = shown.iter().map(|one| Waiting {
        id: one.row.id,
        what: one.kind.as_deref().and_then(Happening::of_word),
        next_at: one.row.next_at,
        attempts: one.row.attempts.unsigned_abs(),
    });
    quiet::next_group(&waiting.collect::<Vec<_>>(), now, endpoint.quiet_hours.as_ref())
}

/// Puts what is due, and may not go because it is quiet or something before it is tried again later, off until then.
async fn postpone(
    app: &App,
    team_id: TeamId,
    endpoint_id: EndpointId,
    now: Timestamp,
) -> Result<(), Failure> {
    app.change(Priority::Normal, now, move |unit| {
        unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(endpoint_id))])?;
        let Some(endpoint) = unit.tx.endpoint(team_id, endpoint_id)? else { return Ok(()) };
        let shown = unit.tx.deliveries_waiting(endpoint_id, MAX_PER_GROUP as i64)?;
        if let Next::WaitUntil(until) = next_of(&shown, &endpoint, now) {
            unit.tx.deliveries_postpone(endpoint_id, now, until)?;
        }
        Ok(())
    })
    .await
}

async fn send(app: &App, message: &Message, now: Timestamp) -> Result<Sent, SendFailure> {
    let opened = endpoints::open(&app.keyring, &message.team, &message.endpoint);
    let opened = opened.map_err(|_| {
        tracing::error!(endpoint.id = %message.endpoint.id, "the credentials of an endpoint do not open at their place");
        SendFailure::new("the credentials of this endpoint do not open")
    })?;
    let sending = notify::send(app, &opened, &message.events, now);
    match tokio::time::timeout(SEND_WITHIN, sending).await {
        Ok(outcome) => outcome,
        Err(_) => Err(SendFailure::new("the receiver took too long")),
    }
}

async fn record(app: &App, message: Message, outcome: Result<Sent, SendFailure>) -> Result<(), Failure> {
    let now = app.clock.now();
    let jitter = app.entropy.fraction();
    let is_kept = message.events.len() == message.deliveries.len();
    let first = &message.deliveries[0];
    let tried_since = message.endpoint.resumed_at.map_or(first.tried_since, |at| at.max(first.tried_since));
    let again_at = outcome.as_ref().err().filter(|_| is_kept).and_then(|failure| {
        let attempts = first.attempts.unsigned_abs().saturating_add(1);
        match after_failure(attempts, tried_since, now, failure.retry_after, jitter) {
            AfterFailure::TryAt(at) => Some(at),
            AfterFailure::GiveUp => None,
        }
    });
    let (status, error) = match outcome {
        Ok(sent) => (sent.status, None),
        Err(failure) => (failure.status, Some(failure.error.into_owned())),
    };
    let tried = Tried { at: now, attempts_before: 0, status, error, again_at };
    app.change(Priority::Normal, now, move |unit| write_down(unit, &message, &tried)).await
}

fn write_down(unit: &mut Unit<'_, '_>, message: &Message, tried: &Tried) -> Result<(), Failure> {
    let endpoint_id = message.endpoint.id;
    unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(endpoint_id))])?;
    let mut is_news = false;
    for delivery in &message.deliveries {
        let tried = Tried { attempts_before: delivery.attempts, ..tried.clone() };
        // Another node tried it meanwhile: how that ended stands.
        if !unit.tx.delivery_tried(delivery.id, &tried)? {
            continue;
        }
        is_news = true;
        if tried.error.is_none() || tried.again_at.is_none() {
            unit.tx.delivery_line_next(endpoint_id, &delivery.line, unit.now)?;
        } else if message.endpoint.kind.is_for_programs() {
            // Something before it was asked for again meanwhile.
            unit.tx.delivery_line_yield(delivery.id)?;
        }
    }
    if !is_news {
        return Ok(());
    }
    match (&tried.error, tried.again_at) {
        (None, _) => {
            unit.tx.endpoint_is_failing(endpoint_id, None)?;
        }
        (Some(error), None) if error == NOT_KEPT => {}
        (Some(error), None) => tell_of_failing(unit, message, endpoint_id, error)?,
        (Some(_), Some(_)) => {}
    }
    Ok(())
}

/// Tells once that deliveries are given up; again only after one was taken.
fn tell_of_failing(
    unit: &mut Unit<'_, '_>,
    message: &Message,
    endpoint_id: EndpointId,
    error: &str,
) -> Result<(), Failure> {
    if unit.tx.endpoint_is_failing(endpoint_id, Some(unit.now))? {
        let details = json!({ "name": message.endpoint.name, "kind": message.endpoint.kind, "error": error });
        let author = Author::system();
        let fact = Fact::new(Happening::EndpointFailing, message.endpoint.team_id, &author, endpoint_id);
        unit.happened(fact.outcome("given_up").details(details));
    }
    Ok(())
}
