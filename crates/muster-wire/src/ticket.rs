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
}

/// `POST /v1/site-keys`: door 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateSiteKey {
    /// The site it admits to.
    pub site_id: SiteId,
    /// Seconds until it lapses; never when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<Whole<300, 315_360_000>>,
    /// How many hosts it may make or re-key; without bound when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_uses: Option<Whole<1, 1_000_000>>,
}

/// `POST /v1/hosts/{host_id}/registration-token`: door 2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateRegistrationToken {
    /// Seconds until it lapses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_in_secs: Option<OneTimeLife>,
    /// Re-keys an active host whatever its presence.
    #[serde(default)]
    pub rejoin: bool,
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
    /// Hosts it made or re-keyed.
    pub uses: u64,
    /// How many it may make or re-key.
    pub max_uses: Option<u64>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it lapses.
    pub expires_at: Option<Timestamp>,
    /// When it was last used.
    pub last_used_at: Option<Timestamp>,
    /// The host it last made or re-keyed.
    pub last_host_id: Option<HostId>,
}

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TicketStatus {
    /// It opens its door.
    Open,
    /// A waiting claim holds it for one key.
    Reserved,
    /// It was used up.
    Spent,
    /// It lapsed.
    Expired,
    /// A person revoked it, or a newer one voided it.
    Revoked,
}

/// One cause of refusals at a ticket, aggregated: `GET /v1/tickets/{ticket_id}/refusals`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TicketRefusal {
    /// Why machines were refused.
    pub cause: String,
    /// How often.
    pub count: u64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// The address the last one came from.
    pub last_source: String,
    /// The request id the last machine may quote.
    pub last_request_id: String,
}
