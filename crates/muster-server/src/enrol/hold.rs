//! Holding a host: neither it nor its copy gets or does anything until a person answered which of them is genuine.

use muster_ids::{HostId, TeamId};
use muster_store::StoreError;
use muster_store::rows::{HostKeyRow, HostRow, KeyState};
use muster_wire::claim::ClaimReason;
use muster_wire::happening::Happening;
use serde_json::json;

use super::{claim, keys};
use crate::effects::{Cut, CutReason, Ended};
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// Why a hold ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freed {
    /// A person answered which machine is genuine.
    Decided,
    /// It got another key, so that every copy of it is worthless.
    Rekeyed,
    /// A person resumed it while no claim of a copy waited.
    Resumed,
}

impl Freed {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Decided => "decided",
            Self::Rekeyed => "rekeyed",
            Self::Resumed => "resumed",
        }
    }
}

/// Holds an active host whose lock is held exclusively; its sockets are cut before the reply.
pub(super) fn hold(unit: &mut Unit<'_, '_>, host: &HostRow) -> Result<(), Failure> {
    if !unit.tx.host_hold(host.team_id, host.id, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    unit.end(host.team_id, Ended::Host(host.id), "held")?;
    keys::end_unused(unit, host.id, &Author::system())?;
    let keys = unit.tx.host_keys(host.id)?;
    let active = keys.iter().filter(|key| key.state == KeyState::Active);
    unit.effects.cuts.extend(active.map(|key| Cut {
        host_id: host.id,
        key: key.name,
        reason: CutReason::Held,
        decided_at: unit.now,
    }));
    let fact = Fact::new(Happening::HostHeld, host.team_id, &Author::system(), host.id).of_host(host.id);
    unit.happened(fact.changed(["held_at"]).details(json!({ "reason": ClaimReason::Clone })));
    Ok(())
}

/// Ends the hold of a host whose lock is held exclusively, if it is held.
pub(super) fn free(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    author: &Author,
    why: Freed,
) -> Result<bool, Failure> {
    let freed = unit.tx.host_free(team_id, host_id)?;
    if freed {
        let fact = Fact::new(Happening::HostFreed, team_id, author, host_id).of_host(host_id);
        unit.happened(fact.changed(["held_at"]).details(json!({ "reason": why.as_str() })));
    }
    Ok(freed)
}

/// Ends the hold when the last claim of a copy was answered.
pub(super) fn free_if_answered(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    author: &Author,
    why: Freed,
) -> Result<bool, Failure> {
    if unit.tx.copies_waiting(team_id, host_id, 1)? > 0 {
        return Ok(false);
    }
    free(unit, (team_id, host_id), author, why)
}

/// A host got another key by a person's leave: copies that hold nothing but a former key hold nothing, and there is no
/// question any more which machine is the host.
pub(super) fn key_was_replaced(
    unit: &mut Unit<'_, '_>,
    (team_id, host_id): (TeamId, HostId),
    former: &[HostKeyRow],
    author: &Author,
) -> Result<(), Failure> {
    let mut copies = unit.tx.claims_on_host(team_id, host_id)?;
    copies.retain(|waiting| {
        waiting.reason == ClaimReason::Clone && former.iter().any(|key| key.name == waiting.key)
    });
    claim::close(unit, &copies, author)?;
    free(unit, (team_id, host_id), author, Freed::Rekeyed)?;
    Ok(())
}
