//! Steps 5 to 7: what it means that somebody owns, or last owned, the machine's uid.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::claim::ClaimReason;
use muster_wire::host::HostState;
use muster_wire::site::{ReimagePolicy, SitePolicy};
use muster_wire::ticket::TicketKind;

use super::{COLLISION_WINDOW, Contest, HostView, Known, Machine};
use crate::ticket::Ticket;

/// Judges a uid that belongs or belonged to a host; `None`: the uid is free for this ticket.
pub(super) fn contest(
    ticket: &Ticket,
    machine: &Machine,
    known: &Known,
    policy: &SitePolicy,
    now: Timestamp,
) -> Option<Contest> {
    let Some(owner) = &known.owner else {
        return known
            .uid_last_owned_by_retired
            .then_some(Contest::Wait { reason: ClaimReason::Retired, contested: None });
    };
    if ticket.host_id == Some(owner.id) {
        return None;
    }
    // The site guard stands before any look at presence: a foreign site must learn nothing and change nothing.
    if owner.site_id != ticket.site_id {
        return wait(ClaimReason::SiteConflict, owner);
    }
    if ticket.kind != TicketKind::SiteKey {
        return wait(ClaimReason::UidTaken, owner);
    }
    let seen_lately = owner.seen_at.is_some_and(|seen_at| now.since(seen_at) < COLLISION_WINDOW);
    if owner.connected || seen_lately {
        return wait(ClaimReason::Collision, owner);
    }
    if may_take_over(owner, machine, known, policy, now) {
        return Some(Contest::TakeOver(owner.id));
    }
    wait(ClaimReason::Reimage, owner)
}

fn wait(reason: ClaimReason, owner: &HostView) -> Option<Contest> {
    Some(Contest::Wait { reason, contested: Some(owner.id) })
}

/// Whether `reimage = auto` may re-key the owner without a person: all conditions, or none.
fn may_take_over(
    owner: &HostView,
    machine: &Machine,
    known: &Known,
    policy: &SitePolicy,
    now: Timestamp,
) -> bool {
    let quiet_for = owner.seen_at.map(|seen_at| now.since(seen_at));
    policy.reimage == ReimagePolicy::Auto
        && machine.key.is_pair()
        && machine.uid.source().is_strong()
        && owner.state == HostState::Active
        && !owner.held
        && !owner.holds_secret
        && !owner.selected_by_plan
        && owner.ever_connected
        && quiet_for.is_some_and(|span| span > Duration::from_secs(policy.reimage_after_secs.get()))
        && known.server_past_reconnect_window
        && !owner.last_key_revoked_by_person
}
