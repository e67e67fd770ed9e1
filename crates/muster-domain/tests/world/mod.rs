//! A small fleet in memory: loads what `admit` asks for and does what it answers, as the store must.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_domain::admission::{
    Admission, CLAIM_LIFE, HostView, KeyHistory, Known, KnownClaim, Machine, Refusal, WaitingClaim, admit,
    admit_with_verdict,
};
use muster_domain::presence::RECONNECT_WINDOW;
use muster_domain::ticket::{Spent, Ticket};
use muster_ids::{ClaimId, HostId, KeyName, MachineUid, SiteId, TeamId, TicketId, Timestamp};
use muster_wire::claim::{ClaimReason, ClaimState, Verdict};
use muster_wire::enroll::Disposition;
use muster_wire::host::HostState;
use muster_wire::site::SitePolicy;
use muster_wire::text::Hostname;
use muster_wire::ticket::TicketKind;

/// Everything an operator or the owning agent can observe of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) view: HostView,
    pub(crate) uid: Option<MachineUid>,
    pub(crate) owns_uid: bool,
    pub(crate) hostname: Option<Hostname>,
    pub(crate) key: Option<KeyName>,
    pub(crate) made_at: Timestamp,
    pub(crate) through: Option<TicketKind>,
}

#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) known: KnownClaim,
    pub(crate) machine: Machine,
    pub(crate) contested: Option<HostId>,
    pub(crate) opened_at: Timestamp,
}

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) started_at: Timestamp,
    pub(crate) hosts: BTreeMap<HostId, Host>,
    pub(crate) tickets: Vec<Ticket>,
    pub(crate) claims: Vec<Claim>,
    pub(crate) keys: BTreeMap<KeyName, (HostId, bool)>,
    pub(crate) policies: BTreeMap<SiteId, SitePolicy>,
    last_owner: BTreeMap<(TeamId, MachineUid), HostId>,
    next_id: u128,
}

impl World {
    pub(crate) fn new(now: Timestamp, tickets: Vec<Ticket>, policies: BTreeMap<SiteId, SitePolicy>) -> Self {
        Self {
            now,
            started_at: now,
            hosts: BTreeMap::new(),
            tickets,
            claims: Vec::new(),
            keys: BTreeMap::new(),
            policies,
            last_owner: BTreeMap::new(),
            next_id: 0,
        }
    }

    fn id(&mut self) -> uuid::Uuid {
        self.next_id += 1;
        uuid::Uuid::from_u128(self.next_id)
    }

    fn blank_host(&mut self, team_id: TeamId, site_id: SiteId, state: HostState) -> Host {
        let id = HostId::from_uuid(self.id());
        Host {
            view: HostView {
                id,
                team_id,
                site_id,
                state,
                connected: false,
                seen_at: None,
                ever_connected: false,
                holds_secret: false,
                selected_by_plan: false,
                last_key_revoked_by_person: false,
                held: false,
            },
            uid: None,
            owns_uid: false,
            hostname: None,
            key: None,
            made_at: self.now,
            through: None,
        }
    }

    /// An operator invites a host.
    pub(crate) fn invite(&mut self, team_id: TeamId, site_id: SiteId) -> HostId {
        let host = self.blank_host(team_id, site_id, HostState::Invited);
        let id = host.view.id;
        self.hosts.insert(id, host);
        id
    }

    fn view(&self, id: HostId) -> HostView {
        self.hosts[&id].view.clone()
    }

    /// What the transaction would read.
    pub(crate) fn known(&self, ticket: &Ticket, machine: &Machine) -> Known {
        let owner = self.owner(ticket.team_id, &machine.uid);
        let last_owner = self.last_owner.get(&(ticket.team_id, machine.uid));
        let waiting = || self.claims.iter().filter(|claim| claim.known.state == ClaimState::Waiting);
        let of_site = |claim: &&Claim| self.ticket(claim.known.ticket_id.unwrap()).site_id == ticket.site_id;
        let count = |claims: usize| u32::try_from(claims).expect("few claims");
        let an_hour = Duration::from_secs(3600);
        Known {
            key: match self.keys.get(&machine.key) {
                None => KeyHistory::Unknown,
                Some((id, true)) => KeyHistory::Active(self.view(*id)),
                Some((id, false)) => KeyHistory::Gone { host_id: *id },
            },
            uid_last_owned_by_retired: owner.is_none()
                && last_owner.is_some_and(|id| self.hosts[id].view.state == HostState::Retired),
            claims_on_owner: owner
                .map_or(0, |owner| count(waiting().filter(|claim| claim.contested == Some(owner)).count())),
            owner: owner.map(|id| self.view(id)),
            invited: ticket.host_id.map(|id| self.view(id)),
            claim: self
                .claims
                .iter()
                .filter(|claim| claim.machine.key == machine.key)
                .filter(of_site)
                .map(|claim| claim.known)
                .filter(|claim| matches!(claim.state, ClaimState::Waiting | ClaimState::Rejected))
                .max_by_key(|claim| claim.state == ClaimState::Rejected),
            claims_at_site: count(waiting().filter(of_site).count()),
            new_hosts_this_hour: self
                .hosts
                .values()
                .filter(|host| host.view.site_id == ticket.site_id)
                .filter(|host| host.through == Some(TicketKind::SiteKey))
                .filter(|host| self.now.since(host.made_at) < an_hour)
                .count() as u64,
            server_past_reconnect_window: self.now.since(self.started_at) > RECONNECT_WINDOW,
        }
    }

