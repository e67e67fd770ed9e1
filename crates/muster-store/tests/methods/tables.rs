//! Whole tables: read on one database, filled on the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_domain::retention::TABLES;
use muster_ids::SecretId;
use muster_store::rows::SecretRow;
use muster_store::{MIGRATIONS, Priority, Store, StoreError, Tx, Value, migrations_to, params};
use muster_wire::ticket::TicketKind;
use uuid::Uuid;

use crate::backends::{Place, both};
use crate::rows::{NOW, at, claim, host, host_id, host_key, key, team_id, ticket, ticket_id, told};

/// The rows of every table, sorted: no order is promised.
type Content = Vec<(String, Vec<String>, Vec<Vec<Value>>)>;

async fn content(store: &Store) -> Content {
    let read = store.read(|tx| {
        let mut content = Vec::new();
        for table in tx.tables()? {
            let mut rows = Vec::new();
            tx.table_rows(&table, |row| {
                rows.push(row);
                Ok(())
            })?;
            assert_eq!(tx.table_count(&table)?, rows.len() as u64);
            assert_eq!(tx.table_is_empty(&table)?, rows.is_empty());
            rows.sort_by_key(|row| format!("{row:?}"));
            content.push((table.name().to_owned(), table.columns(), rows));
        }
        content.sort_by(|one, other| one.0.cmp(&other.0));
        Ok::<_, StoreError>(content)
    });
    read.await.unwrap()
}

/// Ids, bytes, numbers, texts and nothing, in tables that refer to each other, with automatic keys.
fn some_of_everything(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
    tx.claim_insert(&claim(1))?;
    for n in 1..=120 {
        tx.host_insert(&host(n))?;
        tx.host_key_insert(&host_key(n, n))?;
        tx.host_rows_insert(host_id(n.into()), 0)?;
    }
    assert!(tx.secret_insert(&SecretRow {
        id: SecretId::from_uuid(Uuid::from_u128(9)),
        team_id: team_id(1),
        owner_kind: "host".to_owned(),
        owner_id: host_id(1).to_string(),
        name: "repo".to_owned(),
        version: 3,
        fields: vec!["url".to_owned()],
        blob: (0..=255).collect(),
        updated_at: at(1),
    })?);
    tx.secret_delivered(SecretId::from_uuid(Uuid::from_u128(9)), 3, &key(1), at(2))?;
    tx.revocation_insert(team_id(1), &ticket_id(7).to_string(), "grüße\n\"'", at(3))?;
    tx.installation_set("epoch", &[0, 0, 0, 1])?;
    Ok(())
}

async fn copied(from: &Store, to: &Store) {
    let (schema, tables) =
        from.read(|tx| Ok::<_, StoreError>((tx.schema_versions()?.unwrap(), tx.tables()?))).await.unwrap();
    to.migrate(migrations_to(&schema).unwrap(), NOW).await.unwrap();
    for table in tables {
        let rows = Arc::new(Mutex::new(Vec::new()));
        let (read, of) = (Arc::clone(&rows), table.clone());
        from.read(move |tx| {
            tx.table_rows(&of, |row| {
                read.lock().unwrap().push(row);
                Ok(())
            })
        })
        .await
        .unwrap();
        let rows = rows.lock().unwrap().clone();
        to.write(Priority::Urgent, move |tx| {
            let table = tx.tables()?.into_iter().find(|found| found.name() == table.name()).unwrap();
            assert!(tx.table_is_empty(&table)?);
            tx.table_fill(&table, rows.clone())?;
            tx.table_go_on(&table)
        })
        .await
        .unwrap();
    }
}

/// The limits of a restore: making a schema takes longer than what a server may do at a time.
fn patient(mut place: Place) -> Place {
    place.config.limits.write_for = Duration::from_secs(60);
    place
}

