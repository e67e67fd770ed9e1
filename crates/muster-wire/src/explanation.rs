//! What a ticket would admit, said before anybody shows it.

use muster_ids::{HostId, SiteId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::claim::ClaimReason;
use crate::object::object;
use crate::refusal::RefusalCause;
use crate::text::Tag;
use crate::ticket::{CreateEnrolmentToken, CreateRegistrationToken, CreateSiteKey, TicketKind};

/// `POST /v1/tickets/explain`: the body of a route that mints, under the kind of the ticket. Nothing is minted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplainTicket {
    /// As `POST /v1/enrolment-tokens`.
    EnrolmentToken(#[serde(deserialize_with = "object")] CreateEnrolmentToken),
    /// As `POST /v1/hosts/{host_id}/registration-token`.
    RegistrationToken(#[serde(deserialize_with = "object")] ExplainRegistrationToken),
    /// As `POST /v1/site-keys`.
    SiteKey(#[serde(deserialize_with = "object")] CreateSiteKey),
}

/// A registration token and the host it would be for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRegistrationToken {
    /// The host.
    pub host_id: HostId,
    /// What would be asked for.
    #[serde(default, deserialize_with = "object")]
    pub token: CreateRegistrationToken,
}

/// What a ticket would admit now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explanation {
    /// Which door it opens.
    pub kind: TicketKind,
    /// The site it admits to.
    pub site_id: SiteId,
    /// Why it admits nobody who is not a host already; absent while it opens its door.
    pub closed_by: Option<RefusalCause>,
    /// How many hosts it may still make or re-key; absent: any number.
    pub hosts_left: Option<u64>,
    /// Until when; absent: until somebody revokes it.
    pub until: Option<Timestamp>,
    /// New hosts an hour after which the others wait for a person; absent where nobody is let in unasked.
    pub surge_per_hour: Option<u64>,
    /// Whether a machine needs a key pair.
    pub key_pair_required: bool,
    /// What the host gets.
    pub gives: Gives,
    /// What becomes of whom.
    pub cases: Vec<Case>,
}

/// What a host gets with its ticket.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gives {
    /// The host the ticket is for, at door 2.
    pub host_id: Option<HostId>,
    /// Whether that host is active and gets another key.
    pub rejoin: bool,
    /// Its name; its machine's own name when absent.
    pub host_name: Option<String>,
    /// Its tags.
    pub tags: Vec<Tag>,
    /// Names of the secrets it receives before its first job.
    pub secrets: Vec<String>,
    /// Hours without contact after which it is retired; absent: it stays.
    pub ephemeral_hours: Option<u64>,
}

/// What becomes of one kind of machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Case {
    /// Who comes.
    pub machine: Situation,
    /// What becomes of it.
    pub fate: Fate,
}

/// Who comes to the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Situation {
    /// A machine nobody knows, with a key pair.
    New,
    /// A machine nobody knows, without a key pair.
    NewWithoutKeyPair,
    /// A machine nobody knows, after as many others within the hour as the site lets in.
    NewInSurge,
    /// A machine with the key of the host the ticket is for; at door 3, of any host of this site.
    SameHost,
    /// A machine with the key of another host of the team.
    OtherHost,
    /// A machine with the key of a host of another team.
    ForeignHost,
    /// A machine with the key of a suspended host.
    SuspendedHost,
    /// A machine whose key was revoked or replaced.
    RevokedKey,
    /// A machine with a new key and the uid of a silent host of this site: installed anew.
    Reimaged,
    /// The same, and every condition holds under which the site lets it take over its host.
    ReimagedLongAgo,
    /// A machine with a new key and the uid of a host that was heard of minutes ago: a copy.
    Copy,
    /// A machine with a new key and the uid of a host at another site of the team.
    ForeignSite,
    /// A machine with a new key and the uid of a retired host.
    Retired,
}

/// What becomes of a machine at the door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Fate {
    /// It becomes a new host.
    NewHost,
    /// It becomes the host the ticket is for.
    Registered,
    /// It becomes the host that is there, whose former key ends.
    Rekeyed,
    /// It is the host it was.
    Same,
    /// It waits for a person.
    Waits {
        /// Why.
        reason: ClaimReason,
    },
    /// It is turned away.
    Refused {
        /// Why.
        cause: RefusalCause,
    },
}
