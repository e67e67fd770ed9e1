//! The one loop of all reconcilers, and how they treat many items of which one is bad.

use std::time::Duration;

use muster_store::{Priority, StoreError, Tx};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;

/// Whether a step left something to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing is left: the next one comes when it is due.
    Done,
    /// There may be more: the next one comes at once.
    More,
}

/// When the steps of a reconciler come.
pub(super) struct Pace<'a> {
    /// Time between two steps.
    pub(super) every: Duration,
    /// What brings the next one at once.
    pub(super) nudge: Option<&'a Notify>,
}

/// Takes steps until `shutdown`. A step that fails is tried again when the next one is due.
pub(super) async fn run<F, S>(
    app: &App,
    name: Reconciler,
    pace: Pace<'_>,
    shutdown: &CancellationToken,
    step: F,
) where
    F: Fn(App) -> S,
    S: Future<Output = Result<Step, Failure>>,
{
    while !shutdown.is_cancelled() {
        match step(app.clone()).await {
            Ok(done) => {
                app.metrics.reconciled(name, app.clock.now());
                if done == Step::More {
                    continue;
                }
            }
            Err(error) => tracing::warn!(reconciler = ?name, %error, "a reconciler failed, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = nudged(pace.nudge) => {}
            () = tokio::time::sleep(pace.every) => {}
        }
    }
}

/// Takes steps like [`run`], and `last` after them: what waits in memory is written down before the server is gone.
pub(super) async fn run_to_the_end<F, S>(
    app: &App,
    name: Reconciler,
    every: Duration,
    shutdown: &CancellationToken,
    step: F,
    last: impl Future<Output = Result<(), Failure>>,
) where
    F: Fn(App) -> S,
    S: Future<Output = Result<(), Failure>>,
{
    let step = async |app: App| step(app).await.map(|()| Step::Done);
    run(app, name, Pace { every, nudge: None }, shutdown, step).await;
    if let Err(error) = last.await {
        tracing::warn!(reconciler = ?name, %error, "what was gathered last was not written down");
    }
}

/// Drops rows that nobody needs any more; nothing happened that the trail must tell of. Returns how many.
pub(super) async fn drop_rows(
    app: &App,
    drop: impl Fn(&mut Tx<'_>) -> Result<u64, StoreError> + Send + Sync + 'static,
) -> Result<usize, Failure> {
    let dropped = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| Ok::<_, Failure>(drop(tx)?));
    Ok(usize::try_from(dropped.await?).unwrap_or(usize::MAX))
}

async fn nudged(nudge: Option<&Notify>) {
    match nudge {
        Some(nudge) => nudge.notified().await,
        None => std::future::pending().await,
    }
}

/// Takes items one by one. One that fails is told of and left for the next time, the others go on; a database that is
/// not there ends the round. Returns how many went well, or the last failure.
pub(super) async fn each<T, F, S>(items: Vec<T>, name: fn(&T) -> String, take: F) -> Result<usize, Failure>
where
    F: Fn(T) -> S,
    S: Future<Output = Result<(), Failure>>,
{
    let (mut taken, mut failed) = (0, None);
    for item in items {
        let name = name(&item);
        match take(item).await {
            Ok(()) => taken += 1,
            Err(failure) if is_outage(&failure) => return Err(failure),
            Err(failure) => {
                tracing::error!(item = name, %failure, "background work failed for one item, going on");
                failed = Some(failure);
            }
        }
    }
    failed.map_or(Ok(taken), Err)
}

fn is_outage(failure: &Failure) -> bool {
    match failure {
        // These two may be an item's own.
        Failure::Store(StoreError::Conflict | StoreError::Interrupted) => false,
        Failure::Store(error) => error.is_unavailable(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    async fn taken(fails: fn(u32) -> Option<Failure>) -> (Vec<u32>, Result<usize, String>) {
        let seen = RefCell::new(Vec::new());
        let take = |item: u32| {
            seen.borrow_mut().push(item);
            std::future::ready(fails(item).map_or(Ok(()), Err))
        };
        let result = each(vec![1, 2, 3], u32::to_string, take).await;
        (seen.take(), result.map_err(|failure| failure.to_string()))
    }

    #[tokio::test]
    async fn one_bad_item_stops_no_other_and_is_not_forgotten() {
        assert_eq!(taken(|_| None).await, (vec![1, 2, 3], Ok(3)));
        let bad = taken(|item| (item == 1).then_some(StoreError::Conflict.into())).await;
        assert_eq!(bad, (vec![1, 2, 3], Err(StoreError::Conflict.to_string())));
    }

    #[tokio::test]
    async fn a_database_that_is_not_there_ends_the_round() {
        let (seen, result) = taken(|_| Some(StoreError::Busy.into())).await;
        assert_eq!((seen, result.is_err()), (vec![1], true));
    }
}
