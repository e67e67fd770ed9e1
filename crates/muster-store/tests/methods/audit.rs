//! The audit trail, the outbox, and the places of their rows.

use muster_ids::{AuditId, EventId, HostId, TeamId};
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
        role: Some(String::new()),
        source: "-".to_owned(),
        action: action.to_owned(),
        target: target.to_owned(),
        outcome: "ok".to_owned(),
        changed: Some("[]".to_owned()),
        host_id: None,
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
        host_id: None,
        actor: "system".to_owned(),
        payload: serde_json::json!({}),
    }
}

fn scattered(n: u128) -> Uuid {
    Uuid::from_u128((n * 7 % 11) << 64 | n)
}

fn seal_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    for row in tx.audit_unsealed(100)? {
        let position = tx.audit_last()?.next_position()?;
        assert!(tx.audit_seal(&[(row.row.id, ChainHead { position, mac: [1; 32] })])?);
    }
    Ok(())
}

fn page(
    tx: &mut Tx<'_>,
    filter: (Option<&str>, Option<&str>),
    order: Order,
    after: Option<i64>,
) -> Result<Vec<u64>, StoreError> {
    let filter = AuditFilter {
        actions: filter.0.map(str::to_owned).into_iter().collect(),
        target: filter.1.map(str::to_owned),
        ..AuditFilter::default()
    };
    let rows = tx.audit_page(team_id(1), &filter, order, after, 3)?;
    Ok(rows.iter().map(|row| row.position).collect())
}

