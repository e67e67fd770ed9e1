//! Endpoints and their deliveries.

use muster_ids::{DeliveryId, EndpointId, Timestamp};
use muster_store::rows::{EndpointRow, EventDeliveryRow, NOT_ITS_TURN, Tried};
use muster_store::{Store, StoreError, Tx};
use muster_wire::endpoint::{DeliveryState, EndpointKind};
use uuid::Uuid;

use crate::backends::both;
use crate::events::{event_id, happen};
use crate::rows::{at, team_id, told};

pub(crate) fn endpoint_id(n: u128) -> EndpointId {
    EndpointId::from_uuid(Uuid::from_u128(n))
}

fn delivery_id(n: u128) -> DeliveryId {
    DeliveryId::from_uuid(Uuid::from_u128(n))
}

/// Endpoint number `n` of team 1.
pub(crate) fn endpoint(n: u128) -> EndpointRow {
    EndpointRow {
        id: endpoint_id(n),
        team_id: team_id(1),
        kind: EndpointKind::Webhook,
        name: format!("endpoint {n}"),
        shown_target: "https://hooks.example".to_owned(),
        sealed: vec![1, 2, 3],
        version: 1,
        events: vec!["a".to_owned()],
        quiet_hours: None,
        group_for_secs: 0,
        position: 0,
        created_by: "user".to_owned(),
        created_at: at(0),
        updated_at: at(0),
        paused_at: None,
        resumed_at: None,
        failing_since: None,
        failures: 0,
        next_try_at: Timestamp::from_millis(0),
        next_look_at: Timestamp::from_millis(0),
    }
}

/// Delivery `n` of event `n` to endpoint 1, in a line of its own.
pub(crate) fn delivery(n: u128) -> EventDeliveryRow {
    EventDeliveryRow {
        id: delivery_id(n),
        team_id: team_id(1),
        endpoint_id: endpoint_id(1),
        event_id: event_id(n),
        position: i64::try_from(n).unwrap(),
        line: format!("line {n}"),
        is_urgent: false,
        state: DeliveryState::Waiting,
        attempts: 0,
        tried_since: at(0),
        next_at: at(0),
        last_at: None,
        last_status: None,
        last_error: None,
        created_at: at(0),
        done_at: None,
    }
}

fn due(tx: &mut Tx<'_>, now: Timestamp) -> Result<Vec<DeliveryId>, StoreError> {
    Ok(tx.deliveries_due(now, 4)?.iter().map(|(_, due)| due.id).collect())
}

fn taken(now: Timestamp) -> Tried {
    Tried { at: now, attempts: 0, status: Some(200), error: None, again_at: None }
}

