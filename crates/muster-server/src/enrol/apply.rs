//! Records an admission: host, key, ticket, secrets, tags, audit and event, all or nothing.

use std::collections::BTreeMap;

use muster_domain::admission::{Admission, Machine};
use muster_domain::ticket::Spent;
use muster_ids::{ClaimId, HostId, SiteId, TeamId, TicketId};
use muster_store::StoreError;
use muster_store::rows::{Arrival, HostKeyRow, HostRow, KeyState, TicketRow};
use muster_wire::claim::ClaimState;
use muster_wire::enroll::Disposition;
use muster_wire::happening::Happening;
use muster_wire::host::{HostKind, HostState};
use muster_wire::ticket::TicketKind;
use serde_json::json;

use super::keys::{self, Ending};
use super::retire::NOT_POSSIBLE;
use super::{claim, hold, moving};
use crate::app::App;
use crate::failure::Failure;
use crate::host_config;
use crate::secrets::{self, Owners};
use crate::unit::{Author, Fact, Unit};

/// What a machine comes in by, read under the locks.
#[derive(Debug, Clone, Copy)]
pub(super) enum Entrance<'a> {
    /// Its ticket.
    Ticket(&'a TicketRow),
    /// A person's decision on the copy of this host. It brings nothing along: no ticket, no tags, no secrets.
    Copy(&'a HostRow),
}

impl Entrance<'_> {
    fn team_id(&self) -> TeamId {
        match self {
            Self::Ticket(ticket) => ticket.ticket.team_id,
            Self::Copy(host) => host.team_id,
        }
    }

    fn site_id(&self) -> SiteId {
        match self {
            Self::Ticket(ticket) => ticket.ticket.site_id,
            Self::Copy(host) => host.site_id,
        }
    }

    fn ticket_id(&self) -> Option<TicketId> {
        match self {
            Self::Ticket(ticket) => Some(ticket.ticket.id),
            Self::Copy(_) => None,
        }
    }

    /// A copy came through the door of the host it is a copy of.
    fn door(&self) -> u8 {
        match self {
            Self::Ticket(ticket) => ticket.ticket.kind.door(),
            Self::Copy(host) => host.arrival.as_ref().map_or(1, |arrival| arrival.door),
        }
    }

    fn ephemeral_hours(&self) -> Option<u64> {
        match self {
            Self::Ticket(ticket) => ticket.ephemeral_hours,
            Self::Copy(host) => host.ephemeral_hours,
        }
    }
}

/// A machine that is let in, by the door itself or by a person's decision.
pub(super) struct Arriving<'a> {
    pub(super) app: &'a App,
    /// What it comes in by.
    pub(super) entrance: Entrance<'a>,
    pub(super) machine: &'a Machine,
    /// The SEC 1 point of its key pair, or the verifier of its agent key.
    pub(super) material: &'a [u8],
    /// Who lets it in: its own key, or a person.
    pub(super) author: &'a Author,
    /// Whether a host whose key is replaced keeps its secrets.
    pub(super) keeps_secrets: bool,
    /// The claim that was decided.
    pub(super) decided: Option<ClaimId>,
}

/// A host that exists, and how it is entered.
struct Entering {
    host_id: HostId,
    from: HostState,
    disposition: Disposition,
    owns_uid: bool,
}

/// Refreshes what a host says about itself; site, uid and key stay.
pub(super) fn refresh(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    host_id: HostId,
) -> Result<(), Failure> {
    let machine = arriving.machine;
    let team_id = arriving.entrance.team_id();
    let Machine { hostname, facts, labels, .. } = machine;
    let refreshed = unit.tx.host_refresh(team_id, host_id, hostname, facts, labels, unit.now)?;
    if refreshed { Ok(()) } else { Err(StoreError::Conflict.into()) }
}

