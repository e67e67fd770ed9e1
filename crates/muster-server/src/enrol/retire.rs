//! The end of a host: everything it could act with is taken away in one transaction; the tombstone stays.

use muster_domain::host_life::Life;
use muster_ids::{HostId, KeyName, TeamId};
use muster_store::rows::{HostRow, InHandRow};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::happening::Happening;
use serde_json::json;

use super::claim;
use super::keys::{self, Ending};
use super::mint::revoke_all_unused;
use crate::effects::Ended;
use crate::failure::Failure;
use crate::jobs;
use crate::secrets::{self, Owners};
use crate::unit::{Author, Fact, Unit};

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

/// Retires living hosts of one team that are locked with everything they could act with: keys, tickets, secrets, jobs,
/// tags and uids are gone; the tombstones stay.
///
/// What is done to each is read and written together with that of the others: as many hosts as may be changed at once
/// fit one transaction.
pub fn retire_locked(
    unit: &mut Unit<'_, '_>,
    hosts: &[&HostRow],
    author: &Author,
    why: Why,
) -> Result<(), Failure> {
    let Some(team_id) = hosts.first().map(|host| host.team_id) else { return Ok(()) };
    let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    for state in unit.tx.host_states(team_id, &ids)? {
        state.ok_or(Failure::NotFound)?.retire().map_err(|_| NOT_POSSIBLE)?;
    }
    let tickets = unit.tx.tickets_of_hosts(team_id, &ids)?.concat();
    let active = unit.tx.hosts_keys_active(&ids)?;
    revoke_all_unused(unit, team_id, &tickets, author)?;
    keys::end_all(unit, &active.concat(), Ending::Retired, author)?;
    secrets::destroy_owned(unit, &Owners::hosts(team_id, &ids))?;
    jobs::hosts_retired(unit, &ids)?;
    let contesting = unit.tx.claims_on_hosts(team_id, &ids)?.concat();
    claim::let_go(unit, &contesting, author)?;
    unit.tx.hosts_tags_clear(team_id, &ids)?;
    if unit.tx.hosts_retire(team_id, &ids, unit.now)?.contains(&false) {
        return Err(StoreError::Conflict.into());
    }
    let ended: Vec<Ended> = ids.iter().map(|id| Ended::Host(*id)).collect();
    unit.end_all(team_id, &ended, "retired")?;
    unit.effects.retired.extend(&ids);
    for (host, active) in hosts.iter().zip(&active) {
        let keys: Vec<KeyName> = active.iter().map(|key| key.name).collect();
        let fact = Fact::new(Happening::HostRetired, team_id, author, host.id).of_host(host.id);
        unit.happened(fact.details(json!({ "name": host.name, "reason": why.as_str(), "keys": keys })));
    }
    Ok(())
}

/// Returns a host of the team, or the answer for absent and foreign ones.
pub fn host(unit: &mut Unit<'_, '_>, team_id: TeamId, id: HostId) -> Result<HostRow, Failure> {
    unit.tx.host(team_id, id)?.ok_or(Failure::NotFound)
}
