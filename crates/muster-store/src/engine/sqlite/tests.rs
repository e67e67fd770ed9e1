use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

use muster_edge::Clock;
use tempfile::TempDir;

use crate::migrate::Migration;
use crate::{Location, Priority, Store, StoreConfig, StoreError, Tx, params};

const BLOCKS: &[Migration] = &[(1, "blocks", "CREATE TABLE block (id SERIAL_T, body BYTES_T NOT NULL);")];

async fn open() -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_in(folder.path()).await;
    (folder, store)
}

async fn open_in(folder: &Path) -> Store {
    let location = Location::Sqlite(folder.join("muster.db"));
    let mut config = StoreConfig::new(location, Clock::system());
    config.limits.batch_for = Duration::from_secs(60);
    config.limits.write_for = Duration::from_secs(60);
    Store::open_with(config, BLOCKS).await.unwrap()
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
async fn a_file_that_is_no_database_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("muster.db");
    std::fs::write(&file, "not a database at all, but long enough to look at".repeat(100)).unwrap();
    let opened = Store::open(StoreConfig::new(Location::Sqlite(file), Clock::system())).await;
    assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c05_a_page_damaged_while_running_is_told_with_its_file_and_not_ready() {
    let (folder, store) = open().await;
    store.write(Priority::Normal, |tx| (0..50).try_for_each(|_| add(tx, 1000).map(drop))).await.unwrap();
    store.close().await;
    let store = open_in(folder.path()).await;
    let number =
        |sql: &'static str| store.read(move |tx| tx.query_one(sql, params![], |row| row.get::<i64>(0)));
    let root = number("SELECT rootpage FROM sqlite_schema WHERE name = 'block'").await.unwrap();
    let size = number("SELECT page_size FROM pragma_page_size()").await.unwrap();
    store.check().await.unwrap();
    let file = File::options().write(true).open(folder.path().join("muster.db")).unwrap();
    let (root, size) = (u64::try_from(root).unwrap(), u64::try_from(size).unwrap());
    file.write_all_at(&vec![0xA5; usize::try_from(size).unwrap()], (root - 1) * size).unwrap();
    let damaged = number("SELECT count(*) FROM block").await.unwrap_err();
    let said = damaged.to_string();
    assert!(
        said.contains("is damaged") && said.contains("muster.db") && said.contains("restore a backup"),
        "{said}"
    );
    assert!(damaged.is_unavailable());
    number("SELECT count(*) FROM schema_migration").await.expect("what is whole is read");
    for _ in 0..2 {
        assert!(
            matches!(store.check().await, Err(StoreError::Damaged { .. })),
            "nobody waits for it to be hit again"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c05_a_file_that_takes_no_changes_is_not_ready() {
    let (_folder, store) = open().await;
    store.write(Priority::Normal, |tx| tx.script("PRAGMA query_only = true")).await.unwrap();
    store.check().await.expect("nobody tried yet");
    let refused = store.write(Priority::Normal, |tx| add(tx, 10)).await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable { .. }) && refused.is_unavailable(), "{refused}");
    assert_eq!(blocks(&store).await, 0, "what is there is read");
    assert!(matches!(store.check().await, Err(StoreError::Unreachable { .. })));
}
