//! Rows to begin with.

use muster_domain::admission::Machine;
use muster_domain::ticket::Ticket;
use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, TicketId, Timestamp, UserId};
use muster_store::rows::{Arrival, ClaimRow, HostKeyRow, HostRow, KeyState, SiteRow, TeamRow, TicketRow};
use muster_store::{Priority, Store, StoreError, Tx};
use muster_wire::claim::{ClaimReason, ClaimState};
use muster_wire::enroll::{Disposition, Facts, Labels};
use muster_wire::host::{HostKind, HostState};
use muster_wire::site::SitePolicy;
use muster_wire::text::Tag;
use muster_wire::ticket::TicketKind;
use uuid::Uuid;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_millis(NOW.as_millis() + secs * 1000)
}

pub(crate) fn team_id(n: u128) -> TeamId {
    TeamId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn site_id(n: u128) -> SiteId {
    SiteId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn user_id(n: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn host_id(n: u128) -> HostId {
    HostId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn claim_id(n: u128) -> ClaimId {
    ClaimId::from_uuid(Uuid::from_u128(n))
}

pub(crate) fn ticket_id(n: u32) -> TicketId {
    format!("{n:012}").parse().unwrap()
}

pub(crate) fn key(n: u32) -> KeyName {
    format!("agk:{n:012}").parse().unwrap()
}

/// Key pair number `n`.
pub(crate) fn pair(n: u32) -> KeyName {
    format!("jkt:{n:042}A").parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    Tag::parse(text).unwrap()
}

/// A machine whose hardware is number `uid`.
pub(crate) fn machine(key_number: u32, uid: u32) -> Machine {
    let facts = r#"{"os":"Debian 12","arch":"x86_64","cpu_cores":2,"memory_mb":2048,"disk_gb":40}"#;
    let facts: Facts = serde_json::from_str(facts).unwrap();
    Machine {
        key: key(key_number),
        uid: format!("smbios:{uid:032x}").parse().unwrap(),
        hostname: format!("m{key_number}").parse().unwrap(),
        facts,
        labels: Labels::default(),
    }
}

pub(crate) fn arrival(machine: &Machine, owns_uid: bool) -> Arrival {
    Arrival {
        door: 3,
        disposition: Disposition::New,
        ticket_id: Some(ticket_id(1)),
        machine_uid: machine.uid,
        owns_uid,
        hostname: machine.hostname.clone(),
        facts: machine.facts.clone(),
        labels: machine.labels.clone(),
    }
}

/// Host number `n` of team 1 at site 1, admitted with hardware number `n`.
pub(crate) fn host(n: u32) -> HostRow {
    HostRow {
        id: host_id(n.into()),
        team_id: team_id(1),
        site_id: site_id(1),
        kind: HostKind::Team,
        name: format!("Host {n}"),
        state: HostState::Active,
        provider: None,
        zone: None,
        arrival: Some(arrival(&machine(n, n), true)),
        created_at: NOW,
        enrolled_at: Some(NOW),
        retired_at: None,
        ephemeral_hours: None,
    }
}

pub(crate) fn host_key(n: u32, host: u32) -> HostKeyRow {
    HostKeyRow {
        name: key(n),
        team_id: team_id(1),
        host_id: host_id(host.into()),
        material: vec![n as u8; 65],
        state: KeyState::Active,
        ticket_id: Some(ticket_id(1)),
        created_by: None,
        created_at: at(n.into()),
        ended_at: None,
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    }
}

/// Ticket number `n` of team 1 at site 1.
pub(crate) fn ticket(n: u32, kind: TicketKind) -> TicketRow {
    TicketRow {
        ticket: Ticket {
            id: ticket_id(n),
            kind,
            team_id: team_id(1),
            site_id: site_id(1),
            host_id: None,
            rejoin: false,
            require_key: true,
            expires_at: Some(at(3600)),
            revoked_at: None,
            rotation: None,
            max_uses: None,
            uses: 0,
            spent: None,
            reserved_for: None,
        },
        host_name: Some("Mail".to_owned()),
        tags: vec![tag("a"), tag("b")],
        ephemeral_hours: None,
        verifier: vec![7; 32],
        created_by: "user_x".to_owned(),
        created_at: at(n.into()),
    }
}

/// Claim number `n`, of key number `n`, with ticket 1 on host 1.
pub(crate) fn claim(n: u32) -> ClaimRow {
    ClaimRow {
        id: claim_id(n.into()),
        team_id: team_id(1),
        site_id: site_id(1),
        ticket_id: Some(ticket_id(1)),
        host_id: Some(host_id(1)),
        reason: ClaimReason::Collision,
        state: ClaimState::Waiting,
        machine: machine(n, 1),
        key_material: vec![3; 65],
        source_address: "192.0.2.7".to_owned(),
        created_at: NOW,
        expires_at: at(60),
        decided_at: None,
        decided_by: None,
        result_host_id: None,
        former_key: None,
        boot_id: None,
        sighting: None,
    }
}

/// Makes teams 1 and 2 with a site each.
pub(crate) fn begin(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for n in [1, 2] {
        let team = TeamRow {
            id: team_id(n),
            name: format!("team {n}"),
            is_platform: false,
            wrapped_key: vec![1],
            created_at: NOW,
        };
        assert!(tx.team_insert(&team)?);
        let site = SiteRow {
            id: site_id(n),
            team_id: team_id(n),
            name: "default".to_owned(),
            policy: SitePolicy::default(),
            created_at: NOW,
        };
        assert!(tx.site_insert(&site)?);
    }
    Ok(())
}

/// Runs `story` in one write transaction after [`begin`].
pub(crate) async fn told(store: &Store, story: fn(&mut Tx<'_>) -> Result<(), StoreError>) {
    let written = store.write(Priority::Normal, move |tx| {
        begin(tx)?;
        story(tx)
    });
    written.await.unwrap();
}
