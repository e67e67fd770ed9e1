//! What a refusal leaves behind: the count of its cause, for the operator alone, and sometimes an event.

use muster_domain::admission::{Cause, Refusal};
use muster_domain::ticket::Ticket;
use muster_ids::KeyName;
use muster_store::rows::KeyState;
use serde_json::json;

use super::{Knock, Outcome, Revoked};
use crate::failure::Failure;
use crate::unit::{Event, Unit};

/// Records a refusal in its transaction.
pub(super) fn record(unit: &mut Unit<'_, '_>, knock: &Knock, refusal: Refusal) -> Result<Outcome, Failure> {
    let ticket = &knock.ticket.ticket;
    let cause = word(&refusal);
    let count = unit.tx.refusal_count(&ticket.id, &cause, &knock.source, &knock.request_id, unit.now)?;
    // Once a ticket: whoever repeats it must not fill the outbox.
    if count == 1 {
        match refusal {
            Refusal::Rejected(cause) => tell(unit, ticket, cause, knock.machine.key, &knock.source),
            Refusal::TooManyClaims => {
                tell_kind(unit, ticket, "claims.full", knock.machine.key, &knock.source);
            }
            _ => {}
        }
    }
    Ok(Outcome::Refused { refusal, revoked: revoked(unit, &refusal)? })
}

/// Tells of a rejection that somebody should look at.
pub(super) fn tell(unit: &mut Unit<'_, '_>, ticket: &Ticket, cause: Cause, key: KeyName, source: &str) {
    if cause == Cause::SpentByAnotherKey {
        tell_kind(unit, ticket, "token.presented_by_second_key", key, source);
    }
}

fn tell_kind(unit: &mut Unit<'_, '_>, ticket: &Ticket, kind: &'static str, key: KeyName, source: &str) {
    unit.tell(Event {
        team_id: ticket.team_id,
        kind,
        subject: ticket.id.to_string(),
        payload: json!({ "site_id": ticket.site_id, "key": key, "source": source }),
    });
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