both! {
    async fn an_endpoint_is_its_team_s_and_its_name_is_its_own(store: Store) {
        told(&store, |tx| {
            assert!(tx.endpoint_insert(&endpoint(1))?);
            assert!(!tx.endpoint_insert(&EndpointRow { name: "endpoint 1".to_owned(), ..endpoint(2) })?);
            assert!(tx.endpoint_insert(&EndpointRow { team_id: team_id(2), name: "endpoint 1".to_owned(), ..endpoint(3) })?);
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?, Some(endpoint(1)));
            assert_eq!(tx.endpoint(team_id(2), endpoint_id(1))?, None);
            assert_eq!(tx.endpoints_count(team_id(1))?, 1);
            assert_eq!(tx.endpoints_page(team_id(2), None, 9)?[0].id, endpoint_id(3));
            assert!(tx.endpoints_page(team_id(2), Some(endpoint_id(3)), 9)?.is_empty());
            assert!(tx.endpoint_name_is_taken(team_id(1), "endpoint 1", endpoint_id(9))?);
            assert!(!tx.endpoint_name_is_taken(team_id(1), "endpoint 1", endpoint_id(1))?);
            for foreign in [tx.endpoint_pause(team_id(2), endpoint_id(1), at(1))?, tx.endpoint_remove(team_id(2), endpoint_id(1), at(1))?] {
                assert!(!foreign);
            }
            Ok(())
        })
        .await;
    }

    async fn a_change_is_made_to_the_version_it_is_of(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            let changed = EndpointRow {
                name: "renamed".to_owned(),
                sealed: vec![9],
                version: 2,
                events: Vec::new(),
                group_for_secs: 60,
                updated_at: at(5),
                quiet_hours: serde_json::from_str(r#"{"from":"22:00","to":"06:00","time_zone":"UTC"}"#).unwrap(),
                ..endpoint(1)
            };
            assert!(tx.endpoint_replace(&changed, 1)?);
            assert!(!tx.endpoint_replace(&changed, 1)?);
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?, Some(changed.clone()));
            assert!(!tx.endpoint_replace(&EndpointRow { team_id: team_id(2), ..changed }, 2)?);
            Ok(())
        })
        .await;
    }

    async fn a_removed_endpoint_is_gone_and_goes_in_batches(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            for n in 1..=3 {
                tx.delivery_insert(&delivery(n))?;
            }
            assert!(tx.endpoint_remove(team_id(1), endpoint_id(1), at(1))?);
            assert!(!tx.endpoint_remove(team_id(1), endpoint_id(1), at(1))?);
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?, None);
            assert!(due(tx, at(9))?.is_empty());
            assert!(tx.endpoint_insert(&EndpointRow { name: "endpoint 1".to_owned(), ..endpoint(2) })?);
            assert_eq!(tx.removed_endpoints_drop(2)?, 2);
            assert_eq!(tx.removed_endpoints_drop(2)?, 1);
            assert_eq!(tx.removed_endpoints_drop(2)?, 1);
            assert_eq!(tx.removed_endpoints_drop(2)?, 0);
            assert_eq!(tx.endpoints_count(team_id(1))?, 1);
            Ok(())
        })
        .await;
    }

    async fn news_are_events_after_the_place_where_an_endpoint_stands(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            assert!(tx.endpoints_with_news(9)?.is_empty());
            happen(tx, 1, 2, "a", None)?;
            assert!(tx.endpoints_with_news(9)?.is_empty());
            happen(tx, 2, 1, "b", None)?;
            assert_eq!(tx.endpoints_with_news(9)?, [(team_id(1), endpoint_id(1))]);
            tx.endpoint_pause(team_id(1), endpoint_id(1), at(1))?;
            assert!(tx.endpoints_with_news(9)?.is_empty());
            assert!(tx.endpoint_resume(team_id(1), endpoint_id(1), at(2))?);
            assert!(!tx.endpoint_resume(team_id(1), endpoint_id(1), at(2))?);
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?.unwrap().resumed_at, Some(at(2)));
            assert!(tx.endpoint_advance(endpoint_id(1), 0, 2)?);
            assert!(!tx.endpoint_advance(endpoint_id(1), 0, 2)?);
            assert!(tx.endpoints_with_news(9)?.is_empty());
            assert!(tx.endpoint_gives_up(endpoint_id(1), at(3))?);
            assert!(!tx.endpoint_gives_up(endpoint_id(1), at(4))?);
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?.unwrap().failing_since, Some(at(3)));
            tx.endpoint_took(endpoint_id(1))?;
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?.unwrap().failing_since, None);
            Ok(())
        })
        .await;
    }

    async fn an_event_is_delivered_once_to_an_endpoint_and_only_heads_are_due(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            let in_line = |n, next_at| EventDeliveryRow { line: "host".to_owned(), next_at, ..delivery(n) };
            assert!(!tx.delivery_line_is_waiting(endpoint_id(1), "host")?);
            assert!(tx.delivery_insert(&in_line(1, at(1)))?);
            assert!(!tx.delivery_insert(&EventDeliveryRow { id: delivery_id(77), ..in_line(1, at(1)) })?);
            assert!(tx.delivery_insert(&in_line(2, NOT_ITS_TURN))?);
            assert!(tx.delivery_line_is_waiting(endpoint_id(1), "host")?);
            assert!(due(tx, at(0))?.is_empty());
            assert_eq!(due(tx, at(1))?, [delivery_id(1)]);
            assert!(!tx.delivery_line_next(endpoint_id(1), "host", at(2))?);
            assert!(tx.delivery_tried(delivery_id(1), &taken(at(2)))?);
            assert!(!tx.delivery_tried(delivery_id(1), &taken(at(2)))?);
            assert!(due(tx, at(9))?.is_empty());
            assert!(tx.delivery_line_next(endpoint_id(1), "host", at(3))?);
            assert_eq!(due(tx, at(3))?, [delivery_id(2)]);
            let shown = tx.delivery(endpoint_id(1), delivery_id(1))?.unwrap().row;
            assert_eq!((shown.state, shown.attempts, shown.last_status), (DeliveryState::Delivered, 0, Some(200)));
            assert_eq!((shown.last_at, shown.done_at), (Some(at(2)), Some(at(2))));
            assert_eq!(tx.delivery(endpoint_id(2), delivery_id(1))?, None);
            Ok(())
        })
        .await;
    }

    async fn of_each_endpoint_only_so_many_are_due(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            tx.endpoint_insert(&endpoint(2))?;
            for n in 1..=6 {
                tx.delivery_insert(&delivery(n))?;
            }
            tx.delivery_insert(&EventDeliveryRow { endpoint_id: endpoint_id(2), next_at: at(3), ..delivery(9) })?;
            let expected = [1, 2, 3, 4, 9].map(delivery_id);
            assert_eq!(due(tx, at(5))?, expected);
            tx.endpoint_pause(team_id(1), endpoint_id(1), at(1))?;
            assert_eq!(due(tx, at(5))?, [delivery_id(9)]);
            Ok(())
        })
        .await;
    }

    async fn a_failure_is_tried_again_or_given_up(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            tx.delivery_insert(&delivery(1))?;
            let failed = |attempts, again_at| Tried {
                at: at(1), attempts, status: Some(500), error: Some("no".to_owned()), again_at,
            };
            assert!(tx.delivery_claim(delivery_id(1), 0, at(50))?);
            assert!(!tx.delivery_claim(delivery_id(1), 0, at(50))?);
            assert!(due(tx, at(49))?.is_empty(), "while it is tried it is not due");
            assert_eq!(due(tx, at(50))?, [delivery_id(1)], "nobody wrote down how that ended");
            assert!(tx.delivery_tried(delivery_id(1), &failed(1, Some(at(60))))?);
            assert!(!tx.delivery_tried(delivery_id(1), &failed(0, Some(at(70))))?);
            assert!(due(tx, at(59))?.is_empty());
            assert_eq!(due(tx, at(60))?, [delivery_id(1)]);
            tx.deliveries_hurry(endpoint_id(1), at(10), 9)?;
            assert_eq!(due(tx, at(10))?, [delivery_id(1)]);
            assert!(tx.delivery_claim(delivery_id(1), 1, at(50))?);
            assert!(tx.delivery_tried(delivery_id(1), &failed(2, None))?);
            assert!(!tx.delivery_claim(delivery_id(1), 2, at(50))?);
            let row = &tx.deliveries_page(endpoint_id(1), Some(DeliveryState::Failed), None, 9)?[0].row;
            assert_eq!((row.attempts, row.last_error.as_deref(), row.done_at), (2, Some("no"), Some(at(1))));
            assert!(tx.deliveries_page(endpoint_id(1), Some(DeliveryState::Waiting), None, 9)?.is_empty());
            assert_eq!(tx.deliveries_drop(at(1), 9)?, 0);
            assert_eq!(tx.deliveries_drop(at(2), 9)?, 1);
            Ok(())
        })
        .await;
    }

    async fn what_is_asked_for_again_goes_before_what_waits_in_its_line(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            for n in 1..=3 {
                happen(tx, n, 1, "a", None)?;
                let next_at = if n == 1 { at(0) } else { NOT_ITS_TURN };
                let n = u128::from(n);
                tx.delivery_insert(&EventDeliveryRow { line: "host".to_owned(), next_at, ..delivery(n) })?;
            }
            assert!(!tx.delivery_again(endpoint_id(1), delivery_id(1), at(1))?);
            tx.delivery_tried(delivery_id(1), &taken(at(1)))?;
            tx.delivery_line_next(endpoint_id(1), "host", at(1))?;
            assert_eq!(due(tx, at(9))?, [delivery_id(2)]);
            assert!(!tx.delivery_again(endpoint_id(2), delivery_id(1), at(2))?);
            assert!(tx.delivery_again(endpoint_id(1), delivery_id(1), at(2))?);
            tx.delivery_lines_settle(endpoint_id(1), at(2))?;
            assert_eq!(due(tx, at(9))?, [delivery_id(1)]);
            let waiting = tx.deliveries_waiting(endpoint_id(1), 9)?;
            assert_eq!(waiting.iter().map(|one| one.row.position).collect::<Vec<_>>(), [1, 2, 3]);
            assert_eq!((waiting[0].row.attempts, waiting[0].row.tried_since, waiting[0].row.done_at), (0, at(2), None));
            assert_eq!(waiting[0].kind.as_deref(), Some("a"));
            // One that was being sent meanwhile lets it go first.
            tx.delivery_tried(delivery_id(2), &Tried { error: Some("no".to_owned()), again_at: Some(at(3)), ..taken(at(2)) })?;
            tx.delivery_line_yield(delivery_id(2))?;
            tx.delivery_line_yield(delivery_id(1))?;
            assert_eq!(due(tx, at(9))?, [delivery_id(1)]);
            Ok(())
        })
        .await;
    }

    async fn deliveries_since_a_time_are_asked_for_in_batches(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            for n in 1..=4_u32 {
                happen(tx, n, 1, "a", None)?;
                tx.delivery_insert(&delivery(n.into()))?;
                tx.delivery_tried(delivery_id(n.into()), &taken(at(1)))?;
            }
            assert_eq!(tx.deliveries_again(endpoint_id(1), at(2), at(50), 2)?, 2);
            assert_eq!(due(tx, at(50))?, [delivery_id(2), delivery_id(3)]);
            assert_eq!(tx.deliveries_again(endpoint_id(1), at(2), at(51), 2)?, 1);
            assert_eq!(tx.deliveries_again(endpoint_id(1), at(2), at(51), 2)?, 0);
            let page = tx.deliveries_page(endpoint_id(1), None, Some(4), 2)?;
            assert_eq!(page.iter().map(|one| one.row.position).collect::<Vec<_>>(), [3, 2]);
            Ok(())
        })
        .await;
    }

    async fn an_endpoint_is_put_off_without_its_deliveries(store: Store) {
        told(&store, |tx| {
            for n in 1..=2 {
                assert!(tx.endpoint_insert(&endpoint(n))?);
            }
            tx.delivery_insert(&EventDeliveryRow { line: String::new(), next_at: at(5), ..delivery(1) })?;
            let other = EventDeliveryRow { endpoint_id: endpoint_id(2), next_at: at(5), ..delivery(2) };
            tx.delivery_insert(&other)?;
            tx.endpoint_look_at(endpoint_id(1), at(60))?;
            assert_eq!(due(tx, at(59))?, [delivery_id(2)]);
            assert_eq!(due(tx, at(60))?.len(), 2);
            assert_eq!(tx.deliveries_waiting(endpoint_id(1), 9)?[0].row.next_at, at(5));
            tx.endpoint_look_by(endpoint_id(1), at(90))?;
            tx.endpoint_look_by(endpoint_id(1), at(30))?;
            assert_eq!(tx.endpoint(team_id(1), endpoint_id(1))?.unwrap().next_look_at, at(30));
            tx.endpoint_try_now(endpoint_id(1))?;
            assert_eq!(due(tx, at(9))?.len(), 2);
            Ok(())
        })
        .await;
    }

    async fn an_endpoint_that_took_nothing_is_tried_with_one_message_at_its_time(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            for n in 1..=3 {
                tx.delivery_insert(&delivery(n))?;
            }
            tx.endpoint_try_at(endpoint_id(1), at(9))?;
            assert_eq!(due(tx, at(1))?.len(), 3, "it failed at nothing");
            assert!(tx.endpoint_took_nothing(endpoint_id(1), 0, at(20))?);
            assert!(!tx.endpoint_took_nothing(endpoint_id(1), 0, at(90))?);
            assert!(due(tx, at(19))?.is_empty());
            let probe = tx.deliveries_due(at(20), 4)?;
            assert_eq!((probe.len(), probe[0].1.is_probe), (1, true));
            tx.endpoint_try_at(endpoint_id(1), at(80))?;
            assert!(due(tx, at(79))?.is_empty());
            tx.endpoint_answered(endpoint_id(1))?;
            assert_eq!(due(tx, at(20))?.len(), 3);
            assert!(tx.endpoint_took_nothing(endpoint_id(1), 0, at(50))?);
            tx.endpoint_gives_up(endpoint_id(1), at(2))?;
            tx.endpoint_took(endpoint_id(1))?;
            let row = tx.endpoint(team_id(1), endpoint_id(1))?.unwrap();
            assert_eq!((row.failures, row.next_try_at, row.failing_since), (0, Timestamp::from_millis(0), None));
            Ok(())
        })
        .await;
    }

    async fn the_oldest_and_the_long_tried_are_given_up_and_their_lines_go_on(store: Store) {
        told(&store, |tx| {
            tx.endpoint_insert(&endpoint(1))?;
            for n in 1..=3 {
                let next_at = if n == 1 { at(0) } else { NOT_ITS_TURN };
                tx.delivery_insert(&EventDeliveryRow { line: "host".to_owned(), next_at, ..delivery(n) })?;
            }
            tx.delivery_insert(&EventDeliveryRow { tried_since: at(50), is_urgent: true, ..delivery(4) })?;
            assert_eq!(tx.deliveries_waiting_count(endpoint_id(1), 9)?, 4);
            assert_eq!(tx.deliveries_waiting_count(endpoint_id(1), 2)?, 2);
            assert_eq!(tx.deliveries_give_up_oldest(endpoint_id(1), at(1), "too many", 1)?, 1);
            assert_eq!(due(tx, at(1))?, [delivery_id(4), delivery_id(2)]);
            assert_eq!(tx.deliveries_give_up_tried(endpoint_id(1), at(40), at(60), "no", 9)?, 1);
            assert_eq!(due(tx, at(60))?, [delivery_id(4), delivery_id(3)]);
            let failed = tx.deliveries_page(endpoint_id(1), Some(DeliveryState::Failed), None, 9)?;
            let errors: Vec<_> = failed.iter().map(|one| (one.row.position, one.row.last_error.as_deref())).collect();
            assert_eq!(errors, [(2, Some("no")), (1, Some("too many"))]);
            let urgent = tx.deliveries_urgent(endpoint_id(1), 9)?;
            assert_eq!(urgent.iter().map(|one| one.row.position).collect::<Vec<_>>(), [4]);
            assert!(urgent[0].row.is_urgent);
            Ok(())
        })
        .await;
    }
}
