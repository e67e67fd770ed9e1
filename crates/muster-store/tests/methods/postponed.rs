//! Deliveries to people that are due and may not go yet.

use muster_ids::{DeliveryId, EndpointId, EventId, Timestamp};
use muster_store::Store;
use muster_store::rows::{EndpointRow, EventDeliveryRow};
use muster_wire::endpoint::{DeliveryState, EndpointKind};
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, team_id, told};

fn endpoint_id(n: u128) -> EndpointId {
    EndpointId::from_uuid(Uuid::from_u128(n))
}

fn endpoint(n: u128) -> EndpointRow {
    EndpointRow {
        id: endpoint_id(n),
        team_id: team_id(1),
        kind: EndpointKind::Email,
        name: format!("endpoint {n}"),
        shown_target: "ops@example.org".to_owned(),
        sealed: vec![1],
        version: 1,
        events: Vec::new(),
        quiet_hours: None,
        group_for_secs: 0,
        position: 0,
        created_by: "system".to_owned(),
        created_at: at(0),
        updated_at: at(0),
        paused_at: None,
        resumed_at: None,
        failing_since: None,
    }
}

fn delivery(n: u128, of: u128, next_at: Timestamp, state: DeliveryState) -> EventDeliveryRow {
    EventDeliveryRow {
        id: DeliveryId::from_uuid(Uuid::from_u128(n)),
        team_id: team_id(1),
        endpoint_id: endpoint_id(of),
        event_id: EventId::from_uuid(Uuid::from_u128(n)),
        position: i64::try_from(n).unwrap(),
        line: String::new(),
        state,
        attempts: 0,
        tried_since: at(0),
        next_at,
        last_at: None,
        last_status: None,
        last_error: None,
        created_at: at(0),
        done_at: None,
    }
}

both! {
    async fn what_is_due_is_put_off_and_nothing_else(store: Store) {
        told(&store, |tx| {
            for n in 1..=2 {
                assert!(tx.endpoint_insert(&endpoint(n))?);
            }
            for (n, of, next_at, state) in [
                (1, 1, at(5), DeliveryState::Waiting),
                (2, 1, at(10), DeliveryState::Waiting),
                (3, 1, at(11), DeliveryState::Waiting),
                (4, 1, at(5), DeliveryState::Delivered),
                (5, 2, at(5), DeliveryState::Waiting),
            ] {
                assert!(tx.delivery_insert(&delivery(n, of, next_at, state))?);
            }
            assert_eq!(tx.deliveries_postpone(endpoint_id(1), at(10), at(60))?, 2);
            let next_at = |shown: Vec<muster_store::rows::ShownDelivery>| -> Vec<Timestamp> {
                shown.into_iter().map(|one| one.row.next_at).collect()
            };
            assert_eq!(next_at(tx.deliveries_waiting(endpoint_id(1), 9)?), [at(60), at(60), at(11)]);
            assert_eq!(next_at(tx.deliveries_waiting(endpoint_id(2), 9)?), [at(5)]);
            assert_eq!(tx.deliveries_postpone(endpoint_id(1), at(10), at(60))?, 0);
            Ok(())
        })
        .await;
    }
}
