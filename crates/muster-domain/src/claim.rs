//! Claims: what may be decided, and what a person saw when they decided.

use muster_ids::{HostId, KeyName, SiteId};
use muster_wire::claim::{ClaimReason, FactDifference, Verdict};
use muster_wire::enroll::Facts;
use muster_wire::host::HostState;

use crate::admission::Machine;
use crate::clone;

/// Returns what a person may decide about a claim of this reason; `has_own_key`: whether its machine proved a key that is
/// not its host's, as all do but copies that made themselves none.
pub const fn verdicts(reason: ClaimReason, has_own_key: bool) -> &'static [Verdict] {
    match reason {
        ClaimReason::Collision | ClaimReason::Reimage | ClaimReason::UidTaken => {
            &[Verdict::Replace, Verdict::New, Verdict::Reject]
        }
        ClaimReason::Clone => clone::verdicts(has_own_key),
        ClaimReason::SiteConflict => &[Verdict::Move, Verdict::New, Verdict::Reject],
        ClaimReason::Retired | ClaimReason::Approval | ClaimReason::Surge => &[Verdict::New, Verdict::Reject],
    }
}

/// What a decision rests on: when any of it changes, the person must look again.
///
/// Signs of life are left out on purpose, or no claim on a living host could ever be decided.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Evidence<'a> {
    /// Why the claim waits.
    pub reason: ClaimReason,
    /// The key the machine proved.
    pub key: KeyName,
    /// Where that key came from.
    pub source_address: &'a str,
    /// The name it reports.
    pub hostname: &'a str,
    /// What it reports to be.
    pub facts: &'a Facts,
    /// The host it contests.
    pub contested: Option<EvidenceOfHost<'a>>,
    /// The host that owns the machine's uid now: another one than when the claim was opened, perhaps.
    pub owner_of_uid: Option<HostId>,
}

/// The part of the evidence that is the contested host's.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct EvidenceOfHost<'a> {
    /// The identity.
    pub id: HostId,
    /// Where it stands in its life.
    pub state: HostState,
    /// The site it stands at.
    pub site_id: SiteId,
    /// The keys it proves itself with.
    pub keys: &'a [KeyName],
    /// Names of the secrets a replacement would receive.
    pub secrets: &'a [String],
}

impl Evidence<'_> {
    /// Returns the canonical text of the evidence; its digest is the evidence version.
    pub fn canonical_text(&self) -> String {
        serde_json::to_string(self).expect("evidence is plain data")
    }
}

/// Lists the facts in which a machine differs from the host it contests.
pub fn differences(host_name: Option<&str>, host: Option<&Facts>, machine: &Machine) -> Vec<FactDifference> {
    let mut found = Vec::new();
    let mut compare = |fact: &str, host: String, machine: String| {
        if host != machine {
            found.push(FactDifference { fact: fact.to_owned(), host, machine });
        }
    };
    if let Some(hostname) = host_name {
        compare("hostname", hostname.to_owned(), machine.hostname.to_string());
    }
    if let Some(facts) = host {
        let theirs = &machine.facts;
        compare("os", facts.os.to_string(), theirs.os.to_string());
        compare("arch", facts.arch.to_string(), theirs.arch.to_string());
        compare("cpu_cores", facts.cpu_cores.get().to_string(), theirs.cpu_cores.get().to_string());
        compare("memory_mb", facts.memory_mb.get().to_string(), theirs.memory_mb.get().to_string());
        compare("disk_gb", facts.disk_gb.get().to_string(), theirs.disk_gb.get().to_string());
        let address =
            |facts: &Facts| facts.address.map_or_else(|| "-".to_owned(), |address| address.to_string());
        compare("address", address(facts), address(theirs));
    }
    found
}