/// Lets a machine in. What another transaction took meanwhile is a conflict, and the closure runs again.
pub(super) fn arrive(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    admission: Admission,
) -> Result<(HostId, Disposition), Failure> {
    let (active, invited) = (HostState::Active, HostState::Invited);
    let entering = |host_id, from, disposition, owns_uid| Entering { host_id, from, disposition, owns_uid };
    let (host_id, disposition) = match admission {
        Admission::New { owns_uid } => {
            let made = make(unit, &[Newcomer { arriving, owns_uid }])?;
            close_other_claim(unit, arriving)?;
            return made.first().map(|id| (*id, Disposition::New)).ok_or(Failure::NotFound);
        }
        Admission::Register { host_id, owns_uid } => {
            enter(unit, arriving, &entering(host_id, invited, Disposition::Registered, owns_uid))?
        }
        Admission::Rejoin { host_id, owns_uid } => {
            enter(unit, arriving, &entering(host_id, active, Disposition::Rejoined, owns_uid))?
        }
        Admission::Rekey { host_id } => {
            enter(unit, arriving, &entering(host_id, active, Disposition::Rekeyed, true))?
        }
        Admission::Replace { host_id } => replace(unit, arriving, host_id)?,
        Admission::Move { host_id } => replace_and_move(unit, arriving, host_id)?,
        Admission::Replay { .. }
        | Admission::Wait { .. }
        | Admission::Reuse { .. }
        | Admission::Claim { .. } => {
            return Err(Failure::internal("an admission that lets nobody in"));
        }
    };
    arriving.app.arrivals.comes(arriving.entrance.site_id());
    bind(unit, arriving, host_id, disposition)?;
    tell(unit, arriving, host_id, disposition);
    Ok((host_id, disposition))
}

/// A machine that becomes a new host.
pub(super) struct Newcomer<'a> {
    pub(super) arriving: &'a Arriving<'a>,
    /// Whether it owns the uid it reports.
    pub(super) owns_uid: bool,
}

