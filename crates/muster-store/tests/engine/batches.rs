//! SQLite: many transactions, one commit.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_store::{Migration, Priority, Store, StoreError, params};
use tokio::task::JoinHandle;

use crate::backends::Place;
use crate::{ENTRIES, add, names, spin, stored, write_name};

type Answer = JoinHandle<Result<(), StoreError>>;

const MANUAL: &[Migration] = &[(
    1,
    "manual",
    "CREATE TABLE entry (
        name TEXT PRIMARY KEY, owner TEXT REFERENCES entry (name) DEFERRABLE INITIALLY DEFERRED
    );",
)];

/// Keeps the writer inside a first job until `go` is dropped, so that what follows is one batch.
async fn hold(store: &Store) -> (Sender<()>, Answer) {
    let (go, wait): (Sender<()>, Receiver<()>) = channel();
    let (started, running) = tokio::sync::mpsc::unbounded_channel();
    let (wait, store) = (Mutex::new(wait), store.clone());
    let held = tokio::spawn(async move {
        let write = store.write(Priority::Urgent, move |_| {
            // A batch that is lost runs again, when nobody listens any more.
            let _ = started.send(());
            let _ = wait.lock().unwrap().recv();
            Ok(())
        });
        write.await
    });
    let mut running = running;
    running.recv().await.unwrap();
    (go, held)
}

