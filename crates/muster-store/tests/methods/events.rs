//! Events in their places: read by position, filtered, dropped when nobody waits for them.

use muster_ids::{DeliveryId, EventId};
use muster_store::rows::{EventDeliveryRow, EventFilter, EventRow, OutboxRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::endpoint::DeliveryState;
use muster_wire::page::Order;
use uuid::Uuid;

use crate::backends::both;
use crate::endpoints::{delivery, endpoint, endpoint_id};
use crate::rows::{at, host_id, team_id, told};

pub(crate) fn event_id(n: u128) -> EventId {
    EventId::from_uuid(Uuid::from_u128(n))
}

/// Writes event `n` of a team about a host and seals it.
pub(crate) fn happen(
    tx: &mut Tx<'_>,
    n: u32,
    team: u128,
    kind: &str,
    host: Option<u128>,
) -> Result<(), StoreError> {
    tx.outbox_insert(&OutboxRow {
        id: event_id(n.into()),
        team_id: team_id(team),
        at: at(n.into()),
        kind: kind.to_owned(),
        subject: format!("subject {n}"),
        host_id: host.map(host_id),
        actor: "system".to_owned(),
        payload: serde_json::json!({ "n": n }),
    })?;
    assert_eq!(tx.outbox_seal(10)?, 1);
    Ok(())
}

fn subjects(rows: &[EventRow]) -> Vec<&str> {
    rows.iter().map(|row| row.subject.as_str()).collect()
}

both! {
    async fn a_team_reads_its_own_events_in_order(store: Store) {
        told(&store, |tx| {
            happen(tx, 1, 1, "a", Some(1))?;
            happen(tx, 2, 2, "a", Some(1))?;
            happen(tx, 3, 1, "b", Some(2))?;
            let rows = tx.events_after(team_id(1), 0, 10)?;
            assert_eq!(subjects(&rows), ["subject 1", "subject 3"]);
            assert_eq!((rows[0].position, rows[1].position, tx.outbox_last()?), (1, 3, 3));
            assert_eq!(subjects(&tx.events_after(team_id(1), 1, 10)?), ["subject 3"]);
            assert_eq!(tx.event(team_id(1), event_id(3))?.unwrap(), rows[1]);
            assert_eq!(tx.event(team_id(2), event_id(3))?, None);
            Ok(())
        })
        .await;
    }

    async fn filters_and_orders_agree(store: Store) {
        told(&store, |tx| {
            for n in 1..=6 {
                happen(tx, n, 1, if n % 2 == 0 { "a.b" } else { "a.c" }, Some(u128::from(n % 3)))?;
            }
            let page = |tx: &mut Tx<'_>, filter: &EventFilter, order, cursor| {
                let rows = tx.events_page(team_id(1), filter, order, cursor, 2)?;
                assert!(rows.iter().all(|row| filter.takes(row)));
                Ok::<_, StoreError>(rows.iter().map(|row| row.position).collect::<Vec<_>>())
            };
            let all = EventFilter::default();
            assert_eq!(page(tx, &all, Order::Asc, None)?, [1, 2]);
            assert_eq!(page(tx, &all, Order::Asc, Some(2))?, [3, 4]);
            assert_eq!(page(tx, &all, Order::Desc, None)?, [6, 5]);
            assert_eq!(page(tx, &all, Order::Desc, Some(5))?, [4, 3]);
            let kinds = EventFilter { kinds: vec!["a.b".to_owned(), "x".to_owned()], ..all.clone() };
            assert_eq!(page(tx, &kinds, Order::Asc, None)?, [2, 4]);
            let part_of_a_kind = EventFilter { kinds: vec!["a".to_owned()], ..all.clone() };
            assert!(page(tx, &part_of_a_kind, Order::Asc, None)?.is_empty());
            let of_host = EventFilter { host_id: Some(host_id(1)), ..all.clone() };
            assert_eq!(page(tx, &of_host, Order::Asc, None)?, [1, 4]);
            assert_eq!(page(tx, &of_host, Order::Desc, None)?, [4, 1]);
            let after = EventFilter { after: 3, ..of_host };
            assert_eq!(page(tx, &after, Order::Desc, None)?, [4]);
            assert_eq!(page(tx, &after, Order::Asc, Some(1))?, [4]);
            let subject = EventFilter { subject: Some("subject 5".to_owned()), ..all };
            assert_eq!(page(tx, &subject, Order::Asc, None)?, [5]);
            Ok(())
        })
        .await;
    }

    async fn events_are_dropped_when_they_are_old_and_nobody_waits(store: Store) {
        told(&store, |tx| {
            for n in 1..=4 {
                happen(tx, n, 1, "a", None)?;
            }
            happen(tx, 5, 2, "a", None)?;
            assert_eq!(tx.events_dropped()?, 0);
            // The endpoint stands after event 2 and waits to deliver event 2.
            tx.endpoint_insert(&muster_store::rows::EndpointRow { position: 2, ..endpoint(1) })?;
            let waiting = EventDeliveryRow { event_id: event_id(2), position: 2, ..delivery(1) };
            tx.delivery_insert(&waiting)?;
            assert_eq!(tx.events_drop(at(100), 10)?, 2);
            assert_eq!(tx.events_dropped()?, 5);
            assert_eq!(subjects(&tx.events_after(team_id(1), 0, 10)?), ["subject 2", "subject 3", "subject 4"]);
            // What one team waits for holds up no other, however little is looked at.
            happen(tx, 6, 2, "a", None)?;
            assert_eq!(tx.events_drop(at(100), 1)?, 1);
            assert_eq!(tx.events_dropped()?, 6);
            assert!(tx.endpoint_pause(team_id(1), endpoint_id(1), at(1))?);
            assert_eq!(tx.events_drop(at(4), 10)?, 2);
            assert_eq!(subjects(&tx.events_after(team_id(1), 0, 10)?), ["subject 4"]);
            assert_eq!(tx.events_dropped()?, 6);
            assert_eq!(tx.outbox_last()?, 6);
            let lost = tx.delivery(endpoint_id(1), DeliveryId::from_uuid(Uuid::from_u128(1)))?.unwrap();
            assert_eq!((lost.kind, lost.row.state), (None, DeliveryState::Waiting));
            Ok(())
        })
        .await;
    }
}
