//! The end of a host: everything it could act with is taken away in one transaction; the tombstone stays.

use muster_domain::host_life::Life;
use muster_ids::{HostId, TeamId};
use muster_keyring::OwnerKind;
use muster_store::rows::{HostRow, InHandRow};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::happening::Happening;
use serde_json::json;

use super::claim;
use super::keys::{self, Ending};
use super::mint::revoke_unused;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};
use crate::{jobs, secrets};

/// What a person is told who asks for a step that is not possible from where the host stands.
pub const NOT_POSSIBLE: Failure =
    Failure::conflict("not_possible", "the host does not stand where this is possible");

/// Locks a host of the team with every ticket and key it could act with, and returns it as it stands then; first thing
/// in a transaction that takes them away.
pub fn locked(unit: &mut Unit<'_, '_>, team_id: TeamId, id: HostId) -> Result<HostRow, Failure> {
    let found = host(unit, team_id, id)?;
    lock(unit, team_id, &[found.id])?;
    host(unit, team_id, id)
}

/// Locks hosts of a team with every ticket and key they could act with, all at once.
pub fn lock(unit: &mut Unit<'_, '_>, team_id: TeamId, hosts: &[HostId]) -> Result<(), Failure> {
    let in_hand = unit.tx.hosts_in_hand(team_id, hosts)?;
    let mut locks: Vec<Lock> = hosts.iter().map(|id| Lock::exclusive(LockKey::Host(*id))).collect();
    for InHandRow { tickets, keys } in &in_hand {
        locks.extend(tickets.iter().map(|id| Lock::exclusive(LockKey::Ticket(*id))));
        locks.extend(keys.iter().map(|key| Lock::exclusive(LockKey::Key(*key))));
    }
    unit.tx.lock(&locks)?;
    // A ticket or key that came between is not locked: find it and begin again.
    if unit.tx.hosts_in_hand(team_id, hosts)? == in_hand { Ok(()) } else { Err(StoreError::Conflict.into()) }
}

/// Why a host ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A person retired it.
    Person,
    /// Its machine left.
    Machine,
    /// It is an ephemeral host nobody heard of for long enough.
    Ephemeral,
}

impl Why {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "retired_by_person",
            Self::Machine => "left",
            Self::Ephemeral => "ephemeral_and_away",
        }
    }
}

/// Retires a living host: keys, tickets, secrets, jobs, tags and its uid are gone; the tombstone stays.
pub fn retire(unit: &mut Unit<'_, '_>, host: &HostRow, author: &Author, why: Why) -> Result<(), Failure> {
    lock(unit, host.team_id, &[host.id])?;
    retire_locked(unit, host, author, why)
}

/// Does the same to a host that is locked with everything it could act with.
pub fn retire_locked(
    unit: &mut Unit<'_, '_>,
    host: &HostRow,
    author: &Author,
    why: Why,
) -> Result<(), Failure> {
    let now_host = unit.tx.host(host.team_id, host.id)?.ok_or(Failure::NotFound)?;
    now_host.state.retire().map_err(|_| NOT_POSSIBLE)?;
    let tickets = unit.tx.tickets_of_host(host.team_id, host.id)?;
    let active = unit.tx.host_keys_active(host.id)?;
    for ticket_id in &tickets {
        revoke_unused(unit, host.team_id, ticket_id, author)?;
    }
    for key in &active {
        keys::end(unit, key, Ending::Retired, author)?;
    }
    secrets::destroy_owned(unit, host.team_id, OwnerKind::Host, &host.id.to_string())?;
    jobs::host_retired(unit, host.id)?;
    close_claims_on(unit, host, author)?;
    unit.tx.host_tags_set(host.team_id, host.id, &[])?;
    if !unit.tx.host_retire(host.team_id, host.id, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    unit.end(host.team_id, Ended::Host(host.id), "retired")?;
    unit.effects.retired.push(host.id);
    let details = json!({ "name": host.name, "reason": why.as_str(), "keys": active.iter().map(|key| key.name).collect::<Vec<_>>() });
    let fact = Fact::new(Happening::HostRetired, host.team_id, author, host.id);
    unit.happened(fact.of_host(host.id).details(details));
    Ok(())
}

/// The ground of these claims falls away; their machines may ask again and are judged anew.
fn close_claims_on(unit: &mut Unit<'_, '_>, host: &HostRow, author: &Author) -> Result<(), Failure> {
    for waiting in unit.tx.claims_on_host(host.team_id, host.id)? {
        claim::let_go(unit, &waiting, author)?;
    }
    Ok(())
}

/// Returns a host of the team, or the answer for absent and foreign ones.
pub fn host(unit: &mut Unit<'_, '_>, team_id: TeamId, id: HostId) -> Result<HostRow, Failure> {
    unit.tx.host(team_id, id)?.ok_or(Failure::NotFound)
}
