//! What a ticket would admit, said before anybody shows it (DESIGN §4).
//!
//! Nothing is decided here: [`explain`] asks [`admit`] about one machine of every kind, so that both can never
//! disagree. To explain another kind of machine, add it to [`Situation`] and to [`Sample`].

use std::time::Duration;

use muster_ids::{
    HostId, KeyName, KeyThumbprint, MachineUid, PublicId, SiteId, TeamId, Timestamp, UidSource,
};
use muster_wire::bounds::Whole;
use muster_wire::enroll::{Facts, Labels};
use muster_wire::explanation::{Case, Explanation, Fate, Gives, Situation};
use muster_wire::host::HostState;
use muster_wire::refusal::RefusalCause;
use muster_wire::site::{NewPolicy, ReimagePolicy, SitePolicy};
use muster_wire::text::{Hostname, Line};
use muster_wire::ticket::TicketKind;
use uuid::Uuid;

use crate::admission::{
    Admission, COLLISION_WINDOW, HostView, KeyHistory, Known, Machine, Refusal, admit, requires_key_pair,
};
use crate::ticket::Ticket;

/// Says what a ticket would admit at `now`; `named` is the host a door-2 ticket is for, as it stands.
pub fn explain(
    ticket: &Ticket,
    gives: Gives,
    named: Option<&HostView>,
    policy: &SitePolicy,
    now: Timestamp,
) -> Explanation {
    let lets_in_unasked = ticket.kind == TicketKind::SiteKey && policy.new == NewPolicy::Auto;
    let takes_over = ticket.kind == TicketKind::SiteKey && policy.reimage == ReimagePolicy::Auto;
    let is_told = |situation: &Situation| match situation {
        Situation::NewInSurge => lets_in_unasked,
        Situation::ReimagedLongAgo => takes_over,
        _ => true,
    };
    let sample = Sample { ticket, named, policy, now };
    let case = |machine| Case { machine, fate: sample.fate(machine) };
    let cases: Vec<Case> = SITUATIONS.into_iter().filter(is_told).map(case).collect();
    let closed_by = match ticket.admits_at(&nobodys_key(), now) {
        Err(cause) => Some(cause.word()),
        Ok(()) => match sample.fate(Situation::New) {
            Fate::Refused { cause } => Some(cause),
            _ => None,
        },
    };
    Explanation {
        kind: ticket.kind,
        site_id: ticket.site_id,
        closed_by,
        hosts_left: hosts_left(ticket, closed_by),
        until: ticket.lapses_at(),
        surge_per_hour: lets_in_unasked.then_some(policy.surge.get()),
        key_pair_required: requires_key_pair(ticket, policy),
        gives,
        cases,
    }
}

fn hosts_left(ticket: &Ticket, closed_by: Option<RefusalCause>) -> Option<u64> {
    match (closed_by, ticket.is_one_time()) {
        (Some(_), _) => Some(0),
        (None, true) => Some(1),
        (None, false) => ticket.max_uses.map(|max_uses| max_uses.saturating_sub(ticket.uses)),
    }
}

const SITUATIONS: [Situation; 13] = [
    Situation::New,
    Situation::NewWithoutKeyPair,
    Situation::NewInSurge,
    Situation::SameHost,
    Situation::OtherHost,
    Situation::ForeignHost,
    Situation::SuspendedHost,
    Situation::RevokedKey,
    Situation::Reimaged,
    Situation::ReimagedLongAgo,
    Situation::Copy,
    Situation::ForeignSite,
    Situation::Retired,
];

/// What a machine of each kind is judged by.
struct Sample<'a> {
    ticket: &'a Ticket,
    named: Option<&'a HostView>,
    policy: &'a SitePolicy,
    now: Timestamp,
}

