//! What a refusal leaves behind: the count of its cause, for the operator alone, and sometimes an event.

use muster_domain::admission::{Cause, Refusal};
use muster_ids::{TicketId, Timestamp};
use muster_store::rows::KeyState;
use muster_store::{Priority, Tx};
use serde_json::json;
use tokio::sync::Semaphore;

use super::{Knock, Outcome, Revoked};
use crate::app::App;
use crate::failure::Failure;
use crate::unit::{Event, Unit};

/// Wrong secrets being written down at once; more are answered and not counted.
static NOTING: Semaphore = Semaphore::const_new(4);

/// Counts a wrong secret after the reply, so that a known id takes no longer than an unknown one.
pub(super) fn note_wrong_secret(
    app: &App,
    ticket_id: TicketId,
    source: String,
    request_id: String,
    now: Timestamp,
) {
    let Ok(place) = NOTING.try_acquire() else { return };
    let app = app.clone();
    tokio::spawn(async move {
        let _place = place;
        let count = move |tx: &mut Tx<'_>| {
            tx.refusal_count(&ticket_id, &Cause::WrongSecret.to_string(), &source, &request_id, now)
        };
        if let Err(error) = app.store.write(Priority::Normal, count).await {
            tracing::warn!(%error, "a wrong secret was not counted");
        }
    });
}

/// Records a refusal in its transaction.
pub(super) fn record(unit: &mut Unit<'_, '_>, knock: &Knock, refusal: Refusal) -> Result<Outcome, Failure> {
    let ticket = &knock.ticket.ticket;
    let cause = word(&refusal);
    let count = unit.tx.refusal_count(&ticket.id, &cause, &knock.source, &knock.request_id, unit.now)?;
    let event = match refusal {
        Refusal::Rejected(Cause::SpentByAnotherKey) => Some("token.presented_by_second_key"),
        Refusal::TooManyClaims => Some("claims.full"),
        _ => None,
    };
    // Once a ticket: whoever repeats it must not fill the outbox.
    if let Some(kind) = event.filter(|_| count == 1) {
        unit.tell(Event {
            team_id: ticket.team_id,
            kind,
            subject: ticket.id.to_string(),
            payload: json!({ "site_id": ticket.site_id, "key": knock.machine.key, "source": knock.source }),
        });
    }
    Ok(Outcome::Refused { refusal, revoked: revoked(unit, &refusal)? })
}

fn revoked(unit: &mut Unit<'_, '_>, refusal: &Refusal) -> Result<Option<Revoked>, Failure> {
    let Refusal::KeyRevoked { key, .. } = refusal else { return Ok(None) };
    let key = unit.tx.host_key(key)?;
    Ok(key.map(|key| Revoked { reason: reason(key.state), at: key.ended_at.unwrap_or(unit.now) }))
}

/// Names why a key ended, as the signed statement says it.
pub(super) fn reason(state: KeyState) -> &'static str {
    match state {
        KeyState::Active | KeyState::Revoked => "retired",
        KeyState::Replaced => "replaced",
    }
}

fn word(refusal: &Refusal) -> String {
    match refusal {
        Refusal::Rejected(cause) => cause.to_string(),
        Refusal::KeyRevoked { .. } => "key_revoked".to_owned(),
        Refusal::KeyInUse => "key_in_use".to_owned(),
        Refusal::HostSuspended => "host_suspended".to_owned(),
        Refusal::ClaimRejected => "claim_rejected".to_owned(),
        Refusal::KeyRequired => "key_required".to_owned(),
        Refusal::TooManyClaims => "too_many_claims".to_owned(),
        Refusal::VerdictNotPossible => "verdict_not_possible".to_owned(),
    }
}
