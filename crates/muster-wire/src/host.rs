//! Hosts as operators see them.

use muster_ids::{ClaimId, HostId, KeyName, MachineUid, SiteId, TeamId, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::Few;
use crate::channel::ConfigVersion;
use crate::enroll::{Disposition, Facts, Labels};
use crate::overview::Vitals;
use crate::text::{Hostname, Line, Name, Tag};
use crate::ticket::{EphemeralHours, MintedTicket, OneTimeLife};

/// Most tags of a host.
pub const MOST_TAGS: usize = 32;

/// Where a host stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Made by an operator, not yet registered.
    Invited,
    /// Admitted.
    Active,
    /// Keeps its keys, is refused everything.
    Suspended,
    /// Gone for good; the tombstone stays.
    Retired,
}

/// Whether a host can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// It never connected and never sent a heartbeat.
    NeverSeen,
    /// Connected, or its last heartbeat is recent.
    Online,
    /// Three heartbeats are missing.
    Unreachable,
    /// It said goodbye, or is unreachable for a day.
    Offline,
}

/// Whose host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostKind {
    /// A host of the platform team.
    Shared,
    /// A host a team brought itself.
    Team,
}

/// `POST /v1/hosts`: invites a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InviteHost {
    /// What people call it.
    pub name: Name,
    /// The site it will stand at; the team's `default` site when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<SiteId>,
    /// Who runs the hardware.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Line<64>>,
    /// Where the provider keeps it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<Line<64>>,
    /// Tags that selectors match.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tags: Few<Tag, MOST_TAGS>,
    /// Seconds until its registration token lapses; an hour when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<OneTimeLife>,
    /// Whether its machine must hold a key pair.
    #[serde(default)]
    pub require_key: bool,
    /// Hours without contact after which it is retired; never when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_hours: Option<EphemeralHours>,
}

/// The reply to `POST /v1/hosts`: the host and the ticket it registers with, shown once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InvitedHost {
    /// The host.
    pub host: Host,
    /// Its registration token.
    pub registration: MintedTicket,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Host {
    /// The identity.
    pub id: HostId,
    /// The team it belongs to.
    pub team_id: TeamId,
    /// The site it stands at.
    pub site_id: SiteId,
    /// Whose host it is.
    pub kind: HostKind,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life.
    pub state: HostState,
    /// Whether and why it is held: it may be the copy, and neither side gets or does anything before a person answered.
    pub held: Option<HostHeld>,
    /// Whether it can be reached, and since when that is known.
    pub presence: HostPresence,
    /// The door it came through: 1 one-time token, 2 invitation, 3 site key.
    pub door: Option<u8>,
    /// How it came to be.
    pub disposition: Option<Disposition>,
    /// Who runs the hardware.
    pub provider: Option<String>,
    /// Where the provider keeps it.
    pub zone: Option<String>,
    /// Tags that selectors match.
    pub tags: Vec<Tag>,
    /// What the machine says about itself; matches no selector.
    pub reported: Option<Reported>,
    /// How it is, as it last said to this server since it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vitals: Option<Vitals>,
    /// What the machine's own policy lets jobs do there, as its agent said when it last connected. Reported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<Vec<Tag>>,
    /// When its agent first said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_at: Option<Timestamp>,
    /// The keys it proves itself with: one key pair, or agent keys.
    pub keys: Vec<KeyName>,
    /// Names of its secrets that went to a key nobody trusts any more, until their value changes; shown with one host,
    /// not in lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exposed_secrets: Vec<String>,
    /// The configuration it should have and has; an invited or retired host has none.
    #[serde(default)]
    pub config: Option<HostConfig>,
    /// The ticket it came with.
    pub ticket_id: Option<TicketId>,
    /// Hours without contact after which it is retired by itself.
    pub ephemeral_hours: Option<u64>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When it was first admitted.
    pub enrolled_at: Option<Timestamp>,
    /// When it was retired.
    pub retired_at: Option<Timestamp>,
}

/// Why a host is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostHeld {
    /// Since when.
    pub held_at: Timestamp,
    /// The first claim of a copy that waits: its decision answers the question. None waits: resume the host.
    pub claim_id: Option<ClaimId>,
}

/// What a host should have, and has: its configuration, by version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostConfig {
    /// The version it should have.
    pub wanted: ConfigVersion,
    /// The version its agent last confirmed.
    pub applied: Option<ConfigVersion>,
    /// When it did.
    pub applied_at: Option<Timestamp>,
    /// Since when it lacks what it should have; none: it has it.
    pub drifted_since: Option<Timestamp>,
    /// How often the wanted version was sent.
    pub sent_times: u32,
    /// When it was last sent.
    pub sent_at: Option<Timestamp>,
}

/// Whether a host can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostPresence {
    /// The word for it.
    pub status: Presence,
    /// Its last sign of life.
    pub last_seen_at: Option<Timestamp>,
}

/// What a machine said about itself when it was last admitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reported {
    /// Its own name.
    pub hostname: Hostname,
    /// What identifies its hardware.
    pub machine_uid: MachineUid,
    /// Whether the host owns that uid in its team.
    pub owns_uid: bool,
    /// What it is.
    pub facts: Facts,
    /// What its owner wrote on it.
    pub labels: Labels,
}

/// `PUT /v1/hosts/{host_id}/tags`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SetTags {
    /// All tags of the host from now on.
    pub tags: Few<Tag, MOST_TAGS>,
}

/// `POST /v1/hosts/{host_id}/move`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveHost {
    /// The site it stands at from now on: one of its team.
    pub site_id: SiteId,
}

/// `GET /v1/hosts/{host_id}/retirement`: what retiring would destroy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RetirementPreview {
    /// The host.
    pub host_id: HostId,
    /// What people call it.
    pub name: String,
    /// Whether its agent is connected now.
    pub connected: bool,
    /// Keys that will be revoked.
    pub keys: Vec<KeyName>,
    /// Names of the secrets that will be destroyed.
    pub secrets: Vec<String>,
    /// Jobs that have not ended.
    pub open_jobs: u32,
    /// Claims that contest this host.
    pub open_claims: u32,
    /// Names this view; send it back to retire exactly what was seen.
    pub preview_version: String,
}

/// `POST /v1/hosts/{host_id}/retire`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetireHost {
    /// The preview that was seen; without it, or when it is stale, 409 `preview_stale`.
    pub preview_version: Line<64>,
}
