//! The audit trail, the outbox, and the places of their rows.

use muster_ids::{AuditId, EventId, TeamId};
use muster_store::rows::{AuditFilter, AuditRow, ChainHead, OutboxRow};
use muster_store::{Store, StoreError, Tx, params};
use muster_wire::page::Order;
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, team_id, told};

/// Row number `n`; its id says nothing about when it was written.
fn row(n: u128, team: TeamId, action: &str, target: &str) -> AuditRow {
    AuditRow {
        id: AuditId::from_uuid(scattered(n)),
        team_id: team,
        at: at(1),
        actor: "system".to_owned(),
        source: "-".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: "ok".to_owned(),
        details: format!(r#"{{"n":{n}}}"#),
    }
}

fn event(n: u128) -> OutboxRow {
    OutboxRow {
        id: EventId::from_uuid(scattered(n)),
        team_id: team_id(1),
        at: at(1),
        kind: "told".to_owned(),
        subject: n.to_string(),
        payload: serde_json::json!({}),
    }
}

fn scattered(n: u128) -> Uuid {
    Uuid::from_u128((n * 7 % 11) << 64 | n)
}

fn seal_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for row in tx.audit_unsealed(100)? {
        let position = tx.audit_last()?.next_position()?;
        assert!(tx.audit_seal(row.id, &ChainHead { position, mac: [1; 32] })?);
    }
    Ok(())
}

fn page(
    tx: &mut Tx<'_>,
    filter: (Option<&str>, Option<&str>),
    order: Order,
    after: Option<i64>,
) -> Result<Vec<u64>, StoreError> {
    let filter = AuditFilter { action: filter.0.map(str::to_owned), target: filter.1.map(str::to_owned) };
    let rows = tx.audit_page(team_id(1), &filter, order, after, 3)?;
    Ok(rows.iter().map(|row| row.position).collect())
}

both! {
    async fn rows_of_one_transaction_keep_their_order(store: Store) {
        told(&store, |tx| {
            for n in 1..=10 {
                tx.audit_insert(&row(n, team_id(1), "a.a", "t"))?;
                tx.outbox_insert(&event(n))?;
            }
            let details: Vec<_> = tx.audit_unsealed(100)?.into_iter().map(|row| row.details).collect();
            assert_eq!(details, (1..=10).map(|n| format!(r#"{{"n":{n}}}"#)).collect::<Vec<_>>());
            assert_eq!((tx.outbox_seal(4)?, tx.outbox_seal(100)?, tx.outbox_seal(100)?), (4, 6, 0));
            let subjects: Vec<String> =
                tx.query("SELECT subject FROM outbox ORDER BY position", params![], |row| row.get(0))?;
            assert_eq!(subjects, (1..=10).map(|n| n.to_string()).collect::<Vec<_>>());
            Ok(())
        })
        .await;
    }

    async fn the_chain_covers_the_text_that_is_stored(store: Store) {
        told(&store, |tx| {
            let stored = r#"{ "b": 1.0,"a" : "\u0041", "a": 2 }"#;
            tx.audit_insert(&row(1, team_id(1), "a.a", "t"))?;
            tx.execute("UPDATE audit SET details = $1", params![stored])?;
            let text = tx.audit_unsealed(1)?[0].chained_text();
            assert!(text.ends_with(stored.as_bytes()), "{}", String::from_utf8_lossy(&text));
            Ok(())
        })
        .await;
    }

    async fn the_head_is_kept_outside_of_the_table(store: Store) {
        told(&store, |tx| {
            assert_eq!((tx.audit_head()?, tx.audit_last()?), (ChainHead::START, ChainHead::START));
            tx.audit_insert(&row(1, team_id(1), "a.a", "t"))?;
            seal_all(tx)?;
            let head = tx.audit_last()?;
            assert_eq!(head, ChainHead { position: 1, mac: [1; 32] });
            tx.audit_head_keep(&head)?;
            tx.execute("DELETE FROM audit", params![])?;
            assert_eq!((tx.audit_head()?, tx.audit_last()?), (head, ChainHead::START));
            Ok(())
        })
        .await;
    }

    async fn no_place_in_the_outbox_is_given_twice(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.outbox_insert(&event(n))?;
            }
            tx.outbox_seal(100)?;
            tx.execute("DELETE FROM outbox", params![])?;
            tx.outbox_insert(&event(4))?;
            tx.outbox_seal(100)?;
            let last: i64 = tx.query_one("SELECT max(position) FROM outbox", params![], |row| row.get(0))?;
            assert_eq!(last, 4);
            Ok(())
        })
        .await;
    }

    async fn pages_go_both_ways_and_hold_what_the_filter_says(store: Store) {
        told(&store, |tx| {
            for n in 1..=9 {
                let (action, target) = (["a.a", "b.b"][n % 2], ["x", "y", "z"][n % 3]);
                tx.audit_insert(&row(n as u128, team_id(1), action, target))?;
            }
            seal_all(tx)?;
            tx.audit_insert(&row(50, team_id(2), "a.a", "x"))?;
            seal_all(tx)?;
            tx.audit_insert(&row(51, team_id(1), "a.a", "x"))?;
            let all = (None, None);
            assert_eq!(page(tx, all, Order::Asc, None)?, [1, 2, 3]);
            assert_eq!(page(tx, all, Order::Asc, Some(7))?, [8, 9]);
            assert_eq!(page(tx, all, Order::Desc, None)?, [9, 8, 7]);
            assert_eq!(page(tx, all, Order::Desc, Some(3))?, [2, 1]);
            assert_eq!(page(tx, (Some("a.a"), None), Order::Asc, None)?, [2, 4, 6]);
            assert_eq!(page(tx, (Some("a.a"), None), Order::Desc, Some(8))?, [6, 4, 2]);
            assert_eq!(page(tx, (None, Some("y")), Order::Asc, Some(1))?, [4, 7]);
            assert_eq!(page(tx, (None, Some("y")), Order::Desc, None)?, [7, 4, 1]);
            assert_eq!(page(tx, (Some("a.a"), Some("y")), Order::Asc, None)?, [4]);
            assert_eq!(page(tx, (Some("b.b"), Some("y")), Order::Desc, None)?, [7, 1]);
            Ok(())
        })
        .await;
    }
}
