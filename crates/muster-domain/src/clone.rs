//! Copies of hosts: what becomes of the host when one is found out, how a copy that made itself a key of its own is
//! answered, and what a person may decide (DESIGN §4 Fork, §5 Generation).
//!
//! A copy never changes the host it was made of: the worst that comes of one is that the host is held or suspended
//! until a person answered which of the two is genuine.

use std::time::Duration;

use muster_ids::{ClaimId, HostId, KeyName, Timestamp};
use muster_wire::claim::{ClaimReason, ClaimState, CopyCause, CopyConsequence, Verdict};
use muster_wire::host::HostState;
use muster_wire::site::OnClone;

use crate::admission::{Admission, CLAIMS_PER_SITE, HostView, KeyHistory, KnownClaim, Refusal};

/// A holder of the current state that was seen within this time works on when an older state shows itself.
pub const HOLDER_SEEN_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// Most claims of copies that may wait on one host: those of a whole batch from one image, and no more, for each of them
/// takes a place at the site.
pub const COPIES_PER_HOST: u32 = 50;

/// Decides what becomes of a host when a copy of it is found out.
///
/// Only an older state (`is_older`, as the server judges it) is a reason to hold: it says that somebody else went on
/// with the newer one. Whoever is fenced met a machine that answers, and a machine that says itself that it is the copy
/// leaves no question.
pub fn consequence(is_older: bool, host: &HostView, policy: OnClone, now: Timestamp) -> CopyConsequence {
    if host.state == HostState::Suspended || policy == OnClone::Suspend {
        return CopyConsequence::Suspended;
    }
    if host.held {
        return CopyConsequence::Held;
    }
    let seen_lately = host.seen_at.is_some_and(|seen_at| now.since(seen_at) <= HOLDER_SEEN_WITHIN);
    if is_older && !host.connected && !seen_lately { CopyConsequence::Held } else { CopyConsequence::WorksOn }
}

/// What is known of a copy that made itself a key of its own, once both keys have proved themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownFork {
    /// The host its state names.
    pub host_id: HostId,
    /// The key it was copied with.
    pub former_key: KeyName,
    /// Whether that key is still its host's.
    pub former_is_active: bool,
    /// How it says that it found out.
    pub cause: CopyCause,
    /// Whether it showed the state the server knows, or a newer one.
    pub is_current: bool,
    /// Whether a connection of the host is open.
    pub host_is_connected: bool,
    /// The key it made itself.
    pub key: KeyName,
    /// What is known of that key.
    pub history: KeyHistory,
    /// The host that a decided claim of that key on this host made.
    pub came_of_claim: Option<HostId>,
    /// The waiting or rejected claim of that key at the site of the host.
    pub claim: Option<KnownClaim>,
    /// The waiting or rejected claim of this start of its machine, from before it made itself a key.
    pub of_this_start: Option<KnownClaim>,
    /// Claims of copies that wait on the host.
    pub copies_of_host: u32,
    /// Claims that wait at the site.
    pub claims_at_site: u32,
}

/// How a copy with a key of its own is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForkAnswer {
    /// A person let it in: it is this host.
    Host(HostId),
    /// It waits for a person; nothing is written.
    Wait {
        /// The claim.
        claim_id: ClaimId,
        /// Why it waits.
        reason: ClaimReason,
    },
    /// The claim of its start becomes the claim of its key.
    TakeOver(ClaimId),
    /// A claim is opened.
    Open,
}

/// Decides how a copy with a key of its own is answered.
///
/// Its own key goes first: what a person decided is answered for as long as that key lives, also when the decision
/// ended the key it was copied with.
pub fn answer_fork(known: &KnownFork) -> Result<ForkAnswer, Refusal> {
    match &known.history {
        KeyHistory::Active(host) if host.id == known.host_id || known.came_of_claim == Some(host.id) => {
            return is_host(host);
        }
        KeyHistory::Active(_) => return Err(Refusal::KeyInUse),
        KeyHistory::Gone { host_id } => {
            return Err(Refusal::KeyRevoked { host_id: *host_id, key: known.key });
        }
        KeyHistory::Unknown => {}
    }
    if let Some(claim) = &known.claim {
        return match claim.state {
            ClaimState::Rejected => Err(Refusal::ClaimRejected),
            _ => Ok(ForkAnswer::Wait { claim_id: claim.id, reason: claim.reason }),
        };
    }
    if !known.former_is_active {
        return Err(Refusal::KeyRevoked { host_id: known.host_id, key: known.former_key });
    }
    if is_no_copy(known) {
        return Err(Refusal::NotACopy);
    }
    match &known.of_this_start {
        Some(claim) if claim.state == ClaimState::Rejected => Err(Refusal::ClaimRejected),
        Some(claim) => Ok(ForkAnswer::TakeOver(claim.id)),
        None if known.copies_of_host >= COPIES_PER_HOST || known.claims_at_site >= CLAIMS_PER_SITE => {
            Err(Refusal::TooManyClaims)
        }
        None => Ok(ForkAnswer::Open),
    }
}

/// Whether a machine was told that it is a copy by somebody who is not this server, which would know.
///
/// Anybody who stands in for the server can say so. Whoever holds the current state goes back to the channel with its
/// key, where a copy is found out as ever.
fn is_no_copy(known: &KnownFork) -> bool {
    match known.cause {
        CopyCause::GenerationStale => known.is_current,
        CopyCause::Fenced => known.is_current && !known.host_is_connected && known.of_this_start.is_none(),
        CopyCause::MachineUidDiffers | CopyCause::InstallIdDiffers => false,
    }
}

fn is_host(host: &HostView) -> Result<ForkAnswer, Refusal> {
    match (host.state, host.held) {
        (HostState::Suspended, _) => Err(Refusal::HostSuspended),
        (_, true) => Err(Refusal::HostHeld),
        _ => Ok(ForkAnswer::Host(host.id)),
    }
}

/// Returns what a person may decide about a copy: without a key of its own there is nothing to admit it by.
pub const fn verdicts(has_own_key: bool) -> &'static [Verdict] {
    if has_own_key { &[Verdict::Replace, Verdict::New, Verdict::Reject] } else { &[Verdict::Reject] }
}

/// A waiting claim of a copy, and what is known when a person decides it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingCopy<'a> {
    /// Whether it made itself a key of its own.
    pub has_own_key: bool,
    /// What is known of that key.
    pub history: &'a KeyHistory,
    /// The host it is a copy of, as it stands.
    pub host: Option<&'a HostView>,
    /// The host that owns its uid.
    pub owner_of_uid: Option<HostId>,
}

/// Decides what a person's verdict on a copy does. `Ok(None)` is a rejection.
///
/// The caller compares the evidence the person saw before it asks.
pub fn admit_copy(copy: &WaitingCopy<'_>, verdict: Verdict) -> Result<Option<Admission>, Refusal> {
    if !verdicts(copy.has_own_key).contains(&verdict) {
        return Err(Refusal::VerdictNotPossible);
    }
    if verdict == Verdict::Reject {
        return Ok(None);
    }
    if *copy.history != KeyHistory::Unknown {
        return Err(Refusal::KeyInUse);
    }
    match (verdict, copy.host) {
        (Verdict::Replace, Some(host)) if matches!(host.state, HostState::Active | HostState::Suspended) => {
            Ok(Some(Admission::Replace { host_id: host.id }))
        }
        (Verdict::New, _) => Ok(Some(Admission::New { owns_uid: copy.owner_of_uid.is_none() })),
        _ => Err(Refusal::VerdictNotPossible),
    }
}
