//! Random histories of a small fleet: what may never happen, whatever came before (DESIGN §1, SECURITY B15, B16).

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod scene;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use muster_domain::admission::{Admission, COLLISION_WINDOW, Machine, Refusal};
use muster_domain::host_life::Life;
use muster_domain::presence::RECONNECT_WINDOW;
use muster_domain::ticket::Ticket;
use muster_ids::{HostId, KeyName, SiteId, TeamId, TicketId, UidSource};
use muster_wire::bounds::Whole;
use muster_wire::claim::{ClaimState, Verdict};
use muster_wire::enroll::Labels;
use muster_wire::host::HostState;
use muster_wire::site::{NewPolicy, ReimagePolicy, SitePolicy};
use muster_wire::text::Hostname;
use muster_wire::ticket::TicketKind;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scene::{NOW, agent_key, facts, hours, minutes, pair, site, team, ticket_id, uid};
use world::{Host, World};

#[derive(Debug, Clone)]
enum Step {
    Enrol { ticket: usize, key: u8, uid: u8, hostname: u8 },
    Repeat(usize),
    Connect(usize),
    Disconnect(usize),
    Pass(Duration),
    Restart,
    Decide(usize, Verdict),
    Suspend(usize),
    Resume(usize),
    Retire(usize),
    RevokeKey(usize),
    GiveSecret(usize),
    RevokeTicket(usize),
    Invite,
    MintFor(usize),
    SetPolicy { site: u8, asks: bool, auto: bool },
}

fn step() -> impl Strategy<Value = Step> {
    let verdict =
        prop_oneof![Just(Verdict::Replace), Just(Verdict::Move), Just(Verdict::New), Just(Verdict::Reject)];
    let span =
        prop::sample::select(vec![minutes(1), minutes(14), minutes(16), hours(2), hours(25), hours(24 * 8)]);
    prop_oneof![
        10 => (0..16usize, 1..6u8, 1..4u8, 0..2u8)
            .prop_map(|(ticket, key, uid, hostname)| Step::Enrol { ticket, key, uid, hostname }),
        4 => any::<usize>().prop_map(Step::Repeat),
        2 => any::<usize>().prop_map(Step::Connect),
        2 => any::<usize>().prop_map(Step::Disconnect),
        3 => span.prop_map(Step::Pass),
        1 => Just(Step::Restart),
        4 => (any::<usize>(), verdict).prop_map(|(claim, verdict)| Step::Decide(claim, verdict)),
        1 => any::<usize>().prop_map(Step::Suspend),
        1 => any::<usize>().prop_map(Step::Resume),
        1 => any::<usize>().prop_map(Step::Retire),
        1 => any::<usize>().prop_map(Step::RevokeKey),
        1 => any::<usize>().prop_map(Step::GiveSecret),
        1 => any::<usize>().prop_map(Step::RevokeTicket),
        1 => Just(Step::Invite),
        2 => any::<usize>().prop_map(Step::MintFor),
        1 => (1..4u8, any::<bool>(), any::<bool>())
            .prop_map(|(site, asks, auto)| Step::SetPolicy { site, asks, auto }),
    ]
}

fn histories() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

/// Sites 1 and 2 are of team 1, site 3 is of team 2.
fn team_of(at: u8) -> TeamId {
    team(if at == 3 { 2 } else { 1 })
}

fn ticket(n: u8, kind: TicketKind, at: u8, max_uses: Option<u64>) -> Ticket {
    let is_site_key = kind == TicketKind::SiteKey;
    Ticket {
        id: ticket_id(n),
        kind,
        team_id: team_of(at),
        site_id: site(at),
        host_id: None,
        rejoin: false,
        require_key: false,
        expires_at: (!is_site_key).then(|| NOW.plus(hours(30))),
        revoked_at: None,
        rotation: None,
        max_uses,
        uses: 0,
        spent: None,
        reserved_for: None,
    }
}

