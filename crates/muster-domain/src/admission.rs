//! The one decision at the door (DESIGN §4): who is admitted, as which host, or why not.
//!
//! [`admit`] sees a verified ticket and a proved key. It must never look at presence before the site guard,
//! and nothing but [`Admission::Rekey`], [`Admission::Rejoin`], [`Admission::Register`] and
//! [`Admission::Reuse`] may touch an existing host.

mod owner;
mod types;

use std::time::Duration;

use muster_ids::{HostId, KeyName, Timestamp};
use muster_wire::claim::{ClaimReason, ClaimState, Verdict};
use muster_wire::host::HostState;
use muster_wire::site::{NewPolicy, SitePolicy};
use muster_wire::ticket::TicketKind;

pub use types::{
    Admission, Cause, Contest, HostView, KeyHistory, Known, KnownClaim, Machine, Refusal, WaitingClaim,
};

use crate::ticket::Ticket;

/// A host seen more recently than this makes a newcomer with its uid a collision.
pub const COLLISION_WINDOW: Duration = Duration::from_secs(15 * 60);
/// How long a claim waits for a person.
pub const CLAIM_LIFE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Most claims that may contest one host; copies of it have a bound of their own.
pub const CLAIMS_PER_HOST: u32 = 5;
/// Most claims that may wait at one site.
pub const CLAIMS_PER_SITE: u32 = 200;

/// Decides an enrolment from what is known when the transaction reads it (DESIGN §4, steps 2 to 8).
pub fn admit(
    ticket: &Ticket,
    machine: &Machine,
    known: &Known,
    policy: &SitePolicy,
    now: Timestamp,
) -> Result<Admission, Refusal> {
    if let Some(first_answer) = replay(ticket, machine, known)? {
        return Ok(first_answer);
    }
    if let Err(cause) = ticket.admits_at(&machine.key, now)
        && !comes_home(ticket, known)
    {
        return Err(Refusal::Rejected(cause));
    }
    if let Some(same_host) = by_key(ticket, machine, known)? {
        return Ok(same_host);
    }
    key_is_good_enough(ticket, &machine.key, policy)?;
    match &known.claim {
        Some(claim) if claim.state == ClaimState::Rejected || ticket.kind == TicketKind::SiteKey => {
            return answer_from_claim(claim);
        }
        // A person made the one-time ticket: it may admit the machine that waits at the site's own door.
        _ => {}
    }
    named_host_is_open(ticket, known)?;
    if let Some(contest) = owner::contest(ticket, machine, known, policy, now) {
        return match contest {
            Contest::TakeOver(host_id) => Ok(Admission::Rekey { host_id }),
            Contest::Wait { reason, contested } => open_claim(ticket, reason, contested, known),
        };
    }
    if let Some(reason) = needs_approval(ticket, known, policy) {
        return open_claim(ticket, reason, None, known);
    }
    Ok(as_ticket_says(ticket, true))
}

/// Decides what a person's verdict on a waiting claim does: `admit` again, with the verdict in hand.
///
/// `Ok(None)` is a rejection. The caller compares the evidence the person saw before it asks.
pub fn admit_with_verdict(
    claim: &WaitingClaim,
    ticket: &Ticket,
    known: &Known,
    policy: &SitePolicy,
    verdict: Verdict,
) -> Result<Option<Admission>, Refusal> {
    if !crate::claim::verdicts(claim.reason, true).contains(&verdict) {
        return Err(Refusal::VerdictNotPossible);
    }
    if verdict == Verdict::Reject {
        return Ok(None);
    }
    // What time ended meanwhile was good when the machine asked.
    if ticket.is_revoked() {
        return Err(Refusal::Rejected(Cause::Revoked));
    }
    if known.key != KeyHistory::Unknown {
        return Err(Refusal::KeyInUse);
    }
    if ticket.spent.is_some() {
        return Err(Refusal::Rejected(Cause::SpentByAnotherKey));
    }
    if ticket.is_used_up() {
        return Err(Refusal::Rejected(Cause::UsedUp));
    }
    key_is_good_enough(ticket, &claim.key, policy)?;
    named_host_is_open(ticket, known)?;
    match verdict {
        // The uid may have gone to another host since: nobody said that this one may be taken over.
        Verdict::Replace => match &known.owner {
            Some(owner) if Some(owner.id) == claim.contested && owner.site_id == ticket.site_id => {
                Ok(Some(Admission::Replace { host_id: owner.id }))
            }
            _ => Err(Refusal::VerdictNotPossible),
        },
        // Only the host the person saw, and only while it still stands elsewhere.
        Verdict::Move => match &known.owner {
            Some(owner) if Some(owner.id) == claim.contested && owner.site_id != ticket.site_id => {
                Ok(Some(Admission::Move { host_id: owner.id }))
            }
            _ => Err(Refusal::VerdictNotPossible),
        },
        Verdict::New | Verdict::Reject => {
            let uid_is_free = known.owner.as_ref().is_none_or(|owner| ticket.host_id == Some(owner.id));
            Ok(Some(as_ticket_says(ticket, uid_is_free)))
        }
    }
}

