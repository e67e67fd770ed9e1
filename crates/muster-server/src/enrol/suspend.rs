//! Suspending a host, and letting it act again: it keeps its keys and is refused everything meanwhile; its sockets are
//! cut before the reply.

use muster_domain::host_life::Life;
use muster_ids::{HostId, TeamId};
use muster_store::StoreError;
use muster_store::rows::{HostRow, KeyState};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use serde_json::json;

use super::hold::{self, Freed};
use super::keys;
use super::retire::NOT_POSSIBLE;
use crate::effects::{Cut, CutReason, Ended};
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// Suspends a host whose lock is held exclusively and that stands at `from`; `because` goes into the trail.
pub fn suspend(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    from: HostState,
    author: &Author,
    because: Option<&str>,
) -> Result<(), Failure> {
    let to = from.suspend().map_err(|_| NOT_POSSIBLE)?;
    if !unit.tx.host_move(team_id, host_id, from, to)? {
        return Err(StoreError::Conflict.into());
    }
    unit.end(team_id, Ended::Host(host_id), "suspended")?;
    keys::end_unused(unit, host_id, author)?;
    let keys = unit.tx.host_keys(host_id)?;
    let active = keys.iter().filter(|key| key.state == KeyState::Active);
    unit.effects.cuts.extend(active.map(|key| Cut {
        host_id,
        key: key.name,
        reason: CutReason::Suspended,
        decided_at: unit.now,
    }));
    let fact = Fact::new(Happening::HostSuspended, team_id, author, host_id).of_host(host_id);
    let details = json!({ "from": from, "to": to, "reason": because });
    unit.happened(fact.changed(["state"]).details(details));
    Ok(())
}

pub(super) const COPY_WAITS: Failure = Failure::conflict(
    "copy_waits",
    "a copy of this host waits: decide its claim, which says which one is genuine",
);

/// Lets a suspended host, whose lock is held exclusively, act again. One that is held acts again once no claim of a copy
/// of it waits.
pub fn resume(unit: &mut Unit<'_, '_>, host: &HostRow, author: &Author) -> Result<(), Failure> {
    let place = (host.team_id, host.id);
    if host.state == HostState::Active && unit.tx.host_held_at(host.team_id, host.id)?.is_some() {
        let freed = hold::free_if_answered(unit, place, author, Freed::Resumed)?;
        return if freed { Ok(()) } else { Err(COPY_WAITS) };
    }
    let to = host.state.resume().map_err(|_| NOT_POSSIBLE)?;
    if !unit.tx.host_move(host.team_id, host.id, host.state, to)? {
        return Err(StoreError::Conflict.into());
    }
    unit.tx.host_resumed(host.team_id, host.id, unit.now)?;
    let fact = Fact::new(Happening::HostResumed, host.team_id, author, host.id).of_host(host.id);
    unit.happened(fact.changed(["state"]).details(json!({ "from": host.state, "to": to })));
    Ok(())
}
