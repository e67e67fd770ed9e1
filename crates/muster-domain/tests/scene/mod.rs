//! A machine at a door and everything that is known of it; a test changes what its row is about.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;

use muster_domain::admission::{
    Admission, Cause, HostView, KeyHistory, Known, KnownClaim, Machine, Refusal, WaitingClaim, admit,
    admit_with_verdict,
};
use muster_domain::ticket::{Spent, Ticket};
use muster_ids::{
    ClaimId, HostId, KeyName, KeyThumbprint, MachineUid, PublicId, SiteId, TeamId, TicketId, Timestamp,
    UidSource,
};
use muster_wire::bounds::Whole;
use muster_wire::claim::{ClaimReason, ClaimState, Verdict};
use muster_wire::enroll::{Disposition, Facts, Labels};
use muster_wire::host::HostState;
use muster_wire::site::SitePolicy;
use muster_wire::text::{Hostname, Line};
use muster_wire::ticket::TicketKind::{self, EnrolmentToken, RegistrationToken, SiteKey};

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn uuid(n: u8) -> uuid::Uuid {
    uuid::Uuid::from_bytes([n; 16])
}

pub(crate) fn host(n: u8) -> HostId {
    HostId::from_uuid(uuid(n))
}

pub(crate) fn team(n: u8) -> TeamId {
    TeamId::from_uuid(uuid(n))
}

pub(crate) fn site(n: u8) -> SiteId {
    SiteId::from_uuid(uuid(n))
}

pub(crate) fn pair(n: u8) -> KeyName {
    KeyName::Pair(KeyThumbprint::from_digest([n; 32]))
}

pub(crate) fn agent_key(n: u8) -> KeyName {
    KeyName::Agent(muster_ids::AgentKeyId::new(PublicId::from_entropy([n; 16])))
}

pub(crate) fn ticket_id(n: u8) -> TicketId {
    TicketId::new(PublicId::from_entropy([n; 16]))
}

pub(crate) fn uid(source: UidSource, n: u8) -> MachineUid {
    MachineUid::from_sha256(source, &[n; 32])
}

pub(crate) fn facts() -> Facts {
    Facts {
        os: Line::parse("Debian 12").unwrap(),
        arch: Line::parse("x86_64").unwrap(),
        cpu_cores: Whole::clamped(2),
        memory_mb: Whole::clamped(2048),
        disk_gb: Whole::clamped(20),
        address: None,
        versions: [].into_iter().collect(),
    }
}

pub(crate) fn ago(span: Duration) -> Timestamp {
    NOW.minus(span)
}

pub(crate) const fn minutes(count: u64) -> Duration {
    Duration::from_secs(count * 60)
}

pub(crate) const fn hours(count: u64) -> Duration {
    minutes(count * 60)
}

/// The host that owns, or is named by, whatever the row is about: silent for two days and free of secrets.
pub(crate) fn quiet_host(n: u8) -> HostView {
    HostView {
        id: host(n),
        team_id: team(1),
        site_id: site(1),
        state: HostState::Active,
        connected: false,
        seen_at: Some(ago(hours(48))),
        ever_connected: true,
        holds_secret: false,
        selected_by_plan: false,
        last_key_revoked_by_person: false,
        held: false,
    }
}

pub(crate) struct Scene {
    pub(crate) ticket: Ticket,
    pub(crate) machine: Machine,
    pub(crate) known: Known,
    pub(crate) policy: SitePolicy,
}

