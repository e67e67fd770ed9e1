//! Invitations: how a person becomes a member by a link.

use std::fmt;

use muster_ids::{InvitationId, TeamId, Timestamp, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Whole;
use crate::people::Role;
use crate::sign_in::Password;
use crate::text::{Line, Name};

/// Life of an invitation in seconds: 5 minutes to 30 days, 72 hours when not said.
pub type InvitationLife = Whole<300, 2_592_000>;

/// How an invitation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvitationStatus {
    /// Somebody may accept it.
    Open,
    /// Somebody accepted it.
    Accepted,
    /// Nobody accepted it in time.
    Expired,
    /// It was revoked.
    Revoked,
}

/// `POST /v1/invitations`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateInvitation {
    /// The name the person will have in the team.
    pub name: Name,
    /// What they will be: `admin`, `operator` or `viewer` of the platform's team; `owner`, `operator` or `viewer` of
    /// any other.
    pub role: Role,
    /// Seconds until it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<InvitationLife>,
}

/// An invitation, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Invitation {
    /// Names it.
    pub id: InvitationId,
    /// The team it leads to.
    pub team_id: TeamId,
    /// The name the person will have.
    pub name: String,
    /// What they will be.
    pub role: Role,
    /// How it stands.
    pub status: InvitationStatus,
    /// Who invited.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Timestamp,
    /// When it was accepted.
    pub accepted_at: Option<Timestamp>,
    /// Who came of it.
    pub accepted_by: Option<UserId>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// An invitation that was just made, with its secret, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MintedInvitation {
    /// The invitation.
    pub invitation: Invitation,
    /// The bearer string `msi_…`: whoever has it becomes the person.
    pub token: String,
    /// The link to hand over: the bearer string is in its fragment, which no browser sends.
    pub url: String,
}

impl fmt::Debug for MintedInvitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintedInvitation({})", self.invitation.id)
    }
}

/// `POST /v1/invitations/accept`, with the invitation's bearer string as `Authorization`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AcceptInvitation {
    /// The login to sign in with from now on.
    pub login: Line<64>,
    /// The password.
    pub password: Password,
}
