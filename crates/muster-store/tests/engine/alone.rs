//! One server at a time.

use std::time::Duration;

use muster_store::{Location, Store, StoreError, params};

use crate::backends::{Place, both};

fn impatient(mut place: Place) -> Place {
    place.config.limits.occupied_for = Duration::from_millis(300);
    place
}

async fn open_alone(place: &Place) -> Result<Store, StoreError> {
    Store::open_alone(place.config.clone()).await
}

async fn is_occupied(place: &Place) -> bool {
    matches!(open_alone(place).await, Err(StoreError::Occupied))
}

both! {
    async fn a_second_server_is_refused_until_the_first_has_closed(place: Place) {
        let place = impatient(place);
        let first = open_alone(&place).await.unwrap();
        assert!(is_occupied(&place).await);
        first.check().await.unwrap();
        first.close().await;
        let second = open_alone(&place).await.unwrap();
        assert!(is_occupied(&place).await);
        drop(second);
        open_alone(&place).await.unwrap();
    }

    async fn those_who_only_look_are_let_in(place: Place) {
        let place = impatient(place);
        let _server = open_alone(&place).await.unwrap();
        place.open().await.check().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_lingers_is_waited_for() {
    let place = Place::postgres();
    let lingering = open_alone(&place).await.unwrap();
    let next = {
        let config = place.config.clone();
        tokio::spawn(async move { Store::open_alone(config).await })
    };
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!next.is_finished(), "it was refused at once");
    lingering.close().await;
    next.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_made_again() {
    let place = impatient(Place::postgres());
    let server = open_alone(&place).await.unwrap();
    for _ in 0..3 {
        place.database().cut_connections();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(is_occupied(&place).await, "the cut let another server in for good");
    }
    server.close().await;
    open_alone(&place).await.unwrap();
}

/// Returns the session that holds the database.
async fn holder(store: &Store) -> i64 {
    let read = store.read(|tx| {
        tx.query_one(
            "SELECT pid FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database
              WHERE locktype = 'advisory' AND granted AND datname = current_database()",
            params![],
            |row| row.get(0),
        )
    });
    read.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_hold_outlives_the_limits_of_the_database() {
    let place = Place::postgres();
    let name = place.database().url().rsplit_once('/').unwrap().1.to_owned();
    for limit in ["idle_in_transaction_session_timeout", "statement_timeout"] {
        place.database().run(&format!("ALTER DATABASE {name} SET {limit} = '200ms'"));
    }
    let server = open_alone(&place).await.unwrap();
    let first = holder(&server).await;
    tokio::time::sleep(Duration::from_millis(800)).await;
    assert_eq!(holder(&server).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_name_of_the_file_is_the_same_database() {
    let place = Place::sqlite();
    let _server = open_alone(&place).await.unwrap();
    let link = place.file().with_file_name("link.db");
    std::os::unix::fs::symlink(place.file(), &link).unwrap();
    let mut config = place.config.clone();
    config.location = Location::Sqlite(link);
    assert!(matches!(Store::open_alone(config).await, Err(StoreError::Occupied)));
}