fn policy(asks: bool, auto: bool) -> SitePolicy {
    SitePolicy {
        new: if asks { NewPolicy::Approve } else { NewPolicy::Auto },
        reimage: if auto { ReimagePolicy::Auto } else { ReimagePolicy::Approve },
        surge: Whole::clamped(4),
        require_key: false,
        ..SitePolicy::default()
    }
}

fn machine(key: u8, of: u8, hostname: u8) -> Machine {
    let source = [UidSource::Smbios, UidSource::Given, UidSource::Machine][usize::from(of) - 1];
    Machine {
        key: if key == 5 { agent_key(key) } else { pair(key) },
        uid: uid(source, of),
        hostname: Hostname::parse(if hostname == 0 { "web-1" } else { "db-1" }).unwrap(),
        facts: facts(),
        labels: Labels::default(),
    }
}

struct History {
    world: World,
    enrolments: Vec<(TicketId, Machine)>,
    /// Which host a ticket gave a key: the answer every retry must repeat.
    given: BTreeMap<(TicketId, KeyName), HostId>,
    hosts_of_ticket: BTreeMap<TicketId, BTreeSet<HostId>>,
    seen: BTreeSet<&'static str>,
    minted: u8,
}

impl History {
    fn begin() -> Self {
        use TicketKind::{EnrolmentToken, SiteKey};
        let tickets = vec![
            ticket(1, SiteKey, 1, None),
            ticket(2, SiteKey, 1, Some(1)),
            ticket(3, SiteKey, 2, None),
            ticket(4, SiteKey, 3, None),
            ticket(5, EnrolmentToken, 1, None),
            ticket(6, EnrolmentToken, 1, None),
            ticket(7, EnrolmentToken, 2, None),
            ticket(8, EnrolmentToken, 3, None),
        ];
        let policies: BTreeMap<SiteId, SitePolicy> =
            (1..4).map(|at| (site(at), policy(false, at == 1))).collect();
        Self {
            world: World::new(NOW, tickets, policies),
            enrolments: Vec::new(),
            given: BTreeMap::new(),
            hosts_of_ticket: BTreeMap::new(),
            seen: BTreeSet::new(),
            minted: 100,
        }
    }

    fn host_at(&self, index: usize) -> Option<HostId> {
        let count = self.world.hosts.len();
        (count > 0).then(|| *self.world.hosts.keys().nth(index % count).unwrap())
    }

    fn on_host(&mut self, index: usize, change: impl FnOnce(&mut World, HostId)) {
        if let Some(id) = self.host_at(index) {
            change(&mut self.world, id);
        }
    }

    fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Enrol { ticket, key, uid, hostname } => {
                let ticket = self.world.tickets[ticket % self.world.tickets.len()].id;
                self.enrol(ticket, machine(key, uid, hostname))?;
            }
            Step::Repeat(index) if !self.enrolments.is_empty() => {
                let (ticket, machine) = self.enrolments[index % self.enrolments.len()].clone();
                self.enrol(ticket, machine)?;
            }
            Step::Decide(index, verdict) if !self.world.claims.is_empty() => {
                self.decide(index % self.world.claims.len(), verdict)?;
            }
            _ => self.happens(step),
        }
        self.world_is_sound()
    }

    fn happens(&mut self, step: &Step) {
        match *step {
            Step::Connect(index) => self.on_host(index, connect),
            Step::Disconnect(index) => self.on_host(index, |world, id| {
                world.hosts.get_mut(&id).unwrap().view.connected = false;
            }),
            Step::Pass(span) => self.pass(span),
            Step::Restart => {
                self.world.started_at = self.world.now;
                self.world.hosts.values_mut().for_each(|host| host.view.connected = false);
            }
            Step::Suspend(index) => self.on_host(index, |world, id| step_of_life(world, id, Life::suspend)),
            Step::Resume(index) => self.on_host(index, |world, id| step_of_life(world, id, Life::resume)),
            Step::Retire(index) => self.on_host(index, World::retire),
            Step::RevokeKey(index) => self.on_host(index, |world, id| {
                world.drop_key(id);
                world.hosts.get_mut(&id).unwrap().view.last_key_revoked_by_person = true;
            }),
            Step::GiveSecret(index) => self.on_host(index, |world, id| {
                world.hosts.get_mut(&id).unwrap().view.holds_secret = true;
            }),
            Step::RevokeTicket(index) => self.world.revoke_ticket(index % self.world.tickets.len()),
            Step::Invite => {
                let id = self.world.invite(team(1), site(1));
                self.mint_for(id);
            }
            Step::MintFor(index) => {
                self.host_at(index).into_iter().for_each(|id| self.mint_for(id));
            }
            Step::SetPolicy { site: at, asks, auto } => {
                self.world.policies.insert(site(at), policy(asks, auto));
            }
            Step::Enrol { .. } | Step::Repeat(_) | Step::Decide(..) => {}
        }
    }

    fn mint_for(&mut self, id: HostId) {
        self.minted += 1;
        self.world.mint_for_host(ticket_id(self.minted), id);
    }

    /// Time goes by; whoever is connected is seen all the while.
    fn pass(&mut self, span: Duration) {
        self.world.now = self.world.now.plus(span);
        let now = self.world.now;
        for host in self.world.hosts.values_mut().filter(|host| host.view.connected) {
            host.view.seen_at = Some(now);
        }
    }

    fn enrol(&mut self, ticket: TicketId, machine: Machine) -> Result<(), TestCaseError> {
        let hosts = self.world.hosts.clone();
        let keys = self.world.keys.clone();
        let key_was = keys.get(&machine.key).copied();
        let answer = self.world.enrol(ticket, &machine);
        self.seen.insert(word(&answer));
        self.may_touch_only(&hosts, ticket, &machine, &answer)?;
        if !matches!(answer, Ok(admission) if touches(&admission).is_some() || is_new(&admission)) {
            prop_assert_eq!(&self.world.hosts, &hosts, "{:?} changed a host", answer);
            prop_assert_eq!(&self.world.keys, &keys, "{:?} changed a key", answer);
        }
        if let Some((_, false)) = key_was {
            prop_assert!(answer.is_err(), "a gone key was admitted: {:?}", answer);
        }
        if let Some(first) = self.given.get(&(ticket, machine.key))
            && key_was == Some((*first, true))
        {
            let suspended = hosts[first].view.state == HostState::Suspended;
            let expected = if suspended { Err(Refusal::HostSuspended) } else { Ok(*first) };
            prop_assert_eq!(answer.map(|admission| named(&admission)), expected.map(Some), "{:?}", answer);
        }
        self.note(ticket, machine.key, answer.ok())?;
        self.enrolments.push((ticket, machine));
        Ok(())
    }

    fn decide(&mut self, index: usize, verdict: Verdict) -> Result<(), TestCaseError> {
        let hosts = self.world.hosts.clone();
        let claim = self.world.claims[index].clone();
        let Some(decision) = self.world.decide(index, verdict) else { return Ok(()) };
        let admission = decision.ok().flatten();
        self.seen.extend(admission.map(|admission| word(&Ok(admission))));
        let touched = admission.and_then(|admission| touches(&admission));
        for (id, host) in hosts.iter().filter(|(id, _)| Some(**id) != touched) {
            prop_assert_eq!(&self.world.hosts[id], host, "{:?} touched another host", verdict);
        }
        if admission.is_none() {
            prop_assert_eq!(&self.world.hosts, &hosts, "{:?} without admission", verdict);
        }
        if let Some(Admission::Move { host_id }) = admission {
            let site_id = self.world.ticket(claim.known.ticket_id.unwrap()).site_id;
            prop_assert_ne!(hosts[&host_id].view.site_id, site_id);
            prop_assert_eq!(self.world.hosts[&host_id].view.site_id, site_id);
        }
        if let Some(Admission::Replace { host_id } | Admission::Move { host_id }) = admission {
            prop_assert_eq!(hosts[&host_id].uid, Some(claim.machine.uid));
            prop_assert_ne!(self.world.claims[index].known.state, ClaimState::Waiting);
        }
        self.note(claim.known.ticket_id.unwrap(), claim.machine.key, admission)
    }

    /// Remembers which host the ticket led to.
    fn note(
        &mut self,
        ticket: TicketId,
        key: KeyName,
        admission: Option<Admission>,
    ) -> Result<(), TestCaseError> {
        let Some(admission) = admission else { return Ok(()) };
        let host_id =
            if is_new(&admission) { self.world.keys.get(&key).map(|(id, _)| *id) } else { named(&admission) };
        let Some(host_id) = host_id else { return Ok(()) };
        if !matches!(admission, Admission::Reuse { .. }) {
            self.given.insert((ticket, key), host_id);
            self.hosts_of_ticket.entry(ticket).or_default().insert(host_id);
        }
        if self.world.ticket(ticket).is_one_time() {
            let count = self.hosts_of_ticket.get(&ticket).map_or(0, BTreeSet::len);
            prop_assert!(count <= 1, "one ticket, {} hosts", count);
        }
        Ok(())
    }

    /// An existing host changes for its own key, its own ticket, or a policy all of whose conditions hold.
    fn may_touch_only(
        &self,
        before: &BTreeMap<HostId, Host>,
        ticket: TicketId,
        machine: &Machine,
        answer: &Result<Admission, Refusal>,
    ) -> Result<(), TestCaseError> {
        let touched = answer.as_ref().ok().and_then(touches);
        for (id, host) in before.iter().filter(|(id, _)| Some(**id) != touched) {
            prop_assert_eq!(&self.world.hosts[id], host, "{:?} touched another host", answer);
        }
        let Some(id) = touched else { return Ok(()) };
        let (was, is) = (&before[&id], &self.world.hosts[&id]);
        let ticket = self.world.ticket(ticket);
        prop_assert_eq!(was.view.team_id, ticket.team_id, "a foreign team touched a host");
        match answer {
            Ok(Admission::Reuse { .. }) => {
                prop_assert_eq!(was.key, Some(machine.key));
                let mut refreshed = was.clone();
                refreshed.hostname = Some(machine.hostname.clone());
                refreshed.view.seen_at = Some(self.world.now);
                prop_assert_eq!(is, &refreshed);
            }
            Ok(Admission::Register { .. }) => {
                prop_assert_eq!((ticket.host_id, was.view.state), (Some(id), HostState::Invited));
            }
            Ok(Admission::Rejoin { .. }) => {
                let named_by_a_person = ticket.rejoin && ticket.host_id == Some(id);
                prop_assert!(named_by_a_person && was.view.state == HostState::Active);
            }
            Ok(Admission::Rekey { .. }) => self.may_rekey(was, machine, ticket)?,
            other => prop_assert!(false, "{:?} touched a host", other),
        }
        Ok(())
    }

    fn may_rekey(&self, was: &Host, machine: &Machine, ticket: &Ticket) -> Result<(), TestCaseError> {
        let quiet_for = self.world.now.since(was.view.seen_at.expect("it was seen"));
        prop_assert!(quiet_for > hours(24) && quiet_for > COLLISION_WINDOW && !was.view.connected);
        prop_assert_eq!(self.world.policies[&was.view.site_id].reimage, ReimagePolicy::Auto);
        prop_assert_eq!(was.view.site_id, ticket.site_id);
        prop_assert!(was.owns_uid && was.uid == Some(machine.uid));
        prop_assert!(machine.key.is_pair() && machine.uid.source().is_strong());
        prop_assert!(!was.view.holds_secret && !was.view.selected_by_plan && was.view.ever_connected);
        prop_assert!(!was.view.last_key_revoked_by_person);
        prop_assert!(self.world.now.since(self.world.started_at) > RECONNECT_WINDOW);
        Ok(())
    }

    fn world_is_sound(&self) -> Result<(), TestCaseError> {
        for (id, host) in &self.world.hosts {
            let keys = self.world.keys_of(*id);
            prop_assert!(keys.len() <= 1, "{} has {} keys", id, keys.len());
            prop_assert_eq!(keys.first().copied(), host.key);
            if let Some(uid) = &host.uid {
                let owners = self.world.owners(host.view.team_id, uid).count();
                prop_assert!(owners <= 1, "{} hosts own {}", owners, uid);
            }
        }
        Ok(())
    }
}

