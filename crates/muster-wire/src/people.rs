//! Setup, teams and the people of a team.

use muster_ids::{TeamId, Timestamp, TokenId, UserId, WebSessionId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Ordered;
use crate::permission::Permission;
use crate::sign_in::Password;
use crate::text::{Line, Name};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the platform: every team, every shared host.
    Admin,
    /// Runs one team.
    Owner,
    /// Works with the hosts of a team: admits, tags, runs jobs.
    Operator,
    /// Looks at a team and changes nothing.
    Viewer,
}

impl Role {
    /// Every role, the mightiest first.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Owner, Self::Operator, Self::Viewer];

    /// The word of the role.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Viewer => "viewer",
        }
    }
}

/// `GET /v1/setup`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetupStatus {
    /// Whether the first admin exists.
    pub configured: bool,
}

/// `POST /v1/setup`: makes the first admin.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The one-time code the server printed.
    pub code: Line<64>,
    /// The name of the first admin.
    pub admin_name: Name,
    /// Where machines reach this server, best first; the default route's address when not said.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub public_urls: Ordered<Line<256>, 8>,
    /// The login of the first admin; with a password or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Line<64>>,
    /// The password of the first admin; with a login or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Password>,
}

impl std::fmt::Debug for Setup {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setup")
            .field("admin_name", &self.admin_name)
            .field("public_urls", &self.public_urls)
            .finish_non_exhaustive()
    }
}

/// An API token, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MintedToken {
    /// Its public half.
    pub token_id: TokenId,
    /// Who it acts as.
    pub user_id: UserId,
    /// The team it acts in.
    pub team_id: TeamId,
    /// The bearer string: shown once, never again.
    pub token: String,
}

impl std::fmt::Debug for MintedToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MintedToken({})", self.token_id)
    }
}

/// `GET /v1/me`: who a token acts as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The person.
    pub user_id: UserId,
    /// Their name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// The team they act in when they name none.
    pub team_id: TeamId,
    /// That team's name.
    pub team_name: String,
    /// The token that was shown, if one was.
    pub token_id: Option<TokenId>,
    /// The signed-in session, if it is one.
    pub web_session_id: Option<WebSessionId>,
    /// What the credential that was shown may do.
    pub permissions: Vec<Permission>,
}

/// `POST /v1/teams`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateTeam {
    /// What people call it; unique.
    pub name: Name,
}

/// A team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Team {
    /// Names it.
    pub id: TeamId,
    /// What people call it.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// `POST /v1/teams/{team_id}/owners`: makes an owner and their first API token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateOwner {
    /// The owner's name.
    pub name: Name,
}

/// A member of a team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Person {
    /// Names them.
    pub id: UserId,
    /// Their team.
    pub team_id: TeamId,
    /// Their name; of somebody removed, with a note that frees the name.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// What they sign in with; none for people who have only tokens, or come by a provider.
    pub login: Option<String>,
    /// Whether they sign in with a second factor; shown to those who manage people.
    pub has_second_factor: Option<bool>,
    /// When they became a member.
    pub created_at: Timestamp,
    /// When they last signed in.
    pub signed_in_at: Option<Timestamp>,
    /// When they were removed.
    pub removed_at: Option<Timestamp>,
}

/// `PUT /v1/people/{user_id}/role`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetRole {
    /// What they shall be.
    pub role: Role,
}
