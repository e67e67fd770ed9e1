//! One change of many hosts, shown before it is done.

use muster_ids::{HostId, SiteId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, Ordered, distinct};
use crate::host::{HostState, MOST_TAGS, RetirementPreview};
use crate::object::object;
use crate::text::{Line, Tag};

/// Most hosts that are changed at once.
pub const MOST_CHANGED: usize = 100;

/// What is done to hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum HostChange {
    /// Gives them tags and takes others away.
    Tags {
        /// Tags they have from now on.
        #[serde(default)]
        add: Few<Tag, MOST_TAGS>,
        /// Tags they have no longer; none of `add`.
        #[serde(default)]
        remove: Few<Tag, MOST_TAGS>,
    },
    /// Suspends them: they keep their keys and are refused everything.
    Suspend {},
    /// Lets them work again.
    Resume {},
    /// Moves them to another site of their team.
    Move {
        /// The site they stand at from now on.
        site_id: SiteId,
    },
    /// Retires them for good.
    Retire {},
}

/// `POST /v1/hosts/changes/preview`: what a change would do. Changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewHostChange {
    /// The hosts, each once.
    #[serde(deserialize_with = "distinct")]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub hosts: Ordered<HostId, MOST_CHANGED>,
    /// What is done to them.
    #[serde(deserialize_with = "object")]
    pub change: HostChange,
}

/// `POST /v1/hosts/changes`: does what the preview showed, to all of them in one transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeHosts {
    /// As in the preview.
    #[serde(deserialize_with = "distinct")]
    #[schemars(extend("minItems" = 1, "uniqueItems" = true))]
    pub hosts: Ordered<HostId, MOST_CHANGED>,
    /// As in the preview.
    #[serde(deserialize_with = "object")]
    pub change: HostChange,
    /// The preview that was seen; 409 `preview_stale` when something changed since, and nothing is done.
    pub preview_version: Line<64>,
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostChangePreview {
    /// One for each host, in the order of their ids.
    pub items: Vec<PreviewedHost>,
    /// Hosts that would change.
    pub changes: u32,
    /// Names what is shown here; send it back to do exactly this.
    pub preview_version: String,
}

/// What becomes of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostOutcome {
    /// It changes.
    Changes,
    /// It is as it would become: nothing is done.
    Stays,
    /// It cannot change so, and is left as it is.
    Refused,
}

/// What a change would do to one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PreviewedHost {
    /// The host.
    pub host_id: HostId,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life now.
    pub state: HostState,
    /// The site it stands at now.
    pub site_id: SiteId,
    /// Its tags now.
    pub tags: Vec<Tag>,
    /// What becomes of it.
    pub outcome: HostOutcome,
    /// Why it cannot change so.
    pub refused: Option<HostChangeRefused>,
    /// The tags it would have, of a change of tags.
    pub tags_after: Option<Vec<Tag>>,
    /// What would be destroyed, of a retirement.
    pub retirement: Option<RetirementPreview>,
}

/// Why a host cannot change so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostChangeRefused {
    /// The code of the problem that the change of this host alone would have got.
    pub code: String,
    /// The same in words.
    pub detail: String,
}

/// What was done, in the order of the hosts' ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedHosts {
    /// One for each host.
    pub items: Vec<ChangedHost>,
    /// Hosts that changed.
    pub changed: u32,
}

/// What became of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedHost {
    /// The host.
    pub host_id: HostId,
    /// Whether it was changed, was so already, or could not be changed so.
    pub outcome: HostOutcome,
    /// Why it could not be changed so.
    pub refused: Option<HostChangeRefused>,
    /// Where it stands in its life from now on.
    pub state: HostState,
    /// The site it stands at from now on.
    pub site_id: SiteId,
    /// Its tags from now on.
    pub tags: Vec<Tag>,
}
