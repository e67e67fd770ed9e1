//! Hosts as operators see them: the stored row, with what this node heard since it was flushed.

use muster_domain::host_config::{Configured, drifted_since};
use muster_domain::presence::{SignsOfLife, presence};
use muster_ids::{HostId, Timestamp};
use muster_store::rows::{HostRow, LastSign, ShownHost};
use muster_wire::host::{Host, HostConfig, HostHeld, HostPresence, HostState, Reported};
use muster_wire::overview::Vitals;

use crate::app::App;

/// Returns a host's signs of life: the newer of what is stored and what this node heard.
pub fn signs_of_life(app: &App, host_id: HostId, stored: Option<LastSign>) -> SignsOfLife {
    let heard = app.presences.of(host_id);
    let stored_at = stored.and_then(|sign| sign.seen_at);
    let heard_at = heard.map(|sign| sign.seen_at);
    let said_goodbye = if heard_at >= stored_at {
        heard.is_some_and(|sign| sign.said_goodbye)
    } else {
        stored.is_some_and(|sign| sign.said_goodbye)
    };
    SignsOfLife {
        connected: app.hub.is_connected(host_id),
        seen_at: stored_at.max(heard_at),
        said_goodbye,
        server_up_for: app.there_for(),
    }
}

/// Shows a host as it is at `now`.
pub fn view(app: &App, shown: ShownHost, now: Timestamp) -> Host {
    let signs = signs_of_life(app, shown.row.id, shown.sign);
    let row = shown.row;
    let (door, disposition, ticket_id) = match &row.arrival {
        Some(arrival) => (Some(arrival.door), Some(arrival.disposition), arrival.ticket_id),
        None => (None, None, None),
    };
    let disk_gb = row.arrival.as_ref().map(|arrival| arrival.facts.disk_gb.get());
    let vitals = app.presences.vitals(row.id);
    let vitals =
        vitals.map(|vitals| Vitals { disk_free_percent: part_of(vitals.disk_free_gb, disk_gb), ..vitals });
    let (policy, policy_at) = shown.policy.unzip();
    let config = shown.configured.and_then(|configured| config(&row, &configured));
    Host {
        id: row.id,
        team_id: row.team_id,
        site_id: row.site_id,
        kind: row.kind,
        name: row.name,
        state: row.state,
        held: shown.held_at.map(|held_at| HostHeld { held_at, claim_id: shown.copy }),
        presence: HostPresence { status: presence(row.state, &signs, now), last_seen_at: signs.seen_at },
        door,
        disposition,
        provider: row.provider,
        zone: row.zone,
        tags: shown.tags,
        reported: row.arrival.map(|arrival| Reported {
            hostname: arrival.hostname,
            machine_uid: arrival.machine_uid,
            owns_uid: arrival.owns_uid,
            facts: arrival.facts,
            labels: arrival.labels,
        }),
        vitals,
        policy,
        policy_at,
        keys: shown.keys,
        exposed_secrets: Vec::new(),
        config,
        ticket_id,
        ephemeral_hours: row.ephemeral_hours,
        created_at: row.created_at,
        enrolled_at: row.enrolled_at,
        retired_at: row.retired_at,
    }
}

/// Returns how many hundredths of a disk are free.
pub fn part_of(free_gb: Option<u32>, disk_gb: Option<u64>) -> Option<u8> {
    let (free_gb, disk_gb) = (u64::from(free_gb?), disk_gb.filter(|size| *size > 0)?);
    u8::try_from((free_gb * 100 / disk_gb).min(100)).ok()
}

fn config(row: &HostRow, configured: &Configured) -> Option<HostConfig> {
    let admitted_at = row.enrolled_at.filter(|_| row.state != HostState::Retired)?;
    Some(HostConfig {
        wanted: configured.wanted,
        applied: configured.applied,
        applied_at: configured.applied_at,
        drifted_since: drifted_since(configured, admitted_at),
        sent_times: configured.sent_times,
        sent_at: configured.sent_at,
    })
}