    fn owner(&self, team_id: TeamId, uid: &MachineUid) -> Option<HostId> {
        self.owners(team_id, uid).next()
    }

    /// The living hosts that own the uid: never more than one.
    pub(crate) fn owners(&self, team_id: TeamId, uid: &MachineUid) -> impl Iterator<Item = HostId> {
        self.hosts
            .values()
            .filter(move |host| host.view.team_id == team_id && host.uid == Some(*uid) && host.owns_uid)
            .filter(|host| host.view.state != HostState::Retired)
            .map(|host| host.view.id)
    }

    pub(crate) fn ticket(&self, id: TicketId) -> &Ticket {
        self.tickets.iter().find(|ticket| ticket.id == id).expect("tickets stay")
    }

    fn ticket_mut(&mut self, id: TicketId) -> &mut Ticket {
        self.tickets.iter_mut().find(|ticket| ticket.id == id).expect("tickets stay")
    }

    /// A machine knocks.
    pub(crate) fn enrol(&mut self, ticket: TicketId, machine: &Machine) -> Result<Admission, Refusal> {
        self.expire_claims();
        let ticket = self.ticket(ticket).clone();
        let known = self.known(&ticket, machine);
        let admission = admit(&ticket, machine, &known, &self.policies[&ticket.site_id], self.now)?;
        self.apply(&ticket, machine, admission);
        Ok(admission)
    }

    /// A person decides the claim at `index`; `None`: there is nothing to decide.
    pub(crate) fn decide(
        &mut self,
        index: usize,
        verdict: Verdict,
    ) -> Option<Result<Option<Admission>, Refusal>> {
        self.expire_claims();
        let claim = self.claims.get(index)?.clone();
        if claim.known.state != ClaimState::Waiting {
            return None;
        }
        let ticket = self.ticket(claim.known.ticket_id.unwrap()).clone();
        let known = self.known(&ticket, &claim.machine);
        let waiting =
            WaitingClaim { reason: claim.known.reason, contested: claim.contested, key: claim.machine.key };
        let policy = &self.policies[&ticket.site_id];
        let decision = admit_with_verdict(&waiting, &ticket, &known, policy, verdict);
        match decision {
            Err(_) => {}
            Ok(None) => {
                self.claims[index].known.state = ClaimState::Rejected;
                let burnt_at = self.now;
                let ticket = self.ticket_mut(ticket.id);
                ticket.reserved_for = None;
                if ticket.is_one_time() {
                    ticket.revoked_at.get_or_insert(burnt_at);
                }
            }
            Ok(Some(admission)) => {
                self.claims[index].known.state = match admission {
                    Admission::Replace { .. } => ClaimState::Replaced,
                    Admission::Move { .. } => ClaimState::Moved,
                    _ => ClaimState::New,
                };
                self.apply(&ticket, &claim.machine, admission);
            }
        }
        Some(decision)
    }

    fn expire_claims(&mut self) {
        let now = self.now;
        let mut freed = Vec::new();
        for claim in &mut self.claims {
            if claim.known.state == ClaimState::Waiting && now.since(claim.opened_at) >= CLAIM_LIFE {
                claim.known.state = ClaimState::Expired;
                freed.push(claim.known.ticket_id);
            }
        }
        freed.into_iter().flatten().for_each(|ticket| self.ticket_mut(ticket).reserved_for = None);
    }

    fn apply(&mut self, ticket: &Ticket, machine: &Machine, admission: Admission) {
        match admission {
            Admission::Replay { .. } | Admission::Wait { .. } => {}
            Admission::Reuse { host_id } => {
                let now = self.now;
                let host = self.hosts.get_mut(&host_id).expect("hosts stay");
                host.hostname = Some(machine.hostname.clone());
                host.view.seen_at = Some(now);
            }
            Admission::New { owns_uid } => {
                let mut host = self.blank_host(ticket.team_id, ticket.site_id, HostState::Active);
                host.through = Some(ticket.kind);
                let id = host.view.id;
                self.hosts.insert(id, host);
                self.becomes(id, machine, Some(owns_uid), ticket, Disposition::New);
            }
            Admission::Register { host_id, owns_uid } => {
                self.becomes(host_id, machine, Some(owns_uid), ticket, Disposition::Registered);
            }
            Admission::Rejoin { host_id, owns_uid } => {
                self.becomes(host_id, machine, Some(owns_uid), ticket, Disposition::Rejoined);
            }
            Admission::Rekey { host_id } => {
                self.becomes(host_id, machine, None, ticket, Disposition::Rekeyed);
            }
            Admission::Replace { host_id } => {
                self.becomes(host_id, machine, None, ticket, Disposition::Replaced);
            }
            Admission::Move { host_id } => {
                self.becomes(host_id, machine, None, ticket, Disposition::Replaced);
                self.hosts.get_mut(&host_id).expect("hosts stay").view.site_id = ticket.site_id;
                let waits = |claim: &&Claim| {
                    claim.contested == Some(host_id) && claim.known.state == ClaimState::Waiting
                };
                let waiting: Vec<ClaimId> = self.claims.iter().filter(waits).map(|c| c.known.id).collect();
                waiting.into_iter().for_each(|id| self.close_claim(id));
            }
            Admission::Claim { reason, contested, supersedes } => {
                if let Some(earlier) = supersedes {
                    self.close_claim(earlier);
                }
                self.open_claim(ticket, machine, reason, contested);
            }
        }
    }