both! {
    async fn rows_of_one_transaction_keep_their_order(store: Store) {
        told(&store, |tx| {
            for n in 1..=10 {
                tx.audit_insert(&row(n, team_id(1), "a.a", "t"), &[1])?;
                tx.outbox_insert(&event(n))?;
            }
            let details: Vec<_> = tx.audit_unsealed(100)?.into_iter().map(|row| row.row.details).collect();
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
            tx.audit_insert(&row(1, team_id(1), "a.a", "t"), &[1])?;
            tx.execute("UPDATE audit SET details = $1", params![stored])?;
            let text = tx.audit_unsealed(1)?[0].row.chained_text();
            let is_in_it = text.windows(stored.len()).any(|part| part == stored.as_bytes());
            assert!(is_in_it, "{}", String::from_utf8_lossy(&text));
            Ok(())
        })
        .await;
    }

    async fn the_ends_are_kept_outside_of_the_table(store: Store) {
        told(&store, |tx| {
            assert_eq!((tx.audit_head()?, tx.audit_tail()?, tx.audit_last()?), (None, None, ChainHead::START));
            tx.audit_insert(&row(1, team_id(1), "a.a", "t"), &[1])?;
            seal_all(tx)?;
            assert_eq!(tx.audit_last()?, ChainHead { position: 1, mac: [1; 32] });
            tx.audit_head_keep(b"head")?;
            tx.audit_tail_keep(b"tail")?;
            tx.execute("DELETE FROM audit", params![])?;
            assert_eq!(tx.audit_last()?, ChainHead::START);
            assert_eq!((tx.audit_head()?, tx.audit_tail()?), (Some(b"head".to_vec()), Some(b"tail".to_vec())));
            Ok(())
        })
        .await;
    }

    async fn what_proves_who_wrote_a_row_goes_when_it_is_sealed(store: Store) {
        told(&store, |tx| {
            tx.audit_insert(&row(1, team_id(1), "a.a", "t"), &[7])?;
            assert_eq!(tx.audit_unsealed(1)?[0].written, Some(vec![7]));
            seal_all(tx)?;
            let kept: Option<Vec<u8>> = tx.query_one("SELECT written FROM audit", params![], |row| row.get(0))?;
            assert_eq!(kept, None);
            Ok(())
        })
        .await;
    }

    async fn rows_are_read_whatever_was_done_to_them(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.audit_insert(&row(n, team_id(1), "a.a", "t"), &[1])?;
            }
            seal_all(tx)?;
            tx.execute("UPDATE audit SET mac = $1 WHERE position = 2", params![vec![1_u8, 2]])?;
            let rows = tx.audit_after(1, 10)?;
            assert_eq!(rows.iter().map(|row| row.position).collect::<Vec<_>>(), [2, 3]);
            assert_eq!((rows[0].mac, rows[1].mac), (None, Some([1; 32])));
            assert_eq!((tx.audit_link(2)?, tx.audit_link(3)?, tx.audit_link(4)?), (Some(None), Some(Some([1; 32])), None));
            assert_eq!((tx.audit_first_since(1, at(1))?, tx.audit_first_since(1, at(2))?), (Some(2), None));
            assert_eq!((tx.audit_drop(0, 2)?, tx.audit_drop(0, 2)?), (2, 0));
            Ok(())
        })
        .await;
    }

    async fn every_filter_shows_what_it_says_and_nothing_else(store: Store) {
        told(&store, |tx| {
            let host = HostId::from_uuid(Uuid::from_u128(77));
            for n in 1..=12_u128 {
                let mut row = row(n, team_id(1), ["a.a", "b.b", "c.c"][n as usize % 3], "t");
                // Times go back once: positions are the order, times are not.
                row.at = at(if n == 9 { 2 } else { n as i64 });
                row.actor = ["ada", "bob"][n as usize % 2].to_owned();
                row.outcome = if n == 5 { "refused" } else { "ok" }.to_owned();
                row.host_id = (n % 4 == 0).then_some(host);
                tx.audit_insert(&row, &[1])?;
            }
            seal_all(tx)?;
            let all = AuditFilter::default;
            let of = |word: &str| Some(word.to_owned());
            for (filter, expected) in [
                (AuditFilter { actions: vec!["a.a".to_owned(), "c.c".to_owned()], ..all() }, vec![2, 3, 5, 6, 8, 9, 11, 12]),
                (AuditFilter { actor: of("bob"), ..all() }, vec![1, 3, 5, 7, 9, 11]),
                (AuditFilter { actor: of("bob"), actions: vec!["a.a".to_owned()], ..all() }, vec![3, 9]),
                (AuditFilter { outcome: of("refused"), ..all() }, vec![5]),
                (AuditFilter { host_id: Some(host), ..all() }, vec![4, 8, 12]),
                (AuditFilter { host_id: Some(host), actions: vec!["c.c".to_owned()], ..all() }, vec![8]),
                (AuditFilter { since: Some(at(8)), ..all() }, vec![8, 10, 11, 12]),
                (AuditFilter { until: Some(at(4)), ..all() }, vec![1, 2, 3, 9]),
                (AuditFilter { since: Some(at(2)), until: Some(at(4)), ..all() }, vec![2, 3, 9]),
                (AuditFilter { since: Some(at(99)), ..all() }, vec![]),
                (AuditFilter { after: 10, ..all() }, vec![11, 12]),
            ] {
                let whole = tx.audit_page(team_id(1), &filter, Order::Asc, None, 100)?;
                assert!(whole.iter().all(|row| filter.fits(&row.row)), "{filter:?}");
                assert_eq!(whole.iter().map(|row| row.position).collect::<Vec<_>>(), expected, "{filter:?}");
                for order in [Order::Asc, Order::Desc] {
                    let (mut walked, mut after) = (Vec::new(), None);
                    while let page = tx.audit_page(team_id(1), &filter, order, after, 2)?
                        && let Some(last) = page.last()
                    {
                        after = Some(last.position as i64);
                        walked.extend(page.iter().map(|row| row.position));
                    }
                    if order == Order::Desc {
                        walked.reverse();
                    }
                    assert_eq!(walked, expected, "{order:?} {filter:?}");
                }
            }
            assert_eq!(tx.audit_page(team_id(2), &all(), Order::Asc, None, 100)?, []);
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
                tx.audit_insert(&row(n as u128, team_id(1), action, target), &[1])?;
            }
            seal_all(tx)?;
            tx.audit_insert(&row(50, team_id(2), "a.a", "x"), &[1])?;
            seal_all(tx)?;
            tx.audit_insert(&row(51, team_id(1), "a.a", "x"), &[1])?;
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
