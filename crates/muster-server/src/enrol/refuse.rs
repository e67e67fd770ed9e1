//! What a refusal leaves behind: the count of its cause, for the operator alone, and sometimes an event.

use muster_domain::admission::Refusal;
use muster_domain::ticket::Ticket;
use muster_ids::{KeyName, Timestamp};
use muster_store::rows::{KeyState, RefusalRow, RefusedRequestRow};
use muster_store::{StoreError, Tx};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::parting::RevokedReason;
use muster_wire::refusal::RefusalCause;
use serde_json::json;

use super::{Knock, Outcome, Revoked};
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// Records a refusal in its transaction.
pub(super) fn record(unit: &mut Unit<'_, '_>, knock: &Knock, refusal: Refusal) -> Result<Outcome, Failure> {
    if let Some(cause) = refusal.word() {
        count(unit, knock, cause)?;
    }
    Ok(Outcome::Refused { refusal, revoked: revoked(unit.tx, unit.now, &refusal)? })
}

/// Counts why a machine was not admitted, and tells of it.
pub(super) fn count(unit: &mut Unit<'_, '_>, knock: &Knock, cause: RefusalCause) -> Result<(), Failure> {
    let ticket = &knock.ticket.ticket;
    let request = RefusedRequestRow {
        request_id: knock.request_id.clone(),
        at: unit.now,
        source: knock.source.clone(),
    };
    let row = RefusalRow {
        ticket_id: ticket.id,
        cause,
        count: 1,
        first_at: unit.now,
        last_at: unit.now,
        last_source: knock.source.clone(),
        last_request_id: knock.request_id.clone(),
    };
    // Once a ticket: whoever repeats it must not fill the outbox.
    if unit.tx.refusals_count(&row, &[request])? == 1 {
        tell(unit, ticket, cause, knock.machine.key, &knock.source);
    }
    Ok(())
}

/// Tells of a cause that somebody should look at.
pub(super) fn tell(
    unit: &mut Unit<'_, '_>,
    ticket: &Ticket,
    cause: RefusalCause,
    key: KeyName,
    source: &str,
) {
    let what = match cause {
        RefusalCause::SpentByAnotherKey => Happening::TicketSecondKey,
        RefusalCause::TooManyClaims => Happening::ClaimsFull,
        _ => return,
    };
    unit.happened(fact(what, ticket, key, source));
}

fn fact(what: Happening, ticket: &Ticket, key: KeyName, source: &str) -> Fact {
    let author = Author { actor: key.to_string(), role: None, source: source.to_owned() };
    let details = json!({ "site_id": ticket.site_id, "key": key, "source": source });
    Fact::new(what, ticket.team_id, &author, ticket.id).outcome("refused").details(details)
}

/// Says how the key of a refusal ended, if that is why.
pub(super) fn revoked(
    tx: &mut Tx<'_>,
    now: Timestamp,
    refusal: &Refusal,
) -> Result<Option<Revoked>, StoreError> {
    let Refusal::KeyRevoked { key, .. } = refusal else { return Ok(None) };
    let Some(key) = tx.host_key(key)? else { return Ok(None) };
    let reason = match (key.state, tx.host_state(key.team_id, key.host_id)?) {
        (KeyState::Replaced, _) => RevokedReason::Replaced,
        (KeyState::Active | KeyState::Next | KeyState::Revoked, Some(HostState::Retired)) => {
            RevokedReason::Retired
        }
        (KeyState::Active | KeyState::Next | KeyState::Revoked, _) => RevokedReason::Revoked,
    };
    Ok(Some(Revoked { team_id: key.team_id, reason, at: key.ended_at.unwrap_or(now) }))
}
