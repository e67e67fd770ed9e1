//! Keys of hosts as operators see them: who made them, when they were used, where they stand.

use std::fmt;

use muster_ids::{HostId, KeyName, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a host proves itself with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyKind {
    /// A key pair made on the machine; the server knows its public half.
    KeyPair,
    /// A bearer string; the server knows its keyed hash.
    AgentKey,
}

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostKeyState {
    /// It proves its host.
    Active,
    /// Its machine made it to take the active one's place, and has not come with it yet.
    Next,
    /// Another key took its place.
    Replaced,
    /// It was revoked, with its host or alone.
    Revoked,
}

/// A key of a host, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostKey {
    /// Names it, once and for ever.
    pub name: KeyName,
    /// What it is.
    pub kind: HostKeyKind,
    /// Where it stands.
    pub state: HostKeyState,
    /// The person who minted it; nobody, when its machine made it.
    pub created_by: Option<String>,
    /// The ticket its machine brought it with.
    pub ticket_id: Option<TicketId>,
    /// When it became a key of the host.
    pub created_at: Timestamp,
    /// When an agent key was first used.
    pub first_used_at: Option<Timestamp>,
    /// When an agent key was last used.
    pub last_used_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who ended it.
    pub ended_by: Option<String>,
}

/// `POST /v1/hosts/{host_id}/keys/rotate`: the host is asked for its next key pair on its channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRotation {
    /// The host.
    pub host_id: HostId,
    /// The key that is to be replaced.
    pub key: KeyName,
    /// Since when.
    pub asked_at: Timestamp,
    /// Whether the host is connected now; otherwise it is asked when it comes.
    pub connected: bool,
}

/// `POST /v1/hosts/{host_id}/agent-keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MintAgentKey {}

/// An agent key with its bearer string, shown once.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MintedAgentKey {
    /// The key.
    pub key: HostKey,
    /// The bearer string `msa_…`: shown once, never again.
    pub token: String,
}

impl fmt::Debug for MintedAgentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MintedAgentKey({})", self.key.name)
    }
}
