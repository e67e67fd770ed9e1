//! PostgreSQL: a right that is relied upon and a right that is taken away.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use muster_ids::{HostId, TicketId};
use muster_store::{Lock, LockKey, Priority, Store, StoreError, Tx, params};
use uuid::Uuid;

use crate::backends::{Place, both};
use crate::{ENTRIES, add, names, stored, write_name};

fn ticket() -> LockKey {
    LockKey::Ticket("0123456789ab".parse::<TicketId>().unwrap())
}

fn enrol(tx: &mut Tx<'_>, host: &str) -> Result<bool, StoreError> {
    tx.lock(&[Lock::shared(ticket())])?;
    let revoked = names(tx)?.contains(&"revoked".to_owned());
    if !revoked {
        add(tx, host)?;
    }
    Ok(!revoked)
}

async fn revoke(store: &Store) -> Result<Vec<String>, StoreError> {
    let write = store.write(Priority::Urgent, |tx| {
        tx.lock(&[Lock::exclusive(ticket())])?;
        add(tx, "revoked")?;
        names(tx)
    });
    write.await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoke_waits_for_the_enrolment_under_way_and_stops_the_next() {
    let place = Place::postgres();
    let store = place.open_with(ENTRIES).await;
    let (go, wait) = channel::<()>();
    let (started, mut running) = tokio::sync::mpsc::unbounded_channel();
    let (wait, writer) = (Mutex::new(wait), store.clone());
    let enrolment = tokio::spawn(async move {
        let write = writer.write(Priority::Normal, move |tx| {
            let admitted = enrol(tx, "host 1")?;
            started.send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
            Ok::<_, StoreError>(admitted)
        });
        write.await
    });
    running.recv().await.unwrap();
    let revoker = store.clone();
    let revocation = tokio::spawn(async move { revoke(&revoker).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!revocation.is_finished(), "the ticket is in use");
    drop(go);
    assert!(enrolment.await.unwrap().unwrap());
    let seen = revocation.await.unwrap().unwrap();
    assert_eq!(seen, ["host 1", "revoked"], "the revocation sees every host the ticket made");
    assert!(!store.write(Priority::Normal, |tx| enrol(tx, "host 2")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_share_a_lock_do_not_wait_for_each_other() {
    let place = Place::postgres();
    let store = place.open_with(ENTRIES).await;
    let (inner, runtime) = (store.clone(), tokio::runtime::Handle::current());
    let outer = store.write(Priority::Normal, move |tx| {
        enrol(tx, "host 1")?;
        runtime.block_on(inner.write(Priority::Normal, |tx| enrol(tx, "host 2")))
    });
    assert!(outer.await.unwrap());
    assert_eq!(stored(&store).await, ["host 1", "host 2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_somebody_holds_is_told_and_not_waited_for() {
    let place = Place::postgres();
    let store = place.open_with(ENTRIES).await;
    let host = |number| LockKey::Host(HostId::from_uuid(Uuid::from_u128(number)));
    let asked =
        [Lock::exclusive(ticket()), Lock::shared(host(1)), Lock::exclusive(host(1)), Lock::shared(host(2))];
    let take = move |store: Store| async move {
        store.write(Priority::Normal, move |tx| tx.lock_if_free(&asked)).await.unwrap()
    };
    assert_eq!(take(store.clone()).await, [true; 4], "its own are no obstacle");
    let (go, wait) = channel::<()>();
    let (started, mut running) = tokio::sync::mpsc::unbounded_channel();
    let (wait, holder) = (Mutex::new(wait), store.clone());
    let held = tokio::spawn(async move {
        let write = holder.write(Priority::Normal, move |tx| {
            tx.lock(&[Lock::exclusive(ticket()), Lock::shared(host(1))])?;
            started.send(()).unwrap();
            let _ = wait.lock().unwrap().recv();
            Ok::<_, StoreError>(())
        });
        write.await
    });
    running.recv().await.unwrap();
    assert_eq!(take(store.clone()).await, [false, true, false, true]);
    drop(go);
    held.await.unwrap().unwrap();
    assert_eq!(take(store).await, [true; 4]);
}

both! {
    async fn no_host_is_made_after_an_answered_revoke(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let enrolments: Vec<_> = (0..60)
            .map(|number| {
                let store = store.clone();
                tokio::spawn(async move {
                    let write = store.write(Priority::Normal, move |tx| enrol(tx, &format!("host {number}")));
                    write.await.unwrap()
                })
            })
            .collect();
        let at_revoke = revoke(&store).await.unwrap();
        for enrolment in enrolments {
            enrolment.await.unwrap();
        }
        assert_eq!(stored(&store).await, at_revoke);
    }

    async fn locks_asked_for_in_any_order_never_deadlock(place: Place) {
        let store = place.open_with(ENTRIES).await;
        write_name(&store, "counter").await.unwrap();
        let host = |number| Lock::exclusive(LockKey::Host(HostId::from_uuid(Uuid::from_u128(number))));
        let orders = [[host(1), host(2)], [host(2), host(1)]];
        let tasks: Vec<_> = (0..40)
            .map(|number: usize| {
                let (store, locks) = (store.clone(), orders[number % 2]);
                tokio::spawn(async move {
                    let write = store.write(Priority::Normal, move |tx| {
                        tx.lock(&locks)?;
                        let amount: i64 = tx.query_one("SELECT amount FROM entry", params![], |row| row.get(0))?;
                        tx.execute("UPDATE entry SET amount = $1", params![amount + 1])
                    });
                    write.await.unwrap()
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let amount = store.read(|tx| tx.query_one("SELECT amount FROM entry", params![], |row| row.get::<i64>(0)));
        assert_eq!(amount.await.unwrap(), 40, "an exclusive lock makes read-then-write safe");
    }
}
