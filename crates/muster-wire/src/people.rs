//! Setup, teams and the people of a team.

use muster_ids::{TeamId, Timestamp, TokenId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Ordered;
use crate::text::{Line, Name};

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Runs the platform: every team, every shared host.
    Admin,
    /// Runs one team.
    Owner,
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
    /// The token that was shown.
    pub token_id: TokenId,
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
