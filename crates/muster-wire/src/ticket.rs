//! Tickets: what a machine presents at a door.

use muster_ids::{HostId, SiteId, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, FewEntries, Whole};
use crate::secret::Document;
use crate::text::{Name, SecretName, Tag};

/// The kind of a ticket is the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketKind {
    /// Door 1: admits one new host with everything the ticket carries.
    EnrolmentToken,
    /// Door 2: admits the host it was made for.
    RegistrationToken,
    /// Door 3: admits any machine of a site.
    SiteKey,
}

impl TicketKind {
    /// The number of the door.
    pub const fn door(self) -> u8 {
        match self {
            Self::EnrolmentToken => 1,
            Self::RegistrationToken => 2,
            Self::SiteKey => 3,
        }
    }
}

/// Life of a one-time ticket in seconds: 5 minutes to 30 days, 1 hour when not said.
pub type OneTimeLife = Whole<300, 2_592_000>;
/// Life of a site key in seconds: from 5 minutes on; for ever when not said.
pub type SiteKeyLife = Whole<300, 315_360_000>;
/// How many hosts a site key may make or re-key.
pub type MaxUses = Whole<1, 1_000_000>;
/// Hours without contact after which a host is retired; never when not said.
pub type EphemeralHours = Whole<1, 8760>;
/// Seconds in which a rotated site key still admits: up to 30 days, 7 days when not said.
pub type Overlap = Whole<0, 2_592_000>;

/// `POST /v1/enrolment-tokens`: door 1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateEnrolmentToken {
    /// The name the host will have; the machine's own name when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_name: Option<Name>,
    /// The site it will stand at; the team's `default` site when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_id: Option<SiteId>,
    /// The tags it will have.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tags: Few<Tag, 32>,
    /// Seconds until it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<OneTimeLife>,
    /// The secrets the host will receive before its first job.
    #[serde(default, skip_serializing_if = "FewEntries::is_empty")]
    pub secrets: FewEntries<SecretName, Document, 16>,
    /// Whether the machine must hold a key pair.
    #[serde(default)]
    pub require_key: bool,
    /// Hours without contact after which the host is retired; never when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_hours: Option<EphemeralHours>,
}

/// `POST /v1/site-keys`: door 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSiteKey {
    /// The site it admits to.
    pub site_id: SiteId,
    /// Seconds until it lapses; never when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<SiteKeyLife>,
    /// How many hosts it may make or re-key; without bound when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<MaxUses>,
    /// Whether machines must hold a key pair, whatever the site asks for.
    #[serde(default)]
    pub require_key: bool,
    /// Hours without contact after which its hosts are retired; never when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_hours: Option<EphemeralHours>,
}

/// `POST /v1/site-keys/{ticket_id}/rotate`: the next key of the same site, with the same settings.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateSiteKey {
    /// Seconds in which the former key still admits; 7 days when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap_secs: Option<Overlap>,
    /// Seconds until the new key lapses; as long as the former one was made for when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<SiteKeyLife>,
    /// How many hosts the new key may make or re-key; as many as the former one when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<MaxUses>,
}

/// `POST /v1/hosts/{host_id}/registration-token`: door 2.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRegistrationToken {
    /// Seconds until it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<OneTimeLife>,
    /// Re-keys an active host whatever its presence.
    #[serde(default)]
    pub rejoin: bool,
    /// Whether the machine must hold a key pair; as the token it takes the place of when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_key: Option<bool>,
    /// Hours without contact after which the host is retired; as the host stands when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ephemeral_hours: Option<EphemeralHours>,
}

/// A ticket with its bearer string, shown once.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MintedTicket {
    /// The ticket.
    pub ticket: Ticket,
    /// The bearer string: shown once, never again.
    pub token: String,
    /// One line for `muster-agent join`: URLs, ticket, instruction key and pins.
    pub join_string: String,
}

impl std::fmt::Debug for MintedTicket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MintedTicket({})", self.ticket.id)
    }
}

/// A ticket, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ticket {
    /// Its public half.
    pub id: TicketId,
    /// Which door it opens.
    pub kind: TicketKind,
    /// Where it stands.
    pub status: TicketStatus,
    /// The site it admits to.
    pub site_id: SiteId,
    /// The host it was made for, at door 2.
    pub host_id: Option<HostId>,
    /// The name its host will have, at door 1.
    pub host_name: Option<String>,
    /// Whether it re-keys an active host, at door 2.
    pub rejoin: bool,
    /// The tags its host will have.
    pub tags: Vec<Tag>,
    /// Names of the secrets it carries.
    pub secrets: Vec<String>,
    /// Whether the machine must hold a key pair.
    pub require_key: bool,
    /// Hours without contact after which its hosts are retired.
    pub ephemeral_hours: Option<u64>,
    /// Hosts it made or re-keyed.
    pub uses: u64,
    /// How many it may make or re-key.
    pub max_uses: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Option<Timestamp>,
    /// What took its place, if it is a rotated site key.
    pub rotation: Option<TicketRotation>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// The host it last made or re-keyed.
    pub last_host_id: Option<HostId>,
}

/// How a site key was rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketRotation {
    /// The key that took its place.
    pub to: TicketId,
    /// When.
    pub at: Timestamp,
    /// Until when both admit.
    pub both_admit_until: Timestamp,
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    /// It opens its door.
    Open,
    /// A waiting claim holds it for one key.
    Reserved,
    /// One machine spent it.
    Spent,
    /// It made or re-keyed as many hosts as it may.
    UsedUp,
    /// It lapsed.
    Expired,
    /// Another site key takes its place; it still admits for a while.
    Rotated,
    /// Another site key took its place.
    RotatedOut,
    /// A person revoked it, or a newer one voided it.
    Revoked,
}
