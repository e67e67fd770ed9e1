//! The audit trail as operators read it.

use muster_ids::{AuditId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing that was done or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditEntry {
    /// Names it.
    pub id: AuditId,
    /// Its place in the chain; dense, without gaps.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// Who: `user_…`, `host_…`, `jkt:…` or `system`.
    pub actor: String,
    /// The address they came from.
    pub source: String,
    /// What: `host.enrolled`, `claim.decided`, …
    pub action: String,
    /// On what.
    pub target: String,
    /// How it ended: `ok` or the code of the refusal.
    pub outcome: String,
    /// Details that are not secret.
    pub details: serde_json::Value,
}
