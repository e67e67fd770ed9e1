//! Hosts as operators see them: the stored row, with what this node heard since it was flushed.

use muster_domain::presence::{SignsOfLife, presence};
use muster_ids::{HostId, Timestamp};
use muster_store::rows::{LastSign, ShownHost};
use muster_wire::host::{Host, HostPresence, Reported};

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
        server_up_for: app.up_for(),
    }
}

/// Shows a host as it is at `now`.
pub fn view(app: &App, shown: ShownHost, now: Timestamp) -> Host {
    let signs = signs_of_life(app, shown.row.id, shown.sign);
    let row = shown.row;
    let (door, disposition, ticket_id) = match &row.arrival {
        Some(arrival) => (Some(arrival.door), Some(arrival.disposition), Some(arrival.ticket_id)),
        None => (None, None, None),
    };
    Host {
        id: row.id,
        team_id: row.team_id,
        site_id: row.site_id,
        kind: row.kind,
        name: row.name,
        state: row.state,
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
        keys: shown.keys,
        ticket_id,
        ephemeral_hours: row.ephemeral_hours,
        created_at: row.created_at,
        enrolled_at: row.enrolled_at,
        retired_at: row.retired_at,
    }
}
