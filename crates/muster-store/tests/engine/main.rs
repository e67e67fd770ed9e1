//! What the engine promises to a closure, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../backends/mod.rs"]
mod backends;

mod alone;
mod batches;
mod closures;
mod locks;
mod migrations;
mod outages;
mod upgrades;
mod values;

use muster_store::{Migration, Priority, Store, StoreError, Tx, params};

const ENTRIES: &[Migration] = &[(
    1,
    "entries",
    "CREATE TABLE entry (
        id SERIAL_T,
        name TEXT_KEY NOT NULL UNIQUE,
        amount BIGINT NOT NULL DEFAULT 0,
        owner UUID_T,
        picture BYTES_T
    );",
)];

fn add(tx: &mut Tx<'_>, name: &str) -> Result<(), StoreError> {
    let added = tx.execute("INSERT INTO entry (name) VALUES ($1)", params![name])?;
    assert_eq!(added, 1);
    Ok(())
}

fn names(tx: &mut Tx<'_>) -> Result<Vec<String>, StoreError> {
    tx.query("SELECT name FROM entry ORDER BY name", params![], |row| row.get(0))
}

async fn stored(store: &Store) -> Vec<String> {
    store.read(names).await.unwrap()
}

async fn write_name(store: &Store, name: &'static str) -> Result<(), StoreError> {
    store.write(Priority::Normal, move |tx| add(tx, name)).await
}

/// A query that runs until it is stopped.
fn spin(tx: &mut Tx<'_>) -> Result<i64, StoreError> {
    tx.query_one(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 2000000000)
         SELECT count(*) FROM n",
        params![],
        |row| row.get(0),
    )
}