impl Sample<'_> {
    fn fate(&self, situation: Situation) -> Fate {
        let (machine, known) = self.knock(situation);
        match admit(self.ticket, &machine, &known, self.policy, self.now) {
            Ok(admission) => fate(admission),
            Err(refusal) => refused(&refusal),
        }
    }

    /// A machine of this kind, and what is known of it.
    fn knock(&self, situation: Situation) -> (Machine, Known) {
        let mut machine = machine();
        let mut known = self.nothing_known();
        let here = self.host();
        match situation {
            Situation::New => {}
            Situation::NewWithoutKeyPair => {
                machine.key = KeyName::Agent(muster_ids::AgentKeyId::new(PublicId::from_entropy([0; 16])));
            }
            Situation::NewInSurge => known.new_hosts_this_hour = self.policy.surge.get(),
            Situation::SameHost => known.key = KeyHistory::Active(self.same_host()),
            Situation::OtherHost => known.key = KeyHistory::Active(self.elsewhere()),
            Situation::ForeignHost => {
                let team_id = TeamId::from_uuid(Uuid::nil());
                known.key = KeyHistory::Active(HostView { team_id, ..self.elsewhere() });
            }
            Situation::SuspendedHost => {
                let state = HostState::Suspended;
                known.key = KeyHistory::Active(HostView { state, ..self.same_host() });
            }
            Situation::RevokedKey => known.key = KeyHistory::Gone { host_id: here.id },
            Situation::Reimaged => known.owner = Some(HostView { holds_secret: true, ..here }),
            Situation::ReimagedLongAgo => known.owner = Some(here),
            Situation::Copy => known.owner = Some(HostView { connected: true, ..here }),
            Situation::ForeignSite => known.owner = Some(self.elsewhere()),
            Situation::Retired => known.uid_last_owned_by_retired = true,
        }
        (machine, known)
    }

    fn nothing_known(&self) -> Known {
        Known {
            key: KeyHistory::Unknown,
            owner: None,
            uid_last_owned_by_retired: false,
            invited: self.named.cloned(),
            claim: None,
            claims_on_owner: 0,
            claims_at_site: 0,
            new_hosts_this_hour: 0,
            server_past_reconnect_window: true,
        }
    }

    /// A host of this site that nobody heard of for as long as anybody could ask.
    fn host(&self) -> HostView {
        let silent_for = Duration::from_secs(self.policy.reimage_after_secs.get()) + COLLISION_WINDOW;
        HostView {
            id: HostId::from_uuid(Uuid::nil()),
            team_id: self.ticket.team_id,
            site_id: self.ticket.site_id,
            state: HostState::Active,
            connected: false,
            seen_at: Some(self.now.minus(silent_for + Duration::from_secs(1))),
            ever_connected: true,
            holds_secret: false,
            selected_by_plan: false,
            last_key_revoked_by_person: false,
            held: false,
        }
    }

    /// The host the ticket is for; at the other doors any host of this site.
    fn same_host(&self) -> HostView {
        let id = self.ticket.host_id.unwrap_or(HostId::from_uuid(Uuid::nil()));
        HostView { id, ..self.host() }
    }

    /// A host of the team at another site, not the one the ticket is for.
    fn elsewhere(&self) -> HostView {
        HostView { site_id: SiteId::from_uuid(Uuid::nil()), ..self.host() }
    }
}

fn fate(admission: Admission) -> Fate {
    match admission {
        Admission::New { .. } => Fate::NewHost,
        Admission::Register { .. } => Fate::Registered,
        Admission::Rejoin { .. }
        | Admission::Rekey { .. }
        | Admission::Replace { .. }
        | Admission::Move { .. } => Fate::Rekeyed,
        Admission::Reuse { .. } | Admission::Replay { .. } => Fate::Same,
        Admission::Claim { reason, .. } | Admission::Wait { reason, .. } => Fate::Waits { reason },
    }
}

fn refused(refusal: &Refusal) -> Fate {
    // The door gives no verdicts: every refusal of it has a word.
    Fate::Refused { cause: refusal.word().unwrap_or(RefusalCause::ClaimRejected) }
}

fn nobodys_key() -> KeyName {
    KeyName::Pair(KeyThumbprint::from_digest([0; 32]))
}

fn machine() -> Machine {
    Machine {
        key: nobodys_key(),
        uid: MachineUid::from_sha256(UidSource::Smbios, &[0; 32]),
        hostname: Hostname::parse("machine").expect("`machine` is a good name"),
        facts: Facts {
            os: Line::parse("any").expect("a short line is one"),
            arch: Line::parse("any").expect("a short line is one"),
            cpu_cores: Whole::clamped(1),
            memory_mb: Whole::clamped(1),
            disk_gb: Whole::clamped(1),
            address: None,
            versions: std::iter::empty().collect(),
        },
        labels: Labels::default(),
    }
}