fn connect(world: &mut World, id: HostId) {
    let now = world.now;
    let host = world.hosts.get_mut(&id).unwrap();
    if host.key.is_some() && host.view.state == HostState::Active {
        host.view.connected = true;
        host.view.ever_connected = true;
        host.view.seen_at = Some(now);
    }
}

fn step_of_life(
    world: &mut World,
    id: HostId,
    step: fn(HostState) -> Result<HostState, muster_domain::host_life::NotPossible>,
) {
    let host = world.hosts.get_mut(&id).unwrap();
    if let Ok(state) = step(host.view.state) {
        host.view.state = state;
        host.view.connected = false;
    }
}

/// The existing host an admission may change.
fn touches(admission: &Admission) -> Option<HostId> {
    match admission {
        Admission::Replay { .. } => None,
        other => named(other),
    }
}

/// The existing host an admission is about.
fn named(admission: &Admission) -> Option<HostId> {
    match *admission {
        Admission::Replay { host_id, .. }
        | Admission::Reuse { host_id }
        | Admission::Register { host_id, .. }
        | Admission::Rejoin { host_id, .. }
        | Admission::Rekey { host_id }
        | Admission::Replace { host_id }
        | Admission::Move { host_id } => Some(host_id),
        Admission::New { .. } | Admission::Claim { .. } | Admission::Wait { .. } => None,
    }
}