/// Queues a write; later calls are behind earlier ones.
async fn queue<F>(store: &Store, priority: Priority, closure: F) -> Answer
where
    F: Fn(&mut muster_store::Tx<'_>) -> Result<(), StoreError> + Send + Sync + 'static,
{
    let store = store.clone();
    let answer = tokio::spawn(async move { store.write(priority, closure).await });
    tokio::time::sleep(Duration::from_millis(10)).await;
    answer
}

fn place() -> Place {
    let mut place = Place::sqlite();
    place.config.limits.batch_for = Duration::from_secs(60);
    place.config.limits.write_for = Duration::from_secs(60);
    place.config.limits.slow_after = Duration::from_secs(60);
    place
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_comes_after_the_commit() {
    let place = place();
    let store = place.open_with(ENTRIES).await;
    let writes = (0..200).map(|number| {
        let (store, file) = (store.clone(), place.file());
        tokio::spawn(async move {
            let name = format!("entry {number}");
            let written = name.clone();
            let write = store.write(Priority::Normal, move |tx| add(tx, &written));
            write.await.unwrap();
            let other = rusqlite::Connection::open(file).unwrap();
            let found =
                other.query_row("SELECT count(*) FROM entry WHERE name = ?1", [name], |row| row.get(0));
            assert_eq!(found, Ok(1));
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_commit_answers_a_whole_batch_and_nobody_before_it() {
    let place = place();
    let store = place.open_with(ENTRIES).await;
    let (go, held) = hold(&store).await;
    let early = queue(&store, Priority::Normal, |tx| add(tx, "early")).await;
    let (seen, look) = (Arc::new(Mutex::new(None)), place.file());
    let record = Arc::clone(&seen);
    let late = queue(&store, Priority::Normal, move |tx| {
        let other = rusqlite::Connection::open(&look).unwrap();
        let committed: i64 = other.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)).unwrap();
        *record.lock().unwrap() = Some((names(tx)?, committed));
        Ok(())
    })
    .await;
    assert!(!early.is_finished());
    drop(go);
    for answer in [held, early, late] {
        answer.await.unwrap().unwrap();
    }
    let seen = seen.lock().unwrap().take();
    assert_eq!(seen, Some((vec!["early".to_owned()], 0)), "inside the batch, not yet committed");
    assert_eq!(stored(&store).await, ["early"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_is_an_error_to_every_job_also_to_the_refused() {
    let place = place();
    let store = place.open_with(MANUAL).await;
    let (go, held) = hold(&store).await;
    let innocent = queue(&store, Priority::Normal, |tx| add(tx, "innocent")).await;
    let refused = queue(&store, Priority::Normal, |tx| {
        assert_eq!(names(tx)?, ["innocent"]);
        Err(StoreError::corrupt("a refusal that rests on a change that will be lost"))
    })
    .await;
    let breaking = queue(&store, Priority::Normal, |tx| {
        tx.execute("INSERT INTO entry (name, owner) VALUES ($1, $2)", params!["breaking", "nobody"]).map(drop)
    })
    .await;
    drop(go);
    for answer in [held, innocent, refused, breaking] {
        let error = answer.await.unwrap().unwrap_err();
        assert!(matches!(error, StoreError::Database { action: "commit", .. }), "{error:?}");
    }
    assert!(stored(&store).await.is_empty());
    write_name(&store, "next").await.unwrap();
    assert_eq!(stored(&store).await, ["next"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_or_panics_leaves_its_neighbours_alone() {
    let place = place();
    let store = place.open_with(ENTRIES).await;
    let (go, held) = hold(&store).await;
    let first = queue(&store, Priority::Normal, |tx| add(tx, "first")).await;
    let failing = queue(&store, Priority::Normal, |tx| {
        add(tx, "half")?;
        add(tx, "first")
    })
    .await;
    let panicking = queue(&store, Priority::Normal, |tx| {
        add(tx, "other half")?;
        panic!("a defect");
    })
    .await;
    let last = queue(&store, Priority::Normal, |tx| add(tx, "last")).await;
    drop(go);
    held.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    failing.await.unwrap().unwrap_err();
    panicking.await.unwrap().unwrap_err();
    assert_eq!(stored(&store).await, ["first", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_write_does_not_take_its_neighbours_along() {
    let mut place = place();
    place.config.limits.write_for = Duration::from_millis(200);
    let store = place.open_with(ENTRIES).await;
    let (go, held) = hold(&store).await;
    let first = queue(&store, Priority::Normal, |tx| add(tx, "first")).await;
    let endless = queue(&store, Priority::Normal, |tx| {
        tx.execute(
            "INSERT INTO entry (name) WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)
             SELECT 'n' || x FROM n",
            params![],
        )
        .map(drop)
    })
    .await;
    let reading = queue(&store, Priority::Normal, |tx| spin(tx).map(drop)).await;
    let last = queue(&store, Priority::Normal, |tx| add(tx, "last")).await;
    drop(go);
    held.await.unwrap().unwrap();
    first.await.unwrap().unwrap();
    last.await.unwrap().unwrap();
    assert!(matches!(endless.await.unwrap(), Err(StoreError::Interrupted)));
    assert!(matches!(reading.await.unwrap(), Err(StoreError::Interrupted)));
    assert_eq!(stored(&store).await, ["first", "last"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn urgent_jobs_go_first() {
    let place = place();
    let store = place.open_with(ENTRIES).await;
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |name: &'static str| {
        let order = Arc::clone(&order);
        move |_: &mut muster_store::Tx<'_>| {
            order.lock().unwrap().push(name);
            Ok(())
        }
    };
    let (go, held) = hold(&store).await;
    let answers = [
        queue(&store, Priority::Normal, note("enrol 1")).await,
        queue(&store, Priority::Normal, note("enrol 2")).await,
        queue(&store, Priority::Urgent, note("revoke 1")).await,
        queue(&store, Priority::Urgent, note("revoke 2")).await,
    ];
    drop(go);
    held.await.unwrap().unwrap();
    for answer in answers {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(*order.lock().unwrap(), ["revoke 1", "revoke 2", "enrol 1", "enrol 2"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses_at_once_and_leaves_the_urgent_lane_open() {
    let mut place = place();
    place.config.limits.queued = 2;
    let store = place.open_with(ENTRIES).await;
    let (go, held) = hold(&store).await;
    let one = queue(&store, Priority::Normal, |tx| add(tx, "one")).await;
    let two = queue(&store, Priority::Normal, |tx| add(tx, "two")).await;
    assert!(matches!(write_name(&store, "three").await, Err(StoreError::Busy)));
    let urgent = queue(&store, Priority::Urgent, |tx| add(tx, "urgent")).await;
    drop(go);
    for answer in [held, one, two, urgent] {
        answer.await.unwrap().unwrap();
    }
    assert_eq!(stored(&store).await, ["one", "two", "urgent"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_goes_away_does_not_stop_its_transaction() {
    let place = place();
    let store = place.open_with(ENTRIES).await;
    let (go, held) = hold(&store).await;
    queue(&store, Priority::Normal, |tx| add(tx, "orphan")).await.abort();
    drop(go);
    held.await.unwrap().unwrap();
    write_name(&store, "next").await.unwrap();
    assert_eq!(stored(&store).await, ["next", "orphan"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_is_for_its_owner_alone_and_synced_at_every_commit() {
    use std::os::unix::fs::PermissionsExt;
    let place = place();
    let store = place.open_with(ENTRIES).await;
    write_name(&store, "a").await.unwrap();
    for ending in ["", "-wal"] {
        let mut file = place.file().into_os_string();
        file.push(ending);
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{file:?}");
    }
    let mode =
        rusqlite::Connection::open(place.file())
            .unwrap()
            .query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0));
    assert_eq!(mode.unwrap(), "wal");
    store.close().await;
    let other = rusqlite::Connection::open(place.file()).unwrap();
    assert_eq!(other.query_row("SELECT count(*) FROM entry", [], |row| row.get(0)), Ok(1));
}
