//! What the transaction must know before it asks: locks first, then reads.

use std::time::Duration;

use muster_domain::admission::{Admission, CLAIMS_PER_SITE, HostView, KeyHistory, Known, Machine};
use muster_domain::presence::RECONNECT_WINDOW;
use muster_domain::ticket::Ticket;
use muster_ids::{HostId, KeyName, SiteId, TicketId};
use muster_store::rows::{KeyState, SiteRow, TicketRow};
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::claim::ClaimReason;
use muster_wire::site::SitePolicy;
use muster_wire::ticket::TicketKind;

use super::claim;
use crate::app::App;
use crate::budgets::ENTERING;
use crate::unit::Unit;

pub(super) const SURGE_WINDOW: Duration = Duration::from_secs(3600);

/// The hosts an enrolment is judged by: found before the locks, compared after them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidates {
    by_key: Option<HostId>,
    owner: Option<HostId>,
    invited: Option<HostId>,
    /// Where the ticket admits now: a host takes the tickets made for it along when it moves.
    site_id: SiteId,
}

impl Candidates {
    fn find(tx: &mut Tx<'_>, ticket: &Ticket, machine: &Machine) -> Result<Self, StoreError> {
        Ok(Self {
            by_key: tx.host_key(&machine.key)?.map(|key| key.host_id),
            owner: tx.owner_of_uid(ticket.team_id, &machine.uid)?,
            invited: ticket.host_id,
            site_id: match ticket.host_id {
                Some(_) => self::ticket(tx, &ticket.id)?.ticket.site_id,
                None => ticket.site_id,
            },
        })
    }
}

/// Whether a transaction shares its site with the others, or counts there alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AtSite {
    /// Beside others: a bound of the site is far away.
    Shared,
    /// Alone: what it counts is exact.
    Alone,
}

/// Whether an admission is so near a bound of its site that others beside it could cross it together.
///
/// At most [`ENTERING`] enrolments are in their transactions at once: whoever sees that many places left may share
/// the site with all of them. The others begin again and count alone.
pub(super) fn must_be_alone(
    ticket: &Ticket,
    admission: &Admission,
    known: &Known,
    policy: &SitePolicy,
) -> bool {
    match admission {
        Admission::New { .. } => {
            let others = known.new_hosts_this_hour.saturating_add(ENTERING as u64);
            ticket.kind == TicketKind::SiteKey && others >= policy.surge.get()
        }
        // The first of a surge tells of it, once.
        Admission::Claim { reason: ClaimReason::Surge, .. } => true,
        Admission::Claim { .. } => known.claims_at_site.saturating_add(ENTERING as u32) >= CLAIMS_PER_SITE,
        _ => false,
    }
}

/// Takes every lock of an enrolment or of a decision on one, which also changes `contested`.
pub(super) fn lock(
    tx: &mut Tx<'_>,
    ticket: &Ticket,
    machine: &Machine,
    contested: Option<HostId>,
    at_site: AtSite,
) -> Result<Candidates, StoreError> {
    let found = Candidates::find(tx, ticket, machine)?;
    let ticket_key = LockKey::Ticket(ticket.id);
    let mut locks = vec![
        if is_limited(ticket) { Lock::exclusive(ticket_key) } else { Lock::shared(ticket_key) },
        match at_site {
            AtSite::Shared => Lock::shared(LockKey::Site(found.site_id)),
            AtSite::Alone => Lock::exclusive(LockKey::Site(found.site_id)),
        },
        Lock::exclusive(LockKey::Uid(ticket.team_id, machine.uid)),
        Lock::exclusive(LockKey::Key(machine.key)),
    ];
    locks.extend(found.by_key.map(|id| Lock::shared(LockKey::Host(id))));
    // Its own host, seen by its uid, is only refreshed.
    let owner = found.owner.filter(|owner| Some(*owner) != found.by_key);
    let changed = [owner, found.invited, contested];
    locks.extend(changed.into_iter().flatten().map(|id| Lock::exclusive(LockKey::Host(id))));
    tx.lock(&locks)?;
    if Candidates::find(tx, ticket, machine)? != found {
        return Err(StoreError::Conflict);
    }
    Ok(found)
}

/// Whether a ticket admits a limited number, so that one machine at a time uses it.
pub(super) fn is_limited(ticket: &Ticket) -> bool {
    ticket.is_one_time() || ticket.max_uses.is_some()
}