async fn every_row_arrives(from: Place, to: Place) {
    let to = patient(to);
    let from = from.open().await;
    told(&from, some_of_everything).await;
    let to = Store::open_as_it_is(to.config.clone()).await.unwrap();
    assert_eq!(to.read(|tx| tx.schema_versions()).await.unwrap(), None);
    copied(&from, &to).await;
    assert_eq!(content(&from).await, content(&to).await);
    let next = to.write(Priority::Normal, |tx| {
        tx.revocation_insert(team_id(1), "host_x", "after", at(4))?;
        tx.query_one("SELECT max(seq) FROM revocation", params![], |row| row.get::<i64>(0))
    });
    assert_eq!(next.await.unwrap(), 2, "the automatic key goes on");
    to.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_on_postgres() {
    every_row_arrives(Place::sqlite(), Place::postgres()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_row_arrives_on_sqlite() {
    every_row_arrives(Place::postgres(), Place::sqlite()).await;
}

both! {
    async fn parents_come_before_their_children(store: Store) {
        let tables = store.read(|tx| tx.tables()).await.unwrap();
        let place = |name: &str| tables.iter().position(|table| table.name() == name).unwrap();
        assert!(place("team") < place("site") && place("site") < place("host") && place("host") < place("host_key"));
        assert!(place("secret") < place("secret_delivery") && place("job") < place("job_log"));
        assert!(!tables.iter().any(|table| table.name() == "schema_migration"));
    }

    async fn every_table_has_a_bound(store: Store) {
        let tables = store.read(|tx| tx.tables()).await.unwrap();
        let there: BTreeSet<&str> = tables.iter().map(|table| table.name()).collect();
        let bounded: BTreeSet<&str> = TABLES.iter().map(|growth| growth.table).collect();
        assert_eq!(there, bounded, "write down in muster_domain::retention what bounds a new table");
        assert_eq!(bounded.len(), TABLES.len(), "each table once");
    }

    async fn tables_are_dropped_and_made_again(place: Place) {
        let place = patient(place);
        let store = place.open().await;
        told(&store, some_of_everything).await;
        assert_eq!(store.read(|tx| tx.foreign_tables()).await.unwrap(), Vec::<String>::new());
        store.write(Priority::Urgent, |tx| tx.tables_drop()).await.unwrap();
        assert_eq!(store.read(|tx| tx.schema_versions()).await.unwrap(), None);
        assert!(store.read(|tx| tx.tables()).await.unwrap().is_empty());
        store.migrate(MIGRATIONS, NOW).await.unwrap();
        assert!(content(&store).await.iter().all(|(_, _, rows)| rows.is_empty()));
        store.close().await;
    }

    async fn a_store_that_is_opened_to_read_changes_nothing(place: Place) {
        let refused = Store::open_to_read(place.config.clone()).await;
        let is_new = match refused {
            Ok(store) => store.read(|tx| tx.schema_versions()).await.unwrap().is_none(),
            Err(_) => true,
        };
        assert!(is_new);
        let store = place.open().await;
        told(&store, some_of_everything).await;
        let reading = Store::open_to_read(place.config.clone()).await.unwrap();
        assert_eq!(content(&reading).await, content(&store).await);
        reading.close().await;
        store.check().await.unwrap();
    }

    async fn a_row_that_does_not_fit_is_refused(store: Store) {
        let tables = store.read(|tx| tx.tables()).await.unwrap();
        let team = tables.into_iter().find(|table| table.name() == "team").unwrap();
        let id = || Value::Bytes(vec![1; 16]);
        let text = || Value::Text("x".to_owned());
        let good = move |id: Value| vec![id, text(), Value::Integer(0), Value::Bytes(vec![1]), Value::Integer(1)];
        for bad in [
            vec![id()],
            good(Value::Integer(3)),
            vec![id(), text(), text(), Value::Bytes(vec![1]), Value::Integer(1)],
            vec![id(), Value::Bytes(vec![1]), Value::Integer(0), Value::Bytes(vec![1]), Value::Integer(1)],
        ] {
            let table = team.clone();
            let filled = store.write(Priority::Normal, move |tx| tx.table_fill(&table, vec![bad.clone()])).await;
            assert!(matches!(filled, Err(StoreError::Corrupt { .. })), "{filled:?}");
        }
        store.write(Priority::Normal, move |tx| tx.table_fill(&team, vec![good(id())])).await.unwrap();
    }
}