fn is_new(admission: &Admission) -> bool {
    matches!(admission, Admission::New { .. })
}

fn word(answer: &Result<Admission, Refusal>) -> &'static str {
    match answer {
        Ok(Admission::Replay { .. }) => "replay",
        Ok(Admission::Wait { .. }) => "wait",
        Ok(Admission::Reuse { .. }) => "reuse",
        Ok(Admission::New { .. }) => "new",
        Ok(Admission::Register { .. }) => "register",
        Ok(Admission::Rejoin { .. }) => "rejoin",
        Ok(Admission::Rekey { .. }) => "rekey",
        Ok(Admission::Replace { .. }) => "replace",
        Ok(Admission::Move { .. }) => "move",
        Ok(Admission::Claim { .. }) => "claim",
        Err(Refusal::Rejected(_)) => "rejected",
        Err(Refusal::KeyRevoked { .. }) => "key revoked",
        Err(Refusal::KeyInUse) => "key in use",
        Err(Refusal::HostSuspended) => "host suspended",
        Err(Refusal::ClaimRejected) => "claim rejected",
        Err(Refusal::TooManyClaims) => "too many claims",
        Err(Refusal::KeyRequired | Refusal::HostHeld | Refusal::NotACopy | Refusal::VerdictNotPossible) => {
            "other"
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_what_must_hold(steps in histories()) {
        let mut history = History::begin();
        for step in &steps {
            history.take(step)?;
        }
    }
}

/// Guards the property above against histories that never get anywhere.
#[test]
fn histories_reach_every_answer() {
    let mut runner = TestRunner::deterministic();
    let mut seen = BTreeSet::new();
    for _ in 0..400 {
        let mut history = History::begin();
        for step in histories().new_tree(&mut runner).unwrap().current() {
            history.take(&step).unwrap();
        }
        seen.extend(history.seen);
    }
    let expected = [
        "replay",
        "wait",
        "reuse",
        "new",
        "register",
        "rejoin",
        "rekey",
        "replace",
        "claim",
        "rejected",
        "key revoked",
        "key in use",
        "host suspended",
        "claim rejected",
    ];
    let missing: Vec<_> = expected.into_iter().filter(|word| !seen.contains(word)).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}");
}
