//! Claims: enrolments that wait for a person.

use muster_ids::{ClaimId, HostId, KeyName, MachineUid, SiteId, TicketId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::enroll::{Facts, Labels};
use crate::host::{HostState, Presence};
use crate::object::objects;
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
    /// A copy, or a restored older state, of a host that had joined.
    Clone,
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
    /// Of a copy: what both sides showed when it was seen.
    pub sighting: Option<Sighting>,
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
    /// The ticket it showed; a copy shows none.
    pub ticket_id: Option<TicketId>,
    /// Of a copy: the key of the host it was copied with. The same as `key` while the copy made itself no other.
    pub former_key: Option<KeyName>,
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

/// How a copy, or a restored older state, of a host was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyCause {
    /// It showed a state of the host that is older than the one the server knows.
    GenerationStale,
    /// It connected while another machine was connected as the host, and answered.
    Fenced,
    /// It says itself that it runs on another machine than its state was made on.
    MachineUidDiffers,
    /// It says itself that it is another installation than the one its state was made in.
    InstallIdDiffers,
}

/// What became of the host when a copy of it was found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CopyConsequence {
    /// Its machine works on.
    WorksOn,
    /// It is held until a person answered.
    Held,
    /// It was suspended, as the policy of its site says.
    Suspended,
}

/// A state of a host, as the server counts them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct CountedState {
    /// Counts restores of the server.
    pub epoch: u32,
    /// Counts acknowledged connections.
    pub counter: u64,
}

/// What both sides showed when a copy of a host was found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sighting {
    /// How it was found out.
    pub cause: CopyCause,
    /// What became of the host.
    pub consequence: CopyConsequence,
    /// The state the copy showed; none: it never was connected, or did not say.
    pub shown: Option<CountedState>,
    /// The state the host's machine confirmed last.
    pub known: CountedState,
    /// The start of the copy's machine.
    pub boot_id: String,
    /// The start of the machine that connected last as the host.
    pub holder_boot_id: Option<String>,
    /// Where the copy came from.
    pub source: String,
    /// Where the machine that is connected as the host came from; known only while it is connected to this server.
    pub holder_source: Option<String>,
    /// Whether a machine was connected as the host.
    pub holder_connected: bool,
    /// The last sign of life of the host before.
    pub holder_seen_at: Option<Timestamp>,
    /// When the copy was found out.
    pub at: Timestamp,
}

/// `POST /v1/claims/{claim_id}/decision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideClaim {
    /// What is decided.
    pub verdict: Verdict,
    /// The evidence that was seen.
    pub evidence_version: Line<64>,
    /// Whether the machine that takes over a host receives its secrets: for who may manage secrets. Else they are destroyed.
    #[serde(default)]
    pub with_secrets: bool,
}

/// Most claims that are decided with one request.
pub const MOST_DECISIONS: usize = 100;

/// `POST /v1/claims/decisions`: each claim is decided by itself; one that cannot be decided leaves the others be. With
/// one that is not there, none is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DecideClaims {
    /// What is decided, in this order.
    #[serde(deserialize_with = "objects::<_, _, MOST_DECISIONS>")]
    #[schemars(length(max = 100))]
    pub decisions: Vec<OneDecision>,
}

/// One decision of many.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OneDecision {
    /// The claim.
    pub claim_id: ClaimId,
    /// What is decided.
    pub verdict: Verdict,
    /// The evidence that was seen.
    pub evidence_version: Line<64>,
    /// Whether the machine that takes over a host receives its secrets: for who may manage secrets. Else they are destroyed.
    #[serde(default)]
    pub with_secrets: bool,
}

/// What came of many decisions, in their order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecidedClaims {
    /// One for each decision.
    pub items: Vec<DecidedClaim>,
}

/// What came of one decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecidedClaim {
    /// The claim.
    pub claim_id: ClaimId,
    /// Where it stands now, if it was decided.
    pub state: Option<ClaimState>,
    /// The host that came of it.
    pub result_host_id: Option<HostId>,
    /// Why it was not decided.
    pub refused: Option<DecisionRefused>,
}

/// Why a claim was not decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DecisionRefused {
    /// The code of the problem that a single decision would have got.
    pub code: String,
    /// The same in words.
    pub detail: String,
}
