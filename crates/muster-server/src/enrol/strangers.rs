//! Machines that nobody knows, let in together: one transaction for many, whatever the database.
//!
//! Most of a roll-out are strangers: nothing is known of their keys and uids, and nothing waits for them. There is little
//! to read of them and the same to write, so that all who stand at the door at once cost few statements. Whoever is known,
//! whoever stands near a bound of the site, and whoever reports what another one beside it reports, is judged alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use muster_domain::admission::{Admission, CLAIMS_PER_SITE, KeyHistory, Known, admit};
use muster_domain::presence::RECONNECT_WINDOW;
use muster_ids::{KeyName, MachineUid, SiteId, TeamId, TicketId};
use muster_store::rows::{KnockRow, SiteRow, TicketRow};
use muster_store::{Lock, LockKey, Priority, StoreError};
use muster_wire::enroll::Disposition;
use muster_wire::host::HostState;

use super::apply::{self, Arriving, Entrance, Newcomer};
use super::known::{self, must_be_alone};
use super::{Knock, Outcome};
use crate::app::App;
use crate::budgets::ENTERING;
use crate::failure::Failure;
use crate::gathered::Gathered;
use crate::unit::{Author, Unit};

/// What is asked at the door, of many at a time.
#[derive(Debug)]
pub struct AtTheDoor {
    tickets: Gathered<TicketId, Option<TicketRow>>,
    strangers: Gathered<Arc<Knock>, Option<Outcome>>,
}

impl Default for AtTheDoor {
    fn default() -> Self {
        Self {
            tickets: Gathered::new(ENTERING, |app, ids| Box::pin(look_up(app, ids))),
            strangers: Gathered::new(ENTERING, |app, knocks| Box::pin(enter(app, knocks))),
        }
    }
}

impl AtTheDoor {
    /// Looks a ticket up.
    pub(super) async fn ticket(&self, app: &App, id: TicketId) -> Result<Option<TicketRow>, Failure> {
        self.tickets.ask(app, id).await
    }
}

/// Lets a machine in if it is a stranger. `None`: it is to be judged alone.
pub(super) async fn let_in(app: &App, knock: &Arc<Knock>) -> Result<Option<Outcome>, Failure> {
    app.at_the_door.strangers.ask(app, Arc::clone(knock)).await
}

async fn look_up(app: App, ids: Vec<TicketId>) -> Vec<Result<Option<TicketRow>, Failure>> {
    let many = ids.len();
    // Each is looked up, also twice the same: what a wrong ticket costs is what a right one costs.
    match app.look(move |tx| tx.tickets_by_id(&ids)).await {
        Ok(found) => found.into_iter().map(Ok).collect(),
        Err(failure) => (0..many).map(|_| Err(failure.clone())).collect(),
    }
}

async fn enter(app: App, knocks: Vec<Arc<Knock>>) -> Vec<Result<Option<Outcome>, Failure>> {
    let many = knocks.len();
    let inner = app.clone();
    let entered = app.change(Priority::Normal, app.clock.now(), move |unit| admit_all(unit, &inner, &knocks));
    match entered.await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(Failure::Store(error)) if is_for_everybody(&error) => {
            (0..many).map(|_| Err(Failure::Store(error.clone()))).collect()
        }
        // One of them may be the reason, or the commit may have happened: alone, each one is answered right.
        Err(_) => (0..many).map(|_| Ok(None)).collect(),
    }
}

/// Whether nobody who came along would fare better alone: a conflict or a wait that was too long may be one's own.
fn is_for_everybody(error: &StoreError) -> bool {
    let is_of_one =
        matches!(error, StoreError::CommitUnknown | StoreError::Conflict | StoreError::Interrupted);
    error.is_unavailable() && !is_of_one
}

/// What is the same for all who come to a site in one transaction.
struct AtSite {
    row: SiteRow,
    claims: u32,
    new_hosts: u64,
}

fn admit_all(
    unit: &mut Unit<'_, '_>,
    app: &App,
    knocks: &[Arc<Knock>],
) -> Result<Vec<Option<Outcome>>, Failure> {
    let mut outcomes: Vec<Option<Outcome>> = knocks.iter().map(|_| None).collect();
    let apart = lock(unit, knocks, told_apart(knocks))?;
    let asked: Vec<KnockRow> = apart.iter().map(|place| asked(&knocks[*place])).collect();
    let are_strangers = unit.tx.are_strangers(&asked, unit.now)?;
    let strangers: Vec<usize> =
        apart.into_iter().zip(are_strangers).filter_map(|(place, is)| is.then_some(place)).collect();
    let tickets = tickets(unit, strangers.iter().map(|place| knocks[*place].ticket.ticket.id))?;
    let mut sites: BTreeMap<SiteId, AtSite> = BTreeMap::new();
    let (mut admitted, mut arriving) = (Vec::new(), Vec::new());
    let authors: Vec<Author> = knocks.iter().map(|knock| knock.author()).collect();
    for place in strangers {
        let knock = &*knocks[place];
        let Some(ticket) = tickets.get(&knock.ticket.ticket.id) else { continue };
        let site_id = ticket.ticket.site_id;
        let site = match sites.entry(site_id) {
            Entry::Occupied(site) => site.into_mut(),
            Entry::Vacant(entry) => entry.insert(at_site(unit, app, ticket)?),
        };
        let known = of_a_stranger(app, site);
        let policy = &site.row.policy;
        let Ok(admission) = admit(&ticket.ticket, &knock.machine, &known, policy, unit.now) else { continue };
        let Admission::New { owns_uid } = admission else { continue };
        if must_be_alone(&ticket.ticket, &admission, &known, policy) {
            continue;
        }
        site.new_hosts = site.new_hosts.saturating_add(1);
        admitted.push((place, owns_uid));
        arriving.push(Arriving {
            app,
            entrance: Entrance::Ticket(ticket),
            machine: &knock.machine,
            material: &knock.material,
            author: &authors[place],
            keeps_secrets: true,
            decided: None,
        });
    }
    let newcomers = arriving.iter().zip(&admitted);
    let newcomers: Vec<Newcomer<'_>> =
        newcomers.map(|(arriving, (_, owns_uid))| Newcomer { arriving, owns_uid: *owns_uid }).collect();
    for ((place, _), host_id) in admitted.iter().zip(apply::make(unit, &newcomers)?) {
        outcomes[*place] = Some(Outcome::Admitted {
            host_id,
            key: knocks[*place].machine.key,
            disposition: Disposition::New,
            state: HostState::Active,
            replayed: false,
        });
    }
    Ok(outcomes)
}