impl Scene {
    /// An unknown machine with a key pair shows a good ticket of this kind of team 1, site 1.
    pub(crate) fn at(kind: TicketKind) -> Self {
        let is_named = kind == RegistrationToken;
        let invited =
            HostView { state: HostState::Invited, seen_at: None, ever_connected: false, ..quiet_host(9) };
        Self {
            ticket: Ticket {
                id: ticket_id(1),
                kind,
                team_id: team(1),
                site_id: site(1),
                host_id: is_named.then_some(invited.id),
                rejoin: false,
                require_key: false,
                expires_at: Some(NOW.plus(minutes(30))),
                revoked_at: None,
                rotation: None,
                max_uses: None,
                uses: 0,
                spent: None,
                reserved_for: None,
            },
            machine: Machine {
                key: pair(1),
                uid: uid(UidSource::Smbios, 1),
                hostname: Hostname::parse("web-1").unwrap(),
                facts: facts(),
                labels: Labels::default(),
            },
            known: Known {
                key: KeyHistory::Unknown,
                owner: None,
                uid_last_owned_by_retired: false,
                invited: is_named.then_some(invited),
                claim: None,
                claims_on_owner: 0,
                claims_at_site: 0,
                new_hosts_this_hour: 0,
                server_past_reconnect_window: true,
            },
            policy: SitePolicy::default(),
        }
    }

    pub(crate) fn admit(&self) -> Result<Admission, Refusal> {
        admit(&self.ticket, &self.machine, &self.known, &self.policy, NOW)
    }

    pub(crate) fn decide(&self, reason: ClaimReason, verdict: Verdict) -> Result<Option<Admission>, Refusal> {
        let contested = self.known.owner.as_ref().map(|owner| owner.id);
        let claim = WaitingClaim { reason, contested, key: self.machine.key };
        admit_with_verdict(&claim, &self.ticket, &self.known, &self.policy, verdict)
    }

    pub(crate) fn spent(&mut self, by_key: KeyName, by_host: HostId) {
        self.ticket.spent = Some(Spent { by_key, by_host, disposition: Disposition::New });
        self.ticket.uses = 1;
    }

    pub(crate) fn key_is_active_on(&mut self, host: HostView) {
        self.known.key = KeyHistory::Active(host);
    }

    pub(crate) fn key_is_gone(&mut self) {
        self.known.key = KeyHistory::Gone { host_id: host(4) };
    }

    pub(crate) fn uid_is_owned_by(&mut self, host: HostView) {
        self.known.owner = Some(host);
    }

    /// The key has a claim in this state, opened with ticket number `ticket`.
    pub(crate) fn claim(&mut self, ticket: u8, state: ClaimState) {
        self.known.claim = Some(KnownClaim {
            id: claim_id(),
            ticket_id: Some(ticket_id(ticket)),
            reason: ClaimReason::Collision,
            state,
        });
    }

    /// The door-2 ticket is a rejoin token of an active host.
    pub(crate) fn rejoin(&mut self) {
        self.ticket.rejoin = true;
        self.known.invited = Some(quiet_host(9));
    }
}

pub(crate) fn claim_id() -> ClaimId {
    ClaimId::from_uuid(uuid(7))
}

pub(crate) const DOORS: [TicketKind; 3] = [EnrolmentToken, RegistrationToken, SiteKey];
pub(crate) const ONE_TIME: [TicketKind; 2] = [EnrolmentToken, RegistrationToken];

#[track_caller]
pub(crate) fn check(
    kind: TicketKind,
    arrange: impl FnOnce(&mut Scene),
    expected: Result<Admission, Refusal>,
) {
    let mut scene = Scene::at(kind);
    arrange(&mut scene);
    assert_eq!(scene.admit(), expected, "at {kind:?}");
}

pub(crate) fn rejected(cause: Cause) -> Result<Admission, Refusal> {
    Err(Refusal::Rejected(cause))
}

pub(crate) fn claimed(reason: ClaimReason, contested: Option<u8>) -> Result<Admission, Refusal> {
    Ok(Admission::Claim { reason, contested: contested.map(host), supersedes: None })
}

pub(crate) fn waits() -> Result<Admission, Refusal> {
    Ok(Admission::Wait { claim_id: claim_id(), reason: ClaimReason::Collision })
}

pub(crate) fn reuse(n: u8) -> Result<Admission, Refusal> {
    Ok(Admission::Reuse { host_id: host(n) })
}

/// What a machine with a free uid and a new key gets at each door.
pub(crate) fn plain(kind: TicketKind) -> Result<Admission, Refusal> {
    Ok(match kind {
        RegistrationToken => Admission::Register { host_id: host(9), owns_uid: true },
        EnrolmentToken | SiteKey => Admission::New { owns_uid: true },
    })
}
