use std::time::Duration;

use muster_edge::Clock;
use tempfile::TempDir;

use crate::migrate::Migration;
use crate::{Location, Priority, Store, StoreConfig, StoreError, Tx, params};

const BLOCKS: &[Migration] = &[(1, "blocks", "CREATE TABLE block (id SERIAL_T, body BYTES_T NOT NULL);")];

async fn open() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("muster.db"));
    let mut config = StoreConfig::new(location, Clock::system());
    config.limits.batch_for = Duration::from_secs(60);
    config.limits.write_for = Duration::from_secs(60);
    let store = Store::open_with(config, BLOCKS).await.unwrap();
    (folder, store)
}

fn add(tx: &mut Tx<'_>, bytes: usize) -> Result<u64, StoreError> {
    tx.execute("INSERT INTO block (body) VALUES ($1)", params![vec![7u8; bytes]])
}

async fn blocks(store: &Store) -> i64 {
    store.read(|tx| tx.query_one("SELECT count(*) FROM block", params![], |row| row.get(0))).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_loses_the_whole_batch_says_so_and_recovers() {
    let (_folder, store) = open().await;
    store.write(Priority::Normal, |tx| tx.script("PRAGMA max_page_count = 64")).await.unwrap();
    let (small, large) = tokio::join!(
        store.write(Priority::Urgent, |tx| {
            std::thread::sleep(Duration::from_millis(50));
            add(tx, 10)
        }),
        store.write(Priority::Normal, |tx| add(tx, 1 << 20)),
    );
    assert!(matches!(large, Err(StoreError::Full)), "{large:?}");
    assert!(
        matches!(small, Err(StoreError::Full)),
        "rolled back with its batch, it must not be answered: {small:?}"
    );
    assert_eq!(blocks(&store).await, 0);
    store.write(Priority::Normal, |tx| add(tx, 10)).await.unwrap();
    store.write(Priority::Normal, |tx| tx.script("PRAGMA max_page_count = 100000")).await.unwrap();
    store.write(Priority::Normal, |tx| add(tx, 1 << 20)).await.unwrap();
    assert_eq!(blocks(&store).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_that_ends_by_itself_is_never_answered_as_done() {
    let (_folder, store) = open().await;
    let ended = store.write(Priority::Normal, |tx| {
        add(tx, 10)?;
        tx.script("ROLLBACK")
    });
    assert!(matches!(ended.await, Err(StoreError::Database { .. })));
    assert_eq!(blocks(&store).await, 0);
    store.write(Priority::Normal, |tx| add(tx, 10)).await.unwrap();
    assert_eq!(blocks(&store).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_is_corrupt() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    std::fs::write(&file, "not a database at all, but long enough to look at".repeat(100)).unwrap();
    let opened = Store::open(StoreConfig::new(Location::Sqlite(file), Clock::system())).await;
    assert!(matches!(opened, Err(StoreError::Corrupt { .. })), "{opened:?}");
}
