//! Events as people and receivers see them.

use muster_store::rows::EventRow;
use muster_wire::event::Event;

/// Shows an event.
pub fn view(row: EventRow) -> Event {
    Event {
        // Positions are given from 1 on.
        position: u64::try_from(row.position).unwrap_or_default(),
        id: row.id,
        kind: row.kind,
        at: row.at,
        subject: row.subject,
        host_id: row.host_id,
        actor: row.actor,
        payload: row.payload,
    }
}
