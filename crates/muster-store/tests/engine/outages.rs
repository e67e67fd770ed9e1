//! PostgreSQL: a server that is busy, stops answering, cuts the line or is damaged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use muster_edge::Clock;
use muster_store::{Location, Migration, Priority, Store, StoreConfig, StoreError, params};

use crate::backends::Place;
use crate::{ENTRIES, add, stored, write_name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_cut_before_the_commit_changes_nothing_and_the_next_write_works() {
    let place = Arc::new(Place::postgres());
    let store = place.open_with(ENTRIES).await;
    let server = Arc::clone(&place);
    let cut = store.write(Priority::Normal, move |tx| {
        add(tx, "a")?;
        server.database().cut_connections();
        add(tx, "b")
    });
    let error = cut.await.unwrap_err();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    write_name(&store, "c").await.unwrap();
    assert_eq!(stored(&store).await, ["c"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_reply_to_the_commit_is_said_to_be_unknown() {
    let place = Arc::new(Place::postgres());
    let store = place.open_with(ENTRIES).await;
    let server = Arc::clone(&place);
    let cut = store.write(Priority::Normal, move |tx| {
        add(tx, "a")?;
        server.database().cut_connections();
        Ok::<_, StoreError>(())
    });
    let error = cut.await.unwrap_err();
    assert!(matches!(error, StoreError::CommitUnknown), "{error:?}");
    assert!(error.is_unavailable());
    assert!(stored(&store).await.is_empty(), "here it was lost, and looking tells");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_what_the_server_calls_corrupted_is_damage_and_not_ready() {
    let place = Arc::new(Place::postgres());
    let store = place.open_with(ENTRIES).await;
    place.database().run(
        "CREATE FUNCTION look() RETURNS BIGINT LANGUAGE plpgsql AS $$
         BEGIN RAISE EXCEPTION 'invalid page in block 7' USING ERRCODE = 'data_corrupted'; END $$",
    );
    store.check().await.unwrap();
    let look = store.read(|tx| tx.query_one("SELECT look()", params![], |row| row.get::<i64>(0)));
    let damaged = look.await.unwrap_err();
    assert!(matches!(damaged, StoreError::Damaged { .. }) && damaged.is_unavailable(), "{damaged:?}");
    assert!(damaged.to_string().contains("invalid page in block 7"), "{damaged}");
    write_name(&store, "a").await.expect("what is whole is used");
    assert!(matches!(store.check().await, Err(StoreError::Damaged { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_pool_is_busy_after_a_bounded_wait_and_urgent_work_has_its_own_seats() {
    let mut place = Place::postgres();
    place.config.limits.connections = 3;
    place.config.limits.connection_wait = Duration::from_millis(200);
    let store = place.open_with(ENTRIES).await;
    let (held, runtime) = (store.clone(), tokio::runtime::Handle::current());
    let outer = store.write(Priority::Normal, move |tx| {
        add(tx, "outer")?;
        runtime.block_on(async {
            assert!(matches!(write_name(&held, "normal").await, Err(StoreError::Busy)));
            held.write(Priority::Urgent, |tx| add(tx, "urgent")).await
        })
    });
    outer.await.unwrap();
    assert_eq!(stored(&store).await, ["outer", "urgent"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_urgent_read_does_not_queue_behind_a_flood() {
    let mut place = Place::postgres();
    place.config.limits.connections = 3;
    place.config.limits.connection_wait = Duration::from_millis(200);
    let store = place.open_with(ENTRIES).await;
    write_name(&store, "a").await.unwrap();
    let (held, runtime) = (store.clone(), tokio::runtime::Handle::current());
    let flood = store.read(move |_| {
        runtime.block_on(async {
            assert!(matches!(held.read(crate::names).await, Err(StoreError::Busy)));
            held.read_urgent(crate::names).await
        })
    });
    assert_eq!(flood.await.unwrap(), ["a"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_unreachable() {
    let location = Location::parse("postgres://postgres@127.0.0.1:1/muster").unwrap();
    let opened = Store::open(StoreConfig::new(location, Clock::system())).await;
    assert!(matches!(opened, Err(StoreError::Unreachable { .. })), "{opened:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_tls_is_refused_when_tls_is_required() {
    let mut place = Place::postgres();
    place.config.location = Location::Postgres(format!("{}?sslmode=require", place.database().url()));
    let opened = Store::open(place.config.clone()).await;
    assert!(matches!(opened, Err(StoreError::Database { .. })), "{opened:?}");
}

/// Answers every client like somebody in between who wants to listen: no TLS here. Returns what came after that.
fn listen_in() -> (u16, std::thread::JoinHandle<Vec<u8>>) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let heard = std::thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut first = [0; 8];
        client.read_exact(&mut first).unwrap();
        let mut rest = Vec::new();
        if first[4..] == 80_877_103_u32.to_be_bytes() {
            client.write_all(b"N").unwrap();
        } else {
            rest.extend(first);
        }
        let _ = client.set_read_timeout(Some(Duration::from_secs(2)));
        let _ = client.read_to_end(&mut rest);
        rest
    });
    (port, heard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_the_network_nothing_is_said_to_a_server_without_tls() {
    for query in ["", "?sslmode=prefer"] {
        let (port, heard) = listen_in();
        // Not a loopback address, and still this machine.
        let url = format!("postgres://muster:hunter2@0.0.0.0:{port}/muster{query}");
        let opened = Store::open(StoreConfig::new(Location::Postgres(url), Clock::system())).await;
        assert!(matches!(opened, Err(StoreError::Database { .. })), "{opened:?}");
        assert_eq!(heard.join().unwrap(), b"", "the user, the database or the password was said in plain");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_text_over_the_network_can_be_asked_for() {
    let mut place = Place::postgres();
    let url = place.database().url().replace("127.0.0.1", "0.0.0.0");
    place.config.location = Location::Postgres(format!("{url}?sslmode=disable"));
    let store = place.open_with(ENTRIES).await;
    write_name(&store, "a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_serialization_conflict_of_the_server_re_runs_the_closure() {
    let place = Place::postgres();
    let store = place.open_with(ENTRIES).await;
    write_name(&store, "a").await.unwrap();
    write_name(&store, "b").await.unwrap();
    // Row locks in opposite order: the server ends one of the two with 40P01.
    let met = Arc::new((AtomicBool::new(false), AtomicBool::new(false)));
    let change = |first: &'static str, second: &'static str, own: usize| {
        let (store, met) = (store.clone(), Arc::clone(&met));
        tokio::spawn(async move {
            let write = store.write(Priority::Normal, move |tx| {
                let sql = "UPDATE entry SET amount = amount + 1 WHERE name = $1";
                tx.execute(sql, params![first])?;
                let (mine, other) = if own == 0 { (&met.0, &met.1) } else { (&met.1, &met.0) };
                mine.store(true, Ordering::SeqCst);
                while !other.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                tx.execute(sql, params![second])
            });
            write.await
        })
    };
    let (one, two) = (change("a", "b", 0), change("b", "a", 1));
    assert_eq!((one.await.unwrap().unwrap(), two.await.unwrap().unwrap()), (1, 1));
    let total = store.read(|tx| {
        tx.query_one("SELECT CAST(sum(amount) AS BIGINT) FROM entry", params![], |row| row.get::<i64>(0))
    });
    assert_eq!(total.await.unwrap(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_by_a_newer_server_does_not_break_prepared_statements() {
    const WIDER: &[Migration] = &[ENTRIES[0], (2, "wider", "ALTER TABLE entry ADD COLUMN note TEXT;")];
    let place = Place::postgres();
    let store = place.open_with(ENTRIES).await;
    let write = || {
        store.write(Priority::Normal, |tx| {
            let sql = "INSERT INTO entry (name) SELECT CAST(count(*) AS TEXT) FROM entry RETURNING *";
            tx.query_one(sql, params![], |row| row.get::<i64>(0))
        })
    };
    write().await.unwrap();
    place.open_with(WIDER).await.close().await;
    write().await.unwrap();
}