    fn close_claim(&mut self, id: ClaimId) {
        let claim = self.claims.iter_mut().find(|claim| claim.known.id == id).expect("claims stay");
        claim.known.state = ClaimState::Closed;
        let ticket = claim.known.ticket_id;
        self.ticket_mut(ticket.unwrap()).reserved_for = None;
    }

    fn open_claim(
        &mut self,
        ticket: &Ticket,
        machine: &Machine,
        reason: ClaimReason,
        contested: Option<HostId>,
    ) {
        let id = ClaimId::from_uuid(self.id());
        self.claims.push(Claim {
            known: KnownClaim { id, ticket_id: Some(ticket.id), reason, state: ClaimState::Waiting },
            machine: machine.clone(),
            contested,
            opened_at: self.now,
        });
        if ticket.is_one_time() {
            self.ticket_mut(ticket.id).reserved_for = Some(machine.key);
        }
    }

    /// The machine's key becomes the one key of the host; the ticket is used.
    fn becomes(
        &mut self,
        id: HostId,
        machine: &Machine,
        owns_uid: Option<bool>,
        ticket: &Ticket,
        disposition: Disposition,
    ) {
        let now = self.now;
        self.drop_key(id);
        let host = self.hosts.get_mut(&id).expect("hosts stay");
        if host.view.state == HostState::Invited {
            host.view.state = HostState::Active;
        }
        host.key = Some(machine.key);
        host.hostname = Some(machine.hostname.clone());
        host.view.seen_at = Some(now);
        host.view.last_key_revoked_by_person = false;
        if let Some(owns_uid) = owns_uid {
            host.uid = Some(machine.uid);
            host.owns_uid = owns_uid;
        }
        let owned = host.owns_uid.then_some(((host.view.team_id, machine.uid), id));
        self.last_owner.extend(owned);
        self.keys.insert(machine.key, (id, true));
        let used = self.ticket_mut(ticket.id);
        used.uses += 1;
        used.reserved_for = None;
        if used.is_one_time() {
            used.spent = Some(Spent { by_key: machine.key, by_host: id, disposition });
        }
    }

    /// The host's key is gone and its socket cut.
    pub(crate) fn drop_key(&mut self, id: HostId) {
        let host = self.hosts.get_mut(&id).expect("hosts stay");
        host.view.connected = false;
        if let Some(key) = host.key.take() {
            self.keys.insert(key, (id, false));
        }
    }

    pub(crate) fn retire(&mut self, id: HostId) {
        self.drop_key(id);
        self.hosts.get_mut(&id).expect("hosts stay").view.state = HostState::Retired;
    }

    pub(crate) fn revoke_ticket(&mut self, index: usize) {
        let now = self.now;
        let ticket = &mut self.tickets[index];
        ticket.revoked_at.get_or_insert(now);
        ticket.reserved_for = None;
        let id = ticket.id;
        for claim in &mut self.claims {
            if claim.known.ticket_id == Some(id) && claim.known.state == ClaimState::Waiting {
                claim.known.state = ClaimState::Closed;
            }
        }
    }

    /// A person mints a registration token, which voids the older ones of that host.
    pub(crate) fn mint_for_host(&mut self, id: TicketId, host_id: HostId) {
        let older: Vec<usize> = (0..self.tickets.len())
            .filter(|index| self.tickets[*index].host_id == Some(host_id))
            .filter(|index| self.tickets[*index].spent.is_none())
            .collect();
        older.into_iter().for_each(|index| self.revoke_ticket(index));
        let view = self.view(host_id);
        self.tickets.push(Ticket {
            id,
            kind: TicketKind::RegistrationToken,
            team_id: view.team_id,
            site_id: view.site_id,
            host_id: Some(host_id),
            rejoin: view.state != HostState::Invited,
            require_key: false,
            expires_at: Some(self.now.plus(Duration::from_secs(3600))),
            revoked_at: None,
            rotation: None,
            max_uses: None,
            uses: 0,
            spent: None,
            reserved_for: None,
        });
    }

    /// The keys a host may prove itself with: never more than one.
    pub(crate) fn keys_of(&self, id: HostId) -> BTreeSet<KeyName> {
        self.keys.iter().filter(|(_, (host, active))| *host == id && *active).map(|(key, _)| *key).collect()
    }
}
