//! Saved views: filters of the list of hosts, under a name of their person's own.

use muster_ids::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::Line;

/// Most views a person has in one team.
pub const MOST_VIEWS: usize = 50;

/// `PUT /v1/me/views/{name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetView {
    /// A query of `GET /v1/hosts` without `limit` and `cursor`: `state=active&tag=x`.
    pub query: Line<512>,
}

/// A view of the list of hosts: its person's own, in one team.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SavedView {
    /// What its person calls it.
    pub name: String,
    /// A query of `GET /v1/hosts`.
    pub query: String,
    /// When it was last set.
    pub updated_at: Timestamp,
}
