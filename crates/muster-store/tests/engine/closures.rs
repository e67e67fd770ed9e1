//! One closure, whatever the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use muster_store::{Priority, StoreError, WriteError, params};

use crate::backends::{Place, both};
use crate::{ENTRIES, add, names, spin, stored, write_name};

#[derive(Debug)]
enum Refusal {
    Spent,
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl WriteError for Refusal {
    fn as_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Spent => None,
        }
    }
}

both! {
    async fn what_was_answered_is_seen_by_the_next_read(place: Place) {
        let store = place.open_with(ENTRIES).await;
        for name in ["a", "b", "c"] {
            write_name(&store, name).await.unwrap();
            assert!(stored(&store).await.contains(&name.to_owned()));
        }
        store.check().await.unwrap();
    }

    async fn a_refusal_undoes_its_own_changes_and_reaches_the_caller(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let refused = store
            .write(Priority::Normal, |tx| {
                add(tx, "a")?;
                Err::<(), _>(Refusal::Spent)
            })
            .await;
        assert!(matches!(refused, Err(Refusal::Spent)));
        assert!(stored(&store).await.is_empty());
    }

    async fn a_conflict_runs_the_closure_again_from_nothing(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let result = store.write(Priority::Normal, move |tx| {
            add(tx, "a")?;
            if counted.fetch_add(1, Ordering::SeqCst) < 2 { Err(StoreError::Conflict) } else { names(tx) }
        });
        assert_eq!(result.await.unwrap(), ["a"]);
        assert_eq!(tries.load(Ordering::SeqCst), 3);
    }

    async fn a_conflict_without_end_is_answered_after_eight_tries(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let tries = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&tries);
        let result = store.write(Priority::Normal, move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            Err::<(), _>(Refusal::Store(StoreError::Conflict))
        });
        assert!(matches!(result.await, Err(Refusal::Store(StoreError::Conflict))));
        assert_eq!(tries.load(Ordering::SeqCst), 8);
    }

    async fn a_panic_is_an_error_of_its_own_job_alone(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let panicking = store.write(Priority::Normal, |tx| {
            add(tx, "a")?;
            if names(tx)?.len() == 1 { panic!("a defect") }
            Ok::<_, StoreError>(())
        });
        assert!(matches!(panicking.await, Err(StoreError::Database { .. })));
        let panicking = store.read(|_| -> Result<(), StoreError> { panic!("another defect") });
        assert!(matches!(panicking.await, Err(StoreError::Database { .. })));
        write_name(&store, "b").await.unwrap();
        assert_eq!(stored(&store).await, ["b"]);
    }

    async fn a_failed_statement_ends_the_transaction_even_when_the_closure_ignores_it(place: Place) {
        let store = place.open_with(ENTRIES).await;
        write_name(&store, "taken").await.unwrap();
        let ignoring = store.write(Priority::Normal, |tx| {
            add(tx, "a")?;
            assert!(add(tx, "taken").is_err());
            assert!(add(tx, "b").is_err(), "nothing works after a failure");
            Ok::<_, StoreError>(())
        });
        assert!(matches!(ignoring.await, Err(StoreError::Database { .. })));
        let disguising = store.write(Priority::Normal, |tx| add(tx, "taken").map_err(|_| Refusal::Spent));
        assert!(matches!(disguising.await, Err(Refusal::Store(StoreError::Database { .. }))));
        assert_eq!(stored(&store).await, ["taken"]);
    }

    async fn a_read_cannot_write(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let error = store.read(|tx| add(tx, "a")).await.unwrap_err();
        assert!(matches!(error, StoreError::Database { .. }), "{error:?}");
        assert!(stored(&store).await.is_empty());
    }

    async fn a_read_sees_one_moment(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let (writer, runtime) = (store.clone(), tokio::runtime::Handle::current());
        let seen = store.read(move |tx| {
            let before = names(tx)?;
            let writer = writer.clone();
            runtime.block_on(async move { write_name(&writer, "late").await })?;
            Ok::<_, StoreError>((before, names(tx)?))
        });
        assert_eq!(seen.await.unwrap(), (vec![], vec![]));
        assert_eq!(stored(&store).await, ["late"]);
    }

    async fn parallel_counting_loses_nothing(place: Place) {
        let store = place.open_with(ENTRIES).await;
        write_name(&store, "counter").await.unwrap();
        let counting: Vec<_> = (0..100)
            .map(|_| {
                let store = store.clone();
                tokio::spawn(async move {
                    let count = store.write(Priority::Normal, |tx| {
                        tx.execute("UPDATE entry SET amount = amount + 1 WHERE name = $1", params!["counter"])
                    });
                    count.await
                })
            })
            .collect();
        for count in counting {
            assert_eq!(count.await.unwrap().unwrap(), 1);
        }
        let amount = store.read(|tx| tx.query_one("SELECT amount FROM entry", params![], |row| row.get::<i64>(0)));
        assert_eq!(amount.await.unwrap(), 100);
    }

    async fn a_closure_without_end_is_interrupted(place: Place) {
        let mut place = place;
        place.config.limits.write_for = Duration::from_millis(100);
        place.config.limits.read_for = Duration::from_millis(100);
        place.config.limits.statement_for = Duration::from_millis(100);
        let store = place.open_with(ENTRIES).await;
        let error = store.write(Priority::Normal, spin).await.unwrap_err();
        assert!(matches!(error, StoreError::Interrupted), "{error:?}");
        let error = store.read(spin).await.unwrap_err();
        assert!(matches!(error, StoreError::Interrupted), "{error:?}");
        write_name(&store, "a").await.unwrap();
    }

    async fn closing_finishes_what_was_accepted_and_refuses_the_rest(place: Place) {
        let store = place.open_with(ENTRIES).await;
        let (started, accepted) = std::sync::mpsc::channel();
        let writer = store.clone();
        let last = tokio::spawn(async move {
            let write = writer.write(Priority::Normal, move |tx| {
                started.send(()).unwrap();
                std::thread::sleep(Duration::from_millis(50));
                add(tx, "last")
            });
            write.await
        });
        tokio::task::spawn_blocking(move || accepted.recv().unwrap()).await.unwrap();
        store.close().await;
        last.await.unwrap().unwrap();
        assert!(matches!(write_name(&store, "late").await, Err(StoreError::Busy)));
        assert!(matches!(store.check().await, Err(StoreError::Busy)));
        assert_eq!(stored(&place.open_with(ENTRIES).await).await, ["last"]);
    }
}