/// Ends the lapsed claims that stand in the way of this key or this ticket, and frees what they hold.
pub(super) fn let_lapsed_claims_go(
    unit: &mut Unit<'_, '_>,
    ticket: &Ticket,
    machine: &Machine,
) -> Result<(), StoreError> {
    let lapsed = unit.tx.claims_lapsed_at(ticket.site_id, &machine.key, &ticket.id, unit.now)?;
    for claim in lapsed {
        claim::lapse(unit, &claim)?;
    }
    Ok(())
}

/// Returns a ticket that is known to exist: tickets are never deleted.
pub(super) fn ticket(tx: &mut Tx<'_>, id: &TicketId) -> Result<TicketRow, StoreError> {
    tx.ticket_by_id(id)?.ok_or_else(|| StoreError::corrupt("a ticket is gone"))
}

/// Returns the site of a ticket: sites are never deleted.
pub(super) fn site(tx: &mut Tx<'_>, ticket: &Ticket) -> Result<SiteRow, StoreError> {
    tx.site(ticket.team_id, ticket.site_id)?
        .ok_or_else(|| StoreError::corrupt("the site of a ticket is gone"))
}

/// Reads what `admit` asks for.
pub(super) fn load(
    unit: &mut Unit<'_, '_>,
    app: &App,
    ticket: &Ticket,
    machine: &Machine,
    candidates: &Candidates,
    policy: &SitePolicy,
) -> Result<Known, StoreError> {
    let owner = view(unit.tx, app, candidates.owner)?;
    let claims_on_owner = match candidates.owner {
        Some(owner) => unit.tx.claims_on_host_of_its_site(ticket.team_id, owner)?,
        None => 0,
    };
    Ok(Known {
        key: key_history(unit.tx, app, &machine.key)?,
        uid_last_owned_by_retired: owner.is_none()
            && unit.tx.uid_was_released(ticket.team_id, &machine.uid)?,
        owner,
        invited: view(unit.tx, app, candidates.invited)?,
        claim: unit.tx.claim_of_key(ticket.site_id, &machine.key)?,
        claims_on_owner,
        claims_at_site: unit.tx.claims_at_site(ticket.site_id, CLAIMS_PER_SITE)?,
        new_hosts_this_hour: new_hosts(unit, app, ticket.site_id, policy.surge.get())?,
        server_past_reconnect_window: app.there_for() > RECONNECT_WINDOW,
    })
}

/// Counts the new hosts of a site within the hour; far from its bound, a number they do not exceed.
pub(super) fn new_hosts(
    unit: &mut Unit<'_, '_>,
    app: &App,
    site_id: SiteId,
    bound: u64,
) -> Result<u64, StoreError> {
    if let Some(most) = app.arrivals.far_below(site_id, bound) {
        return Ok(most);
    }
    let counted = unit.tx.arrivals_since(site_id, unit.now.minus(SURGE_WINDOW), bound)?;
    app.arrivals.counted(site_id, counted);
    Ok(counted)
}

pub(super) fn key_history(tx: &mut Tx<'_>, app: &App, name: &KeyName) -> Result<KeyHistory, StoreError> {
    let Some(key) = tx.host_key(name)? else { return Ok(KeyHistory::Unknown) };
    match (key.state, view(tx, app, Some(key.host_id))?) {
        // A next key is its host's already: at the door it opens nothing that another host could enter by.
        (KeyState::Active | KeyState::Next, Some(host)) => Ok(KeyHistory::Active(host)),
        (KeyState::Active | KeyState::Next, None) => {
            Err(StoreError::corrupt("the host of an active key is gone"))
        }
        (KeyState::Replaced | KeyState::Revoked, _) => Ok(KeyHistory::Gone { host_id: key.host_id }),
    }
}

/// Reads a host and lays over it what this node heard since signs of life were last flushed.
pub(super) fn view(tx: &mut Tx<'_>, app: &App, id: Option<HostId>) -> Result<Option<HostView>, StoreError> {
    let Some(id) = id else { return Ok(None) };
    let Some(mut view) = tx.host_view(id)? else { return Ok(None) };
    if let Some(sign) = app.presences.of(id) {
        view.seen_at = view.seen_at.max(Some(sign.seen_at));
        view.ever_connected = true;
    }
    view.connected = app.hub.is_connected(id);
    Ok(Some(view))
}
