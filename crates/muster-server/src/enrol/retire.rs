//! The end of a host: everything it could act with is taken away in one transaction; the tombstone stays.

use muster_domain::host_life::Life;
use muster_ids::HostId;
use muster_keyring::OwnerKind;
use muster_store::rows::{ClaimEnd, HostKeyRow, HostRow, KeyState};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::claim::ClaimState;
use serde_json::json;

use super::mint::revoke_unused;
use super::refuse::reason;
use crate::effects::{Cut, CutReason};
use crate::failure::Failure;
use crate::unit::{Author, Entry, Event, Unit};
use crate::{jobs, secrets};

/// What a person is told who asks for a step that is not possible from where the host stands.
pub const NOT_POSSIBLE: Failure =
    Failure::conflict("not_possible", "the host does not stand where this is possible");

/// Locks a host with every ticket and key it could act with; first thing in a transaction that takes them away.
pub fn lock(unit: &mut Unit<'_, '_>, host: &HostRow) -> Result<(), Failure> {
    let held = held(unit, host)?;
    let mut locks = vec![Lock::exclusive(LockKey::Host(host.id))];
    locks.extend(held.0.iter().map(|id| Lock::exclusive(LockKey::Ticket(*id))));
    locks.extend(held.1.iter().map(|key| Lock::exclusive(LockKey::Key(key.name))));
    unit.tx.lock(&locks)?;
    // A ticket or key that came between is not locked: find it and begin again.
    if self::held(unit, host)? == held { Ok(()) } else { Err(StoreError::Conflict.into()) }
}

type Held = (Vec<muster_ids::TicketId>, Vec<HostKeyRow>);

fn held(unit: &mut Unit<'_, '_>, host: &HostRow) -> Result<Held, Failure> {
    let tickets = unit.tx.tickets_of_host(host.team_id, host.id)?;
    let mut keys = unit.tx.host_keys(host.id)?;
    keys.retain(|key| key.state == KeyState::Active);
    Ok((tickets, keys))
}

/// Retires a living host: keys, tickets, secrets, jobs, tags and its uid are gone; the tombstone stays.
///
/// A person retires a host, or the machine itself leaves; `author` says who.
pub fn retire(unit: &mut Unit<'_, '_>, host: &HostRow, author: &Author) -> Result<(), Failure> {
    lock(unit, host)?;
    let now_host = unit.tx.host(host.team_id, host.id)?.ok_or(Failure::NotFound)?;
    now_host.state.retire().map_err(|_| NOT_POSSIBLE)?;
    let (tickets, keys) = held(unit, host)?;
    for ticket_id in &tickets {
        revoke_unused(unit, host.team_id, ticket_id, author)?;
    }
    for key in &keys {
        end_key(unit, key, KeyState::Revoked, author)?;
    }
    secrets::destroy_owned(unit, host.team_id, OwnerKind::Host, &host.id.to_string())?;
    jobs::host_retired(unit, host.id)?;
    close_claims_on(unit, host, author)?;
    unit.tx.host_tags_set(host.team_id, host.id, &[])?;
    if !unit.tx.host_retire(host.team_id, host.id, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    unit.tx.revocation_insert(host.team_id, &host.id.to_string(), "retired", unit.now)?;
    unit.effects.retired.push(host.id);
    let details = json!({ "name": host.name, "keys": keys.iter().map(|key| key.name).collect::<Vec<_>>() });
    unit.record(Entry {
        team_id: host.team_id,
        author: author.clone(),
        action: "host.retired",
        target: host.id.to_string(),
        outcome: "ok",
        details: details.clone(),
    });
    unit.tell(Event {
        team_id: host.team_id,
        kind: "host.retired",
        subject: host.id.to_string(),
        payload: details,
    });
    Ok(())
}

/// Ends an active key: remembered for ever, logged for every node, its sockets cut after the commit.
pub(super) fn end_key(
    unit: &mut Unit<'_, '_>,
    key: &HostKeyRow,
    state: KeyState,
    author: &Author,
) -> Result<(), Failure> {
    if !unit.tx.host_key_end(&key.name, state, &author.actor, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    let reason = reason(state);
    unit.tx.revocation_insert(key.team_id, &key.name.to_string(), reason, unit.now)?;
    unit.effects.cuts.push(Cut {
        host_id: key.host_id,
        key: key.name,
        reason: CutReason::Revoked { reason },
        decided_at: unit.now,
    });
    Ok(())
}

/// The ground of these claims falls away; their machines may ask again and are judged anew.
fn close_claims_on(unit: &mut Unit<'_, '_>, host: &HostRow, author: &Author) -> Result<(), Failure> {
    let end = ClaimEnd { from: ClaimState::Waiting, to: ClaimState::Closed, by: &author.actor, result: None };
    for claim in unit.tx.claims_on_host(host.team_id, host.id)? {
        unit.tx.claim_end(claim.team_id, claim.id, end, unit.now)?;
        unit.tx.ticket_free(&claim.ticket_id, &claim.key)?;
    }
    Ok(())
}

/// Returns a host of the team, or the answer for absent and foreign ones.
pub fn host(unit: &mut Unit<'_, '_>, team_id: muster_ids::TeamId, id: HostId) -> Result<HostRow, Failure> {
    unit.tx.host(team_id, id)?.ok_or(Failure::NotFound)
}