/// Repeats the first answer to the key that got it, before expiry, re-issue, revocation and rotation are
/// looked at: a lost reply must cost nothing.
fn replay(ticket: &Ticket, machine: &Machine, known: &Known) -> Result<Option<Admission>, Refusal> {
    if let Some(spent) = ticket.spent.filter(|spent| spent.by_key == machine.key)
        && let KeyHistory::Active(host) = &known.key
        && host.id == spent.by_host
    {
        return match host.state {
            HostState::Suspended => Err(Refusal::HostSuspended),
            _ => Ok(Some(Admission::Replay { host_id: host.id, disposition: spent.disposition })),
        };
    }
    match &known.claim {
        // A key that became known meanwhile is judged by what it is, not by what it once waited for.
        Some(claim) if claim.ticket_id == Some(ticket.id) && known.key == KeyHistory::Unknown => {
            answer_from_claim(claim).map(Some)
        }
        _ => Ok(None),
    }
}

/// Whether a host of the site stands at its own door again: the reply it got there may have been lost, so a
/// site key that was used up, rotated or revoked since must not strand it. It gets nothing but its own host.
fn comes_home(ticket: &Ticket, known: &Known) -> bool {
    let KeyHistory::Active(host) = &known.key else { return false };
    ticket.kind == TicketKind::SiteKey && host.team_id == ticket.team_id && host.site_id == ticket.site_id
}

fn answer_from_claim(claim: &KnownClaim) -> Result<Admission, Refusal> {
    match claim.state {
        ClaimState::Rejected => Err(Refusal::ClaimRejected),
        _ => Ok(Admission::Wait { claim_id: claim.id, reason: claim.reason }),
    }
}

/// Step 4: the key decides before the uid is looked at.
fn by_key(ticket: &Ticket, machine: &Machine, known: &Known) -> Result<Option<Admission>, Refusal> {
    let host = match &known.key {
        KeyHistory::Unknown => return Ok(None),
        KeyHistory::Gone { host_id } => {
            return Err(Refusal::KeyRevoked { host_id: *host_id, key: machine.key });
        }
        KeyHistory::Active(host) => host,
    };
    let admits_this_host = match ticket.kind {
        TicketKind::EnrolmentToken => false,
        TicketKind::RegistrationToken => ticket.host_id == Some(host.id),
        TicketKind::SiteKey => true,
    };
    if host.team_id != ticket.team_id || !admits_this_host {
        return Err(Refusal::KeyInUse);
    }
    if host.state == HostState::Suspended {
        return Err(Refusal::HostSuspended);
    }
    if host.held {
        return Err(Refusal::HostHeld);
    }
    Ok(Some(Admission::Reuse { host_id: host.id }))
}

/// Whether a ticket, or the site at its own door, asks for a key pair.
pub fn requires_key_pair(ticket: &Ticket, policy: &SitePolicy) -> bool {
    ticket.require_key || (ticket.kind == TicketKind::SiteKey && policy.require_key)
}

fn key_is_good_enough(ticket: &Ticket, key: &KeyName, policy: &SitePolicy) -> Result<(), Refusal> {
    if requires_key_pair(ticket, policy) && !key.is_pair() { Err(Refusal::KeyRequired) } else { Ok(()) }
}

/// Door 2 admits the host it names, as long as that host waits for it.
fn named_host_is_open(ticket: &Ticket, known: &Known) -> Result<(), Refusal> {
    if ticket.kind != TicketKind::RegistrationToken {
        return Ok(());
    }
    let Some(invited) = &known.invited else { return Err(Refusal::Rejected(Cause::HostGone)) };
    match (invited.state, ticket.rejoin) {
        (HostState::Invited, false) | (HostState::Active, true) => Ok(()),
        (HostState::Suspended, true) => Err(Refusal::HostSuspended),
        _ => Err(Refusal::Rejected(Cause::HostGone)),
    }
}

/// Step 8: a zero-touch door may ask for a person; at the other doors a person already spoke.
fn needs_approval(ticket: &Ticket, known: &Known, policy: &SitePolicy) -> Option<ClaimReason> {
    if ticket.kind != TicketKind::SiteKey {
        return None;
    }
    match policy.new {
        NewPolicy::Approve => Some(ClaimReason::Approval),
        NewPolicy::Auto if known.new_hosts_this_hour >= policy.surge.get() => Some(ClaimReason::Surge),
        NewPolicy::Auto => None,
    }
}

fn open_claim(
    ticket: &Ticket,
    reason: ClaimReason,
    contested: Option<HostId>,
    known: &Known,
) -> Result<Admission, Refusal> {
    let waits = known.claim.as_ref();
    // A one-time ticket that comes later is reserved by a claim of its own, or somebody else could still spend it. The
    // claim of a copy stays: its host may be held until it is decided.
    let superseded = waits.filter(|claim| {
        ticket.is_one_time()
            && claim.state == ClaimState::Waiting
            && claim.reason != ClaimReason::Clone
            && claim.ticket_id != Some(ticket.id)
    });
    if let (Some(claim), None) = (waits, superseded) {
        return answer_from_claim(claim);
    }
    // A foreign site must not use up the places of the site the host stands at.
    let host_is_full = reason != ClaimReason::SiteConflict && known.claims_on_owner >= CLAIMS_PER_HOST;
    let is_one_more = superseded.is_none();
    if is_one_more && (host_is_full || known.claims_at_site >= CLAIMS_PER_SITE) {
        return Err(Refusal::TooManyClaims);
    }
    Ok(Admission::Claim { reason, contested, supersedes: superseded.map(|claim| claim.id) })
}

fn as_ticket_says(ticket: &Ticket, owns_uid: bool) -> Admission {
    match (ticket.host_id, ticket.rejoin) {
        (Some(host_id), true) => Admission::Rejoin { host_id, owns_uid },
        (Some(host_id), false) => Admission::Register { host_id, owns_uid },
        (None, _) => Admission::New { owns_uid },
    }
}
