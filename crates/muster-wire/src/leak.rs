//! *This key leaked*: what a ticket admitted, shown before it is suspended.

use muster_ids::{HostId, KeyName, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::HostState;
use crate::page::{Page, PageLimit};
use crate::text::Line;
use crate::ticket::Ticket;

/// `POST /v1/tickets/{ticket_id}/leak/preview`: what the ticket admitted. Changes nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreviewLeak {
    /// Only what it admitted since; everything when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// How many hosts to list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<Line<512>>,
}

/// What the ticket admitted, and what would become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeakPreview {
    /// The ticket, which would be revoked.
    pub ticket_id: TicketId,
    /// Since when its hosts are meant.
    pub since: Option<Timestamp>,
    /// Hosts it admitted since then, whatever became of them.
    pub admitted: u64,
    /// Those of them that are active and would be suspended.
    pub active: u64,
    /// Claims that wait with it and would be closed.
    pub waiting_claims: u64,
    /// The hosts.
    pub hosts: Page<LeakedHost>,
    /// Names what is shown here; send it back to do exactly this.
    pub preview: String,
}

/// A host that a leaked ticket admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeakedHost {
    /// The host.
    pub host_id: HostId,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life.
    pub state: HostState,
    /// The last key that was admitted with the ticket.
    pub key: Option<KeyName>,
    /// When that was.
    pub admitted_at: Timestamp,
    /// Its last sign of life.
    pub last_seen_at: Option<Timestamp>,
    /// Names of the secrets it holds: whoever has its key has read them.
    pub secrets: Vec<String>,
}

/// `POST /v1/tickets/{ticket_id}/leak`: revokes the ticket and suspends what it admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReportLeak {
    /// As in the preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The preview that was seen; 409 `preview_stale` when something changed since: no host is suspended then, and the
    /// ticket is revoked nevertheless.
    pub preview: Line<64>,
    /// Whether to suspend the hosts; the ticket is revoked either way.
    pub suspend: bool,
}

/// What was done about a leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeakReported {
    /// The ticket, revoked.
    pub ticket: Ticket,
    /// Hosts that are suspended, their channels cut.
    pub suspended: u64,
    /// Hosts that follow in the background; a preview shows how many are still active.
    pub remaining: u64,
}
