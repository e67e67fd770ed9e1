//! Who may make, change and remove whom; nobody is left without somebody who can.

use std::time::Duration;

use muster_ids::{Timestamp, UserId};
use muster_wire::invitation::InvitationStatus;
use muster_wire::people::Role;

use crate::permission::{Reach, role_fits_team};

/// How long an invitation stands when nobody says.
pub const INVITED_FOR: Duration = Duration::from_secs(72 * 3600);
/// Open invitations a team may have.
pub const MOST_INVITATIONS: i64 = 100;

/// Why a member is not made, changed or removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// They are, or would be, mightier than whoever asks.
    #[error("beyond the reach of who asks")]
    BeyondReach,
    /// The invitation would outlive the token that makes it.
    #[error("it would outlive its maker")]
    OutlivesMaker,
    /// No such role in this team.
    #[error("the role does not fit the team")]
    RoleDoesNotFit,
    /// Nobody sets their own role.
    #[error("nobody sets their own role")]
    OwnRole,
    /// Nobody could run the platform any more.
    #[error("the last admin")]
    LastAdmin,
    /// Nobody of the team could run it any more.
    #[error("the last owner")]
    LastOwner,
}

/// A member somebody wants to change, as the transaction reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// What they are.
    pub role: Role,
    /// Whether they are the one who asks.
    pub is_self: bool,
    /// Whether their team has another member of their role.
    pub has_peers: bool,
}

/// Decides whether somebody may invite a person of `role` into a team.
pub fn invite(by: &Reach, role: Role, team_is_platform: bool) -> Result<(), Refusal> {
    if !role_fits_team(role, team_is_platform) {
        return Err(Refusal::RoleDoesNotFit);
    }
    if by.covers_role(role) { Ok(()) } else { Err(Refusal::BeyondReach) }
}

/// Decides until when an invitation stands: never longer than the token it is made with, if it is made with one.
pub fn invited_until(
    lives_for: Option<Duration>,
    maker_ends: Option<Timestamp>,
    now: Timestamp,
) -> Result<Timestamp, Refusal> {
    match (lives_for, maker_ends) {
        (Some(lives_for), Some(end)) if now.plus(lives_for) > end => Err(Refusal::OutlivesMaker),
        (Some(lives_for), _) => Ok(now.plus(lives_for)),
        (None, end) => Ok(end.map_or(now.plus(INVITED_FOR), |end| end.min(now.plus(INVITED_FOR)))),
    }
}

/// Says how an invitation stands at `now`; only an open one is accepted.
pub fn invitation_status(
    accepted_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    expires_at: Timestamp,
    now: Timestamp,
) -> InvitationStatus {
    match (accepted_at, revoked_at) {
        (Some(_), _) => InvitationStatus::Accepted,
        // What time ended was ended when it lapsed.
        (None, Some(at)) if at == expires_at => InvitationStatus::Expired,
        (None, Some(_)) => InvitationStatus::Revoked,
        (None, None) if now >= expires_at => InvitationStatus::Expired,
        (None, None) => InvitationStatus::Open,
    }
}

/// Decides whether somebody may set the role of a member.
pub fn set_role(by: &Reach, member: &Member, role: Role, team_is_platform: bool) -> Result<(), Refusal> {
    if !by.covers_role(member.role) {
        return Err(Refusal::BeyondReach);
    }
    invite(by, role, team_is_platform)?;
    if role == member.role {
        return Ok(());
    }
    if member.is_self {
        return Err(Refusal::OwnRole);
    }
    somebody_stays(by, member)
}

/// Decides whether somebody may remove a member; themselves too, while another can take care.
pub fn remove(by: &Reach, member: &Member) -> Result<(), Refusal> {
    if !by.covers_role(member.role) {
        return Err(Refusal::BeyondReach);
    }
    somebody_stays(by, member)
}

/// Decides whether a credential of a member may be revoked: scopes do not count, for it takes a right away.
pub fn revoke_credential(by: &Reach, owner: Role) -> Result<(), Refusal> {
    let whole = Reach { role: by.role, scopes: None };
    if whole.covers_role(owner) { Ok(()) } else { Err(Refusal::BeyondReach) }
}

/// Returns the name of somebody who was removed: their own is free again, and no living person can have this one, which
/// is longer than names are.
pub fn tombstone(name: &str, user_id: UserId, now: Timestamp) -> String {
    format!("{name} (removed {now}, {user_id})")
}

/// A team without an owner can still be run by an admin; a platform without an admin by nobody.
fn somebody_stays(by: &Reach, member: &Member) -> Result<(), Refusal> {
    match member.role {
        _ if member.has_peers => Ok(()),
        Role::Admin => Err(Refusal::LastAdmin),
        Role::Owner if by.role != Role::Admin => Err(Refusal::LastOwner),
        Role::Owner | Role::Operator | Role::Viewer => Ok(()),
    }
}

#[cfg(test)]
mod tests;
