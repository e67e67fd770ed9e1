//! Sites and their policies.

use muster_ids::{SiteId, TeamId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Whole;
use crate::object::object;
use crate::text::Name;

/// What happens to a machine nobody knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum NewPolicy {
    /// It becomes a host.
    Auto,
    /// It waits for a person.
    Approve,
}

/// What happens to a machine that was probably installed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReimagePolicy {
    /// It waits for a person.
    Approve,
    /// It takes over its host when every condition of DESIGN §4 step 6 holds.
    Auto,
}

/// What happens to a host when a copy of it shows itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnClone {
    /// The holder of the current state works on if it was seen within a day; otherwise the host is held until a person
    /// answered which one is the copy.
    Hold,
    /// The host is suspended at once, whoever is connected.
    Suspend,
}

/// How a site admits machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SitePolicy {
    /// What happens to a machine nobody knows.
    pub new: NewPolicy,
    /// What happens to a machine that was probably installed anew.
    pub reimage: ReimagePolicy,
    /// Seconds without contact before `reimage = auto` may act.
    pub reimage_after_secs: Whole<0, 31_536_000>,
    /// New hosts an hour before the rest become claims.
    pub surge: Whole<1, 1_000_000>,
    /// Whether machines at door 3 must hold a key pair.
    pub require_key: bool,
    /// What happens to a host when a copy of it shows itself.
    pub on_clone: OnClone,
}

impl Default for SitePolicy {
    fn default() -> Self {
        Self {
            new: NewPolicy::Auto,
            reimage: ReimagePolicy::Approve,
            reimage_after_secs: Whole::clamped(86_400),
            surge: Whole::clamped(100),
            require_key: true,
            on_clone: OnClone::Hold,
        }
    }
}

/// `POST /v1/sites`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSite {
    /// What people call it; unique in the team.
    pub name: Name,
    /// How it admits machines.
    #[serde(default, deserialize_with = "object")]
    pub policy: SitePolicy,
}

/// `PUT /v1/sites/{site_id}/policy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetSitePolicy {
    /// The whole policy from now on; fields left out take their default.
    #[serde(deserialize_with = "object")]
    pub policy: SitePolicy,
}

/// A site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Site {
    /// Names it.
    pub id: SiteId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// What people call it.
    pub name: String,
    /// How it admits machines.
    pub policy: SitePolicy,
    /// When it was made.
    pub created_at: Timestamp,
}
