//! One message: what goes into it, whether it arrived, what follows.

use std::time::Duration;

use muster_domain::delivery::{
    AfterFailure, TRIED_FOR, after_failure, claimed_until, is_about_the_message, next_probe,
};
use muster_domain::quiet::{self, MAX_PER_GROUP, Next, Waiting};
use muster_ids::Timestamp;
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
/// Deliveries that are given up with the one that was tried.
const GIVEN_UP_AT_ONCE: u64 = 250;
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
        // It is tried again: at the next look, or when its claim is over.
        tracing::warn!(endpoint.id = %endpoint_id, %error, "a delivery could not be tried");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn attempt(app: &App, due: DueRow) -> Result<(), Failure> {
    let now = app.clock.now();
    let claimed = app.change(Priority::Normal, now, move |unit| claim(unit, &due)).await?;
    let Some(message) = claimed else { return Ok(()) };
    let outcome = if message.events.len() < message.deliveries.len() {
        Err(SendFailure::new(NOT_KEPT))
    } else {
        send(app, &message, now).await
    };
    record(app, message, outcome).await
}

/// Reads what goes into the message and counts the try before it is made: what cannot be written down is not sent.
/// `None`: nothing goes, just now.
fn claim(unit: &mut Unit<'_, '_>, due: &DueRow) -> Result<Option<Message>, Failure> {
    let now = unit.now;
    unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(due.endpoint_id))])?;
    let Some(mut message) = gather(unit.tx, due, now)? else { return Ok(None) };
    for delivery in &mut message.deliveries {
        let attempts_before = delivery.attempts;
        delivery.attempts += 1;
        let until = claimed_until(delivery.attempts.unsigned_abs(), now);
        if !unit.tx.delivery_claim(delivery.id, attempts_before, until)? {
            return Err(StoreError::Conflict.into());
        }
    }
    let failures = message.endpoint.failures.unsigned_abs();
    unit.tx.endpoint_try_at(due.endpoint_id, claimed_until(failures.saturating_add(1), now))?;
    Ok(Some(message))
}

fn gather(tx: &mut Tx<'_>, due: &DueRow, now: Timestamp) -> Result<Option<Message>, StoreError> {
    let (Some(team), Some(endpoint)) = (tx.team(due.team_id)?, tx.endpoint(due.team_id, due.endpoint_id)?)
    else {
        return Ok(None);
    };
    if endpoint.paused_at.is_some() || endpoint.next_try_at > now || endpoint.next_look_at > now {
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

/// Returns what people get in one message now. What tells of an event that is not kept goes by itself. Where nothing
/// may go yet, the endpoint is put off, and not each delivery.
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
    // However much waits before it.
    shown.extend(tx.deliveries_urgent(endpoint.id, MAX_PER_GROUP as i64)?);
    shown.sort_by_key(|one| (one.row.position, one.row.id));
    shown.dedup_by_key(|one| one.row.id);
    match next_of(&shown, endpoint, now) {
        Next::Send(ids) => shown.retain(|one| ids.contains(&one.row.id)),
        Next::WaitUntil(until) => {
            tx.endpoint_look_at(endpoint.id, until)?;
            shown.clear();
        }
        Next::Idle => shown.clear(),
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

/// How a message fared.
#[derive(Clone)]
struct Fared {
    tried: Tried,
    /// Whether the receiver refused this message and may take others.
    is_about_the_message: bool,
    /// When the endpoint is tried next if it took nothing.
    next_probe: Timestamp,
}

async fn record(app: &App, message: Message, outcome: Result<Sent, SendFailure>) -> Result<(), Failure> {
    let now = app.clock.now();
    let jitter = app.entropy.fraction();
    let is_kept = message.events.len() == message.deliveries.len();
    let first = &message.deliveries[0];
    let tried_since = message.endpoint.resumed_at.map_or(first.tried_since, |at| at.max(first.tried_since));
    let again_at = outcome.as_ref().err().filter(|_| is_kept).and_then(|failure| {
        match after_failure(first.attempts.unsigned_abs(), tried_since, now, failure.retry_after, jitter) {
            AfterFailure::TryAt(at) => Some(at),
            AfterFailure::GiveUp => None,
        }
    });
    let asked_for = outcome.as_ref().err().and_then(|failure| failure.retry_after);
    let failures = message.endpoint.failures.unsigned_abs().saturating_add(1);
    let next_probe = next_probe(failures, now, asked_for, jitter);
    let (status, error) = match outcome {
        Ok(sent) => (sent.status, None),
        Err(failure) => (failure.status, Some(failure.error.into_owned())),
    };
    let is_about_the_message = message.endpoint.kind.is_for_programs() && is_about_the_message(status);
    let tried = Tried { at: now, attempts: 0, status, error, again_at };
    let fared = Fared { tried, is_about_the_message, next_probe };
    app.change(Priority::Normal, now, move |unit| write_down(unit, &message, &fared)).await
}

fn write_down(unit: &mut Unit<'_, '_>, message: &Message, fared: &Fared) -> Result<(), Failure> {
    let endpoint_id = message.endpoint.id;
    unit.tx.lock(&[Lock::exclusive(LockKey::Endpoint(endpoint_id))])?;
    let mut is_news = false;
    for delivery in &message.deliveries {
        let tried = Tried { attempts: delivery.attempts, ..fared.tried.clone() };
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
    if is_news { judge_endpoint(unit, &message.endpoint, fared) } else { Ok(()) }
}

/// Remembers what a try says about the endpoint: whether everything that is due may go, or one message at a time.
fn judge_endpoint(unit: &mut Unit<'_, '_>, endpoint: &EndpointRow, fared: &Fared) -> Result<(), Failure> {
    let Some(error) = &fared.tried.error else { return Ok(unit.tx.endpoint_took(endpoint.id)?) };
    if error == NOT_KEPT {
        // Nobody was asked: the next one may go at once.
        return Ok(unit.tx.endpoint_try_at(endpoint.id, unit.now)?);
    }
    if fared.is_about_the_message {
        unit.tx.endpoint_answered(endpoint.id)?;
    } else {
        unit.tx.endpoint_took_nothing(endpoint.id, endpoint.failures, fared.next_probe)?;
    }
    if fared.tried.again_at.is_none() {
        if !fared.is_about_the_message {
            let since = unit.now.minus(TRIED_FOR);
            unit.tx.deliveries_give_up_tried(endpoint.id, since, unit.now, error, GIVEN_UP_AT_ONCE)?;
        }
        tell_of_failing(unit, endpoint, error)?;
    }
    Ok(())
}

/// Tells once that deliveries are given up; again only after one was taken.
pub(super) fn tell_of_failing(
    unit: &mut Unit<'_, '_>,
    endpoint: &EndpointRow,
    error: &str,
) -> Result<(), Failure> {
    if unit.tx.endpoint_gives_up(endpoint.id, unit.now)? {
        let details = json!({ "name": endpoint.name, "kind": endpoint.kind, "error": error });
        let author = Author::system();
        let fact = Fact::new(Happening::EndpointFailing, endpoint.team_id, &author, endpoint.id);
        unit.happened(fact.outcome("given_up").details(details));
    }
    Ok(())
}