/// Makes a host of each newcomer, with its key, and uses their tickets. What another transaction took meanwhile from any
/// of them is a conflict of all.
pub(super) fn make(unit: &mut Unit<'_, '_>, newcomers: &[Newcomer<'_>]) -> Result<Vec<HostId>, Failure> {
    let Some(app) = newcomers.first().map(|newcomer| newcomer.arriving.app) else { return Ok(Vec::new()) };
    let mut kinds = BTreeMap::new();
    let (mut hosts, mut keys) = (Vec::with_capacity(newcomers.len()), Vec::with_capacity(newcomers.len()));
    for Newcomer { arriving, owns_uid } in newcomers {
        let team_id = arriving.entrance.team_id();
        let kind = match kinds.get(&team_id) {
            Some(kind) => *kind,
            None => *kinds.entry(team_id).or_insert(kind_of(unit, team_id)?),
        };
        let host = new_host(unit, arriving, kind, *owns_uid);
        keys.push(new_key(unit, arriving, host.id));
        hosts.push(host);
    }
    let ids: Vec<HostId> = hosts.iter().map(|host| host.id).collect();
    if unit.tx.hosts_insert(&hosts)? != hosts.len() as u64 {
        return Err(StoreError::Conflict.into());
    }
    unit.tx.hosts_rows_insert(&ids, app.installation.epoch)?;
    if unit.tx.host_keys_insert(&keys)? != keys.len() as u64 {
        return Err(StoreError::Conflict.into());
    }
    for (Newcomer { arriving, .. }, host_id) in newcomers.iter().zip(&ids) {
        app.arrivals.comes(arriving.entrance.site_id());
        present(unit, arriving, *host_id, Disposition::New)?;
        tell(unit, arriving, *host_id, Disposition::New);
    }
    Ok(ids)
}

fn kind_of(unit: &mut Unit<'_, '_>, team_id: TeamId) -> Result<HostKind, Failure> {
    let team = unit.tx.team(team_id)?.ok_or(Failure::NotFound)?;
    Ok(if team.is_platform { HostKind::Shared } else { HostKind::Team })
}

fn new_host(unit: &mut Unit<'_, '_>, arriving: &Arriving<'_>, kind: HostKind, owns_uid: bool) -> HostRow {
    let entrance = &arriving.entrance;
    HostRow {
        id: HostId::from_uuid(unit.draw.uuid(unit.now)),
        team_id: entrance.team_id(),
        site_id: entrance.site_id(),
        kind,
        name: arriving.machine.hostname.to_string(),
        state: HostState::Active,
        provider: None,
        zone: None,
        arrival: Some(arrival(arriving, Disposition::New, owns_uid)),
        created_at: unit.now,
        enrolled_at: Some(unit.now),
        retired_at: None,
        ephemeral_hours: entrance.ephemeral_hours(),
    }
}

fn new_key(unit: &Unit<'_, '_>, arriving: &Arriving<'_>, host_id: HostId) -> HostKeyRow {
    HostKeyRow {
        name: arriving.machine.key,
        team_id: arriving.entrance.team_id(),
        host_id,
        material: arriving.material.to_vec(),
        state: KeyState::Active,
        ticket_id: arriving.entrance.ticket_id(),
        created_by: None,
        created_at: unit.now,
        ended_at: None,
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    }
}

fn replace(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    host_id: HostId,
) -> Result<(HostId, Disposition), Failure> {
    let team_id = arriving.entrance.team_id();
    let host = unit.tx.host(team_id, host_id)?.ok_or(Failure::NotFound)?;
    let is_suspended = host.state == HostState::Suspended;
    if is_suspended && matches!(arriving.entrance, Entrance::Ticket(_)) {
        return Err(NOT_POSSIBLE);
    }
    if !arriving.keeps_secrets {
        secrets::destroy_owned(unit, &Owners::hosts(team_id, &[host_id]))?;
    }
    let owner = unit.tx.owner_of_uid(team_id, &arriving.machine.uid)?;
    let owns_uid = owner.is_none_or(|owner| owner == host_id);
    let entering = Entering { host_id, from: host.state, disposition: Disposition::Replaced, owns_uid };
    let replaced = enter(unit, arriving, &entering)?;
    // A suspended host stays suspended: replacing its key is no way around a person's decision.
    if is_suspended && !unit.tx.host_move(team_id, host_id, HostState::Active, HostState::Suspended)? {
        return Err(StoreError::Conflict.into());
    }
    Ok(replaced)
}

/// The machine takes the host over, and with it the host comes to the site of the ticket.
fn replace_and_move(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    host_id: HostId,
) -> Result<(HostId, Disposition), Failure> {
    let (team_id, site_id) = (arriving.entrance.team_id(), arriving.entrance.site_id());
    let replaced = replace(unit, arriving, host_id)?;
    let host = unit.tx.host(team_id, host_id)?.ok_or(Failure::NotFound)?;
    moving::relocate(unit, &host, site_id, arriving.author, arriving.decided)?;
    Ok(replaced)
}

fn enter(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    entering: &Entering,
) -> Result<(HostId, Disposition), Failure> {
    let Entering { host_id, from, disposition, owns_uid } = *entering;
    let team_id = arriving.entrance.team_id();
    let former = unit.tx.host_keys_active(host_id)?;
    for key in &former {
        keys::end(unit, key, Ending::ReplacedBy(arriving.machine.key), arriving.author)?;
    }
    if from != HostState::Invited {
        host_config::changed(unit, host_id)?;
        hold::key_was_replaced(unit, (team_id, host_id), &former, arriving.author)?;
    }
    let arrival = arrival(arriving, disposition, owns_uid);
    if !unit.tx.host_arrive(team_id, host_id, from, &arrival, unit.now)? {
        return Err(StoreError::Conflict.into());
    }
    Ok((host_id, disposition))
}

fn arrival(arriving: &Arriving<'_>, disposition: Disposition, owns_uid: bool) -> Arrival {
    let machine = arriving.machine;
    Arrival {
        door: arriving.entrance.door(),
        disposition,
        ticket_id: arriving.entrance.ticket_id(),
        machine_uid: machine.uid,
        owns_uid,
        hostname: machine.hostname.clone(),
        facts: machine.facts.clone(),
        labels: machine.labels.clone(),
    }
}

/// Binds key, ticket and secrets to the host.
fn bind(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    host_id: HostId,
    disposition: Disposition,
) -> Result<(), Failure> {
    if !unit.tx.host_key_insert(&new_key(unit, arriving, host_id))? {
        return Err(StoreError::Conflict.into());
    }
    present(unit, arriving, host_id, disposition)?;
    close_other_claim(unit, arriving)
}

/// Uses the ticket a machine came with.
fn present(
    unit: &mut Unit<'_, '_>,
    arriving: &Arriving<'_>,
    by_host: HostId,
    disposition: Disposition,
) -> Result<(), Failure> {
    match arriving.entrance {
        Entrance::Ticket(ticket) => {
            let spent = Spent { by_key: arriving.machine.key, by_host, disposition };
            use_ticket(unit, arriving.app, ticket, &spent)
        }
        Entrance::Copy(_) => Ok(()),
    }
}

fn use_ticket(unit: &mut Unit<'_, '_>, app: &App, row: &TicketRow, spent: &Spent) -> Result<(), Failure> {
    let ticket = &row.ticket;
    let used = if ticket.is_one_time() {
        unit.tx.ticket_spend(&ticket.id, spent)?
    } else if ticket.max_uses.is_some() {
        unit.tx.ticket_count_use(&ticket.id)?
    } else {
        true
    };
    if !used {
        return Err(StoreError::Conflict.into());
    }
    if ticket.is_one_time() {
        carry_over(unit, row, spent.by_host)?;
    }
    if ticket.kind == TicketKind::EnrolmentToken {
        secrets::bind_to_host(unit, &app.keyring, ticket.team_id, &ticket.id, spent.by_host)?;
    }
    Ok(())
}

/// Everything a ticket carries becomes the host's, also when a person lets it take over an existing one.
fn carry_over(unit: &mut Unit<'_, '_>, ticket: &TicketRow, host_id: HostId) -> Result<(), Failure> {
    let team_id = ticket.ticket.team_id;
    unit.tx.host_tags_add(team_id, host_id, &ticket.tags)?;
    if let Some(name) = &ticket.host_name {
        unit.tx.host_rename(team_id, host_id, name)?;
    }
    if let Some(hours) = ticket.ephemeral_hours {
        unit.tx.host_set_ephemeral(team_id, host_id, hours)?;
    }
    Ok(())
}

/// Closes the claim that the machine left at the site's own door when another ticket let it in.
fn close_other_claim(unit: &mut Unit<'_, '_>, arriving: &Arriving<'_>) -> Result<(), Failure> {
    let key = &arriving.machine.key;
    let claim = unit.tx.claim_of_key(arriving.entrance.site_id(), key)?;
    let waits = |claim: &muster_domain::admission::KnownClaim| {
        claim.state == ClaimState::Waiting && Some(claim.id) != arriving.decided
    };
    match claim.filter(waits) {
        Some(claim) => claim::close_and_free(unit, arriving.entrance.team_id(), claim.id, arriving.author),
        None => Ok(()),
    }
}

fn tell(unit: &mut Unit<'_, '_>, arriving: &Arriving<'_>, host_id: HostId, disposition: Disposition) {
    let entrance = &arriving.entrance;
    let what = match disposition {
        Disposition::New | Disposition::Registered | Disposition::Reuse => Happening::HostEnrolled,
        Disposition::Rekeyed | Disposition::Rejoined | Disposition::Replaced => Happening::HostRekeyed,
    };
    let details = json!({
        "disposition": disposition,
        "key": arriving.machine.key,
        "site_id": entrance.site_id(),
        "ticket_id": entrance.ticket_id(),
        "machine_uid": arriving.machine.uid,
        "claim_id": arriving.decided,
    });
    let fact = Fact::new(what, entrance.team_id(), arriving.author, host_id);
    unit.happened(fact.of_host(host_id).details(details));
}
