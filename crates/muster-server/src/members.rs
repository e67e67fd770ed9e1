//! What is written when a member's role changes or they go; whoever does it asks `muster_domain::membership` first.

use muster_domain::membership::{self, Member, Refusal};
use muster_ids::{TeamId, UserId};
use muster_store::rows::MemberRow;
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::people::Role;
use serde_json::json;

use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

/// Held by whoever counts members before they change one: two who go at once do not both find the other.
pub(crate) const MEMBERS: LockKey = LockKey::Named("members");

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::BeyondReach => Self::Forbidden {
                code: "beyond_reach",
                detail: "you, or your token, may not make or change somebody who may more",
            },
            Refusal::OutlivesMaker => Self::invalid("/expires_in_secs", "outlives_its_maker"),
            Refusal::RoleDoesNotFit => Self::invalid("/role", "does_not_fit_team"),
            Refusal::OwnRole => Self::conflict("own_role", "nobody sets their own role"),
            Refusal::LastAdmin => Self::conflict("last_admin", "nobody could run the platform any more"),
            Refusal::LastOwner => {
                Self::conflict("last_owner", "only an admin may leave a team without an owner")
            }
        }
    }
}

/// Reads a person of a team and what a decision about them needs, so that it stays true until the commit.
///
/// The caller holds the exclusive lock of the person.
pub(crate) fn known(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    user_id: UserId,
    asked_by: UserId,
) -> Result<(MemberRow, Member), Failure> {
    unit.tx.lock(&[Lock::exclusive(MEMBERS)])?;
    let row = unit.tx.member(team_id, user_id)?.ok_or(Failure::NotFound)?;
    let has_peers = unit.tx.member_has_peers(team_id, row.role, user_id)?;
    let member = Member { role: row.role, is_self: user_id == asked_by, has_peers };
    Ok((row, member))
}

/// Sets the role of a member: their sessions end, their streams are cut, and what they invited is revoked.
pub(crate) fn set_role(
    unit: &mut Unit<'_, '_>,
    author: &Author,
    member: &MemberRow,
    role: Role,
) -> Result<(), Failure> {
    if role == member.role {
        return Ok(());
    }
    if !unit.tx.member_set_role(member.team_id, member.id, role)? {
        return Err(Failure::NotFound);
    }
    let sessions = unit.tx.web_sessions_end(member.id, None, unit.now)?.len();
    let invitations = unit.tx.member_revoke_invitations(member.id, unit.now)?;
    unit.end(member.team_id, Ended::Person(member.id), "role")?;
    let set = Fact::new(Happening::PersonRoleSet, member.team_id, author, member.id).changed(["role"]);
    unit.happened(set.details(json!({
        "from": member.role,
        "to": role,
        "ended_sessions": sessions,
        "revoked_invitations": invitations,
    })));
    Ok(())
}

/// Removes a member: everything they show and sign in with ends, and what they invited is revoked. A tombstone stays,
/// so that the audit trail names somebody and the setup stays closed.
pub(crate) fn remove(unit: &mut Unit<'_, '_>, author: &Author, member: &MemberRow) -> Result<(), Failure> {
    let now = unit.now;
    let tombstone = membership::tombstone(&member.name, member.id, now);
    if !unit.tx.member_remove(member.team_id, member.id, &tombstone, now)? {
        return Err(Failure::NotFound);
    }
    let tokens = unit.tx.member_revoke_tokens(member.id, now)?;
    let sessions = unit.tx.web_sessions_end(member.id, None, now)?.len();
    let invitations = unit.tx.member_revoke_invitations(member.id, now)?;
    unit.tx.member_forget_sign_in(member.id)?;
    unit.tx.saved_views_remove(member.id)?;
    unit.end(member.team_id, Ended::Person(member.id), "removed")?;
    let removed = Fact::new(Happening::PersonRemoved, member.team_id, author, member.id);
    unit.happened(removed.details(json!({
        "name": member.name,
        "role": member.role,
        "revoked_tokens": tokens,
        "ended_sessions": sessions,
        "revoked_invitations": invitations,
    })));
    Ok(())
}
