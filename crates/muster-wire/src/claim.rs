//! Claims: enrolments that wait for a person.

use muster_ids::{ClaimId, HostId, KeyName, MachineUid, SiteId, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::enroll::{Facts, Labels};
use crate::host::{HostState, Presence};
use crate::text::{Hostname, Line};

/// Why a person must decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimReason {
    /// The owner of the uid is online or was seen minutes ago: two machines at once.
    Collision,
    /// The owner of the uid was not seen lately: probably the same machine, installed anew.
    Reimage,
    /// A one-time or registration token came from a machine whose uid another host owns.
    UidTaken,
    /// The uid was last owned by a retired host.
    Retired,
    /// The site admits nobody without a person.
    Approval,
    /// More new hosts than the site expects in an hour.
    Surge,
    /// The uid is owned by a host of another site of the team.
    SiteConflict,
}

/// Where a claim stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimState {
    /// Nobody decided yet.
    Waiting,
    /// It took over the contested host.
    Replaced,
    /// It took over the contested host, which moved to this site.
    Moved,
    /// It became a host of its own.
    New,
    /// It was refused.
    Rejected,
    /// Nobody decided in time.
    Expired,
    /// Its ticket was revoked, or its ground fell away.
    Closed,
}

/// What a person may decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The machine takes over the contested host.
    Replace,
    /// The machine takes over the contested host, which moves to the site of the claim.
    Move,
    /// The machine becomes a host of its own.
    New,
    /// The machine is refused.
    Reject,
}

/// A claim with its evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Names it.
    pub id: ClaimId,
    /// The site whose door it stands at.
    pub site_id: SiteId,
    /// Why a person must decide.
    pub reason: ClaimReason,
    /// Where it stands.
    pub state: ClaimState,
    /// What may be decided.
    pub verdicts: Vec<Verdict>,
    /// The machine that asks.
    pub machine: ClaimMachine,
    /// The host it contests.
    pub contested: Option<ContestedHost>,
    /// Facts in which both differ: field, the host's, the machine's.
    pub differences: Vec<FactDifference>,
    /// Names what is shown here; a decision must send it back.
    pub evidence_version: String,
    /// When the machine first asked.
    pub created_at: Timestamp,
    /// When the claim lapses.
    pub expires_at: Timestamp,
    /// When it was decided.
    pub decided_at: Option<Timestamp>,
    /// The host that came of it.
    pub result_host_id: Option<HostId>,
}

/// The machine that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimMachine {
    /// Its own name.
    pub hostname: Hostname,
    /// What identifies its hardware.
    pub machine_uid: MachineUid,
    /// The key it proved.
    pub key: KeyName,
    /// What it is.
    pub facts: Facts,
    /// What its owner wrote on it.
    pub labels: Labels,
    /// The address it came from.
    pub source_address: String,
    /// The ticket it showed.
    pub ticket_id: TicketId,
}

/// The host a claim contests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContestedHost {
    /// The identity.
    pub id: HostId,
    /// What people call it.
    pub name: String,
    /// Where it stands in its life.
    pub state: HostState,
    /// Whether it can be reached.
    pub presence: Presence,
    /// Its last sign of life.
    pub last_seen_at: Option<Timestamp>,
    /// Its own name, as last reported.
    pub hostname: Option<Hostname>,
    /// The site it stands at.
    pub site_id: SiteId,
    /// The keys it proves itself with: one key pair, or agent keys.
    pub keys: Vec<KeyName>,
    /// Names of the secrets a replacement would receive.
    pub secrets: Vec<String>,
}

/// One fact in which the machine and the host differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FactDifference {
    /// Which fact.
    pub fact: String,
    /// What the host reported.
    pub host: String,
    /// What the machine reports.
    pub machine: String,
}

/// `POST /v1/claims/{claim_id}/decision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideClaim {
    /// What is decided.
    pub verdict: Verdict,
    /// The evidence that was seen.
    pub evidence_version: Line<64>,
    /// Whether the machine that takes over a host receives its secrets.
    #[serde(default)]
    pub with_secrets: bool,
}
