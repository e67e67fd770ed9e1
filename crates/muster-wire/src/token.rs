//! API tokens: what programs show for a person.

use std::fmt;

use muster_ids::{TeamId, Timestamp, TokenId, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, Whole};
use crate::permission::Permission;
use crate::text::Name;

/// Life of a token in seconds: 5 minutes to a year; when not said 90 days, 30 for people who come by a provider. None
/// lives for ever.
pub type TokenLife = Whole<300, 31_536_000>;

/// How a token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApiTokenStatus {
    /// It is good.
    Live,
    /// It lapsed.
    Expired,
    /// It was revoked, or its owner removed.
    Revoked,
}

/// `POST /v1/me/tokens`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateApiToken {
    /// What it is for.
    pub name: Name,
    /// What it may at most; everything its owner may when not said. Never more than what makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Few<Permission, 32>>,
    /// Seconds until it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<TokenLife>,
    /// The only team it acts in, for admins; there it may what an owner may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team_id: Option<TeamId>,
}

/// An API token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiToken {
    /// Its public half.
    pub id: TokenId,
    /// Who it acts as.
    pub user_id: UserId,
    /// Their name.
    pub user_name: String,
    /// What it is for; none of the first token of a person.
    pub name: Option<String>,
    /// What it may at most; everything its owner may when there are none.
    pub scopes: Option<Vec<Permission>>,
    /// The only team it acts in.
    pub team_id: Option<TeamId>,
    /// How it stands.
    pub status: ApiTokenStatus,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses; never for the first token of a person.
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
    /// When it was last used, as far as that is written down: seconds ago are not.
    pub last_used_at: Option<Timestamp>,
    /// The address it was last used from.
    pub last_used_from: Option<String>,
}

/// An API token that was just made, with its secret, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MintedApiToken {
    /// The token.
    pub api_token: ApiToken,
    /// The bearer string: shown once, never again.
    pub token: String,
}

impl fmt::Debug for MintedApiToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintedApiToken({})", self.api_token.id)
    }
}
