//! Backup and restore without a server: older and newer schemas, many rows, and the marks of a restore that broke off.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use muster_edge::{Clock, Entropy};
use muster_keyring::{Keyring, MasterKey};
use muster_server::backup::{Place, Progress, Restoration, Restored, Target, create, restore};
use muster_server::trail::offline;
use muster_store::{Location, MIGRATIONS, Migration, Priority, Store, StoreConfig, StoreError, Tx, params};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const NEWER: Migration = (99, "newer", "CREATE TABLE newer (id SERIAL_T);");

/// The data folder of a server that is stopped.
struct Stopped(TempDir);

impl Stopped {
    /// An installation with this schema, which `fill` adds to.
    async fn with(
        schema: &'static [Migration],
        fill: impl Fn(&mut Tx<'_>) -> Result<(), StoreError> + Send + Sync + 'static,
    ) -> Self {
        let stopped = Self(tempfile::tempdir().unwrap());
        let key = MasterKey::load_or_create(&stopped.key(), false, &Entropy).unwrap();
        let check = Keyring::derive(&key).check_value();
        let store = Store::open_with(stopped.config(), schema).await.unwrap();
        let filled = store.write(Priority::Normal, move |tx| {
            tx.installation_insert("master_key_check", &check)?;
            tx.installation_insert("epoch", &3_u32.to_be_bytes())?;
            fill(tx)
        });
        filled.await.unwrap();
        store.close().await;
        stopped
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("master.key")
    }

    fn config(&self) -> StoreConfig {
        StoreConfig::new(Location::Sqlite(self.0.path().join("muster.db")), Clock::system())
    }

    fn place(&self) -> Place {
        place(self.0.path())
    }

    async fn backup(&self) -> anyhow::Result<PathBuf> {
        let path = self.0.path().join("a.backup");
        create(self.place(), Target::File { path: path.clone(), replace: true }, quiet()).await?;
        Ok(path)
    }
}

fn place(data_dir: &Path) -> Place {
    Place { data_dir: data_dir.to_owned(), database: None, master_key_file: None }
}

fn quiet() -> Progress {
    Arc::new(|_, _| {})
}

async fn restored(from: &Stopped, backup: &Path, to: &Path, tell: Progress) -> anyhow::Result<Restored> {
    let restoration = Restoration { backup: backup.to_owned(), place: place(to), key: Some(from.key()) };
    restore(restoration, tell).await
}

/// Opens a folder as `muster serve` does.
async fn opened(data_dir: &Path) -> Result<(), String> {
    match offline::StoppedTrail::open(place(data_dir)).await {
        Ok(trail) => {
            trail.close().await;
            Ok(())
        }
        Err(error) => Err(format!("{error:#}")),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_an_older_schema_is_brought_up_to_date() {
    for versions in 1..=MIGRATIONS.len() {
        let stopped = Stopped::with(&MIGRATIONS[..versions], |tx| {
            tx.revocation_insert(team(), "host_x", "older", muster_ids::Timestamp::from_millis(7)).map(drop)
        })
        .await;
        let backup = stopped.backup().await.unwrap();
        let to = tempfile::tempdir().unwrap();
        let done = restored(&stopped, &backup, to.path(), quiet()).await.unwrap();
        assert_eq!((done.voided.former_epoch, done.voided.epoch > 3), (3, true));
        let location = Location::Sqlite(to.path().join("muster.db"));
        let store = Store::open_to_read(StoreConfig::new(location, Clock::system())).await.unwrap();
        let (schema, rows) = store
            .read(|tx| Ok::<_, StoreError>((tx.schema_versions()?.unwrap(), tx.revocations_after(0, 9)?)))
            .await
            .unwrap();
        assert_eq!((schema.len(), rows.len()), (MIGRATIONS.len(), 1));
        assert_eq!(rows[0].reason, "older");
        store.close().await;
        opened(to.path()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_newer_schema_is_not_backed_up_by_an_older_program() {
    let list: &'static [Migration] = Box::leak([MIGRATIONS, &[NEWER]].concat().into_boxed_slice());
    let stopped = Stopped::with(list, |_| Ok(())).await;
    let refused = format!("{:#}", stopped.backup().await.unwrap_err());
    assert!(refused.contains("newer than this program knows"), "{refused}");
    assert!(!stopped.0.path().join("a.backup").exists(), "what failed left nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_rows_and_large_ones_arrive_and_progress_is_told() {
    const ROWS: i64 = 1_234;
    let stopped = Stopped::with(MIGRATIONS, |tx| {
        for n in 0..ROWS {
            let subject = if n % 100 == 0 { "x".repeat(300_000) } else { format!("host_{n}") };
            tx.revocation_insert(team(), &subject, "many", muster_ids::Timestamp::from_millis(n))?;
        }
        Ok(())
    })
    .await;
    let backup = stopped.backup().await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let (last, total) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
    let (told, of) = (Arc::clone(&last), Arc::clone(&total));
    let tell: Progress = Arc::new(move |done, all| {
        assert!(told.swap(done, Ordering::Relaxed) <= done && done <= all, "progress goes forward");
        *of.lock().unwrap() = Some(all);
    });
    let done = restored(&stopped, &backup, to.path(), tell).await.unwrap();
    assert_eq!(done.rows, ROWS as u64 + 2);
    assert_eq!(*total.lock().unwrap(), Some(last.load(Ordering::Relaxed)), "it ended at its end");
    let location = Location::Sqlite(to.path().join("muster.db"));
    let store = Store::open_to_read(StoreConfig::new(location, Clock::system())).await.unwrap();
    let lengths = store.read(|tx| {
        tx.query_one("SELECT count(*), sum(length(subject)) FROM revocation", params![], |row| {
            Ok((row.get::<i64>(0)?, row.get::<i64>(1)?))
        })
    });
    let (count, length) = lengths.await.unwrap();
    assert!(count == ROWS && length > 13 * 300_000, "{count} {length}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_marks_of_a_restore_keep_everybody_out_until_it_is_done() {
    let stopped = Stopped::with(MIGRATIONS, |_| Ok(())).await;
    let backup = stopped.backup().await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let mark = to.path().join("restore-unfinished");
    restored(&stopped, &backup, to.path(), quiet()).await.unwrap();
    assert!(!mark.exists());
    let location = Location::Sqlite(to.path().join("muster.db"));
    let store = Store::open(StoreConfig::new(location, Clock::system())).await.unwrap();
    let fact = store.read(|tx| tx.installation("restored")).await.unwrap().unwrap();

    // It was killed after its last commit: nothing is missing but the removal of the mark.
    fs::write(&mark, &fact).unwrap();
    opened(to.path()).await.unwrap();
    assert!(!mark.exists(), "the mark of a restore that was done goes");
    // It was killed before: another one's mark.
    fs::write(&mark, "another").unwrap();
    assert!(opened(to.path()).await.unwrap_err().contains("was not finished"));
    fs::remove_file(&mark).unwrap();
    // It was killed while rows were loaded, and somebody removed the file.
    store.write(Priority::Normal, |tx| tx.installation_set("restore_unfinished", b"x")).await.unwrap();
    assert!(opened(to.path()).await.unwrap_err().contains("was not finished"));
    let half =
        create(place(to.path()), Target::File { path: to.path().join("b"), replace: false }, quiet()).await;
    assert!(half.unwrap_err().to_string().contains("nothing to back up"));
    store.close().await;
    restored(&stopped, &backup, to.path(), quiet()).await.unwrap();
    opened(to.path()).await.unwrap();
    let again = restored(&stopped, &backup, to.path(), quiet()).await.unwrap_err();
    assert!(again.to_string().contains("already holds data"), "{again:#}");
}

/// Opens a database from a folder that knows nothing of it.
async fn opened_from_elsewhere(file: &Path) -> Result<(), String> {
    let elsewhere = tempfile::tempdir().unwrap();
    let database = Some(Location::Sqlite(file.to_owned()));
    let opened = offline::StoppedTrail::open(Place { database, ..place(elsewhere.path()) }).await;
    opened.map(drop).map_err(|error| format!("{error:#}"))
}

/// Whether the database has tables and no mark, at any moment until `stop`.
async fn was_ever_unmarked(file: PathBuf, stop: CancellationToken) -> bool {
    while !stop.is_cancelled() {
        let config = StoreConfig::new(Location::Sqlite(file.clone()), Clock::system());
        let Ok(store) = Store::open_to_read(config).await else { continue };
        while !stop.is_cancelled() {
            let unmarked = store.read(|tx| {
                let has_schema = tx.schema_versions()?.is_some();
                let has_fact = |tx: &mut Tx<'_>, fact| tx.installation(fact).map(|fact| fact.is_some());
                Ok::<_, StoreError>(
                    has_schema && !has_fact(tx, "restore_unfinished")? && !has_fact(tx, "restored")?,
                )
            });
            if unmarked.await.unwrap_or(true) {
                return true;
            }
        }
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c26_a_restore_killed_at_any_point_is_never_served_from_another_folder() {
    let stopped = Stopped::with(MIGRATIONS, |_| Ok(())).await;
    let backup = stopped.backup().await.unwrap();
    let to = tempfile::tempdir().unwrap();
    let file = to.path().join("muster.db");
    let stop = CancellationToken::new();
    let watching = tokio::spawn(was_ever_unmarked(file.clone(), stop.clone()));
    // Killed when the first rows are loaded, twice: the second one empties what the first one left.
    for _ in 0..2 {
        let dies: Progress = Arc::new(|done, all| assert!(done * 2 <= all, "killed"));
        let (from, path, to) = (stopped.key(), backup.clone(), to.path().to_owned());
        let restoration = Restoration { backup: path, place: place(&to), key: Some(from) };
        assert!(tokio::spawn(restore(restoration, dies)).await.unwrap_err().is_panic());
        let refused = opened_from_elsewhere(&file).await.unwrap_err();
        assert!(refused.contains("was not finished"), "{refused}");
    }
    restored(&stopped, &backup, to.path(), quiet()).await.unwrap();
    stop.cancel();
    assert!(!watching.await.unwrap(), "tables without a mark are those of a new server");
    opened(to.path()).await.unwrap();
}

fn team() -> muster_ids::TeamId {
    muster_ids::TeamId::from_uuid(Entropy.uuid(muster_ids::Timestamp::from_millis(1)))
}