/// Returns who may be let in beside the others: nobody with the key, the uid or the limited ticket of one before, and
/// nobody whose ticket names a host.
fn told_apart(knocks: &[Arc<Knock>]) -> Vec<usize> {
    let mut keys: BTreeSet<KeyName> = BTreeSet::new();
    let mut uids: BTreeSet<(TeamId, MachineUid)> = BTreeSet::new();
    let mut tickets: BTreeSet<TicketId> = BTreeSet::new();
    let mut apart = Vec::with_capacity(knocks.len());
    for (place, knock) in knocks.iter().enumerate() {
        let ticket = &knock.ticket.ticket;
        let is_new = keys.insert(knock.machine.key) & uids.insert((ticket.team_id, knock.machine.uid));
        let has_its_own = !known::is_limited(ticket) || tickets.insert(ticket.id);
        if is_new && has_its_own && ticket.host_id.is_none() {
            apart.push(place);
        }
    }
    apart
}

/// Takes the locks of all, the same ones that each takes alone, and returns whose locks were free: nobody waits here for
/// a ticket, a key or a uid that somebody else is busy with.
fn lock(
    unit: &mut Unit<'_, '_>,
    knocks: &[Arc<Knock>],
    places: Vec<usize>,
) -> Result<Vec<usize>, StoreError> {
    let locks: Vec<[Lock; 4]> = places.iter().map(|place| locks_of(&knocks[*place])).collect();
    let are_free = unit.tx.lock_if_free(locks.as_flattened())?;
    let are_free = are_free.chunks(4).map(|own| own.iter().all(|is_free| *is_free));
    Ok(places.into_iter().zip(are_free).filter_map(|(place, are_free)| are_free.then_some(place)).collect())
}

fn locks_of(knock: &Knock) -> [Lock; 4] {
    let ticket = &knock.ticket.ticket;
    let of_ticket = LockKey::Ticket(ticket.id);
    [
        if known::is_limited(ticket) { Lock::exclusive(of_ticket) } else { Lock::shared(of_ticket) },
        Lock::shared(LockKey::Site(ticket.site_id)),
        Lock::exclusive(LockKey::Uid(ticket.team_id, knock.machine.uid)),
        Lock::exclusive(LockKey::Key(knock.machine.key)),
    ]
}

fn asked(knock: &Knock) -> KnockRow {
    let ticket = &knock.ticket.ticket;
    KnockRow {
        key: knock.machine.key,
        team_id: ticket.team_id,
        uid: knock.machine.uid,
        site_id: ticket.site_id,
        ticket_id: ticket.id,
    }
}

/// Reads tickets under their locks, each once.
fn tickets(
    unit: &mut Unit<'_, '_>,
    ids: impl Iterator<Item = TicketId>,
) -> Result<BTreeMap<TicketId, TicketRow>, StoreError> {
    let ids: BTreeSet<TicketId> = ids.collect();
    let found = unit.tx.tickets_by_id(&ids.iter().copied().collect::<Vec<_>>())?;
    Ok(ids.into_iter().zip(found).filter_map(|(id, row)| Some((id, row?))).collect())
}

fn at_site(unit: &mut Unit<'_, '_>, app: &App, ticket: &TicketRow) -> Result<AtSite, StoreError> {
    let row = known::site(unit.tx, &ticket.ticket)?;
    let site_id = ticket.ticket.site_id;
    let claims = unit.tx.claims_at_site(site_id, CLAIMS_PER_SITE)?;
    let new_hosts = known::new_hosts(unit, app, site_id, row.policy.surge.get())?;
    Ok(AtSite { row, claims, new_hosts })
}

/// What [`admit`] is told of a machine of which nothing is known.
fn of_a_stranger(app: &App, site: &AtSite) -> Known {
    Known {
        key: KeyHistory::Unknown,
        owner: None,
        uid_last_owned_by_retired: false,
        invited: None,
        claim: None,
        claims_on_owner: 0,
        claims_at_site: site.claims,
        new_hosts_this_hour: site.new_hosts,
        server_past_reconnect_window: app.there_for() > RECONNECT_WINDOW,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_the_fault_of_one_turns_nobody_else_away() {
        for of_one in [StoreError::Conflict, StoreError::Interrupted, StoreError::CommitUnknown] {
            assert!(!is_for_everybody(&of_one), "{of_one}");
        }
        for of_all in [StoreError::Busy, StoreError::Full] {
            assert!(is_for_everybody(&of_all), "{of_all}");
        }
    }
}
