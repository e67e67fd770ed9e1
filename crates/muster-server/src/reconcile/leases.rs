//! Leases: a job nobody heard of for as long as its lease lasts is lost.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_store::rows::LapsedJobRow;
use muster_store::{Priority, Tx};
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::failure::Failure;
use crate::jobs;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(30);
const BATCH: i64 = 100;

/// Looks every 30 seconds until `shutdown`.
pub async fn leases(app: App, shutdown: CancellationToken) {
    let step =
        async |app: App| Ok(if lapse(&app).await? >= BATCH as usize { Step::More } else { Step::Done });
    run(&app, Reconciler::Leases, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Loses one batch of jobs. Agents get the time to come back after a start of the server, or a break of it or its
/// database, before their jobs count as lost: nobody could renew meanwhile.
pub async fn lapse(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let before = now.minus(jobs::LEASE);
    let look = move |tx: &mut Tx<'_>| Ok((tx.jobs_renewed_after(now)?, tx.jobs_unrenewed(before, BATCH)?));
    let (is_future, silent) = app.look(look).await?;
    if is_future {
        clamp(app, now).await?;
    }
    if !app.all_are_back() {
        return Ok(0);
    }
    let lapse = |job: LapsedJobRow| app.change(Priority::Normal, now, move |unit| jobs::lapse(unit, &job));
    each(silent, |job| job.id.to_string(), lapse).await
}

/// Ends what is left of leases that were given by a clock that was set back since: they begin now.
async fn clamp(app: &App, now: Timestamp) -> Result<(), Failure> {
    loop {
        let clamp = move |tx: &mut Tx<'_>| Ok::<_, Failure>(tx.jobs_clamp(now, BATCH)?);
        if app.store.write(Priority::Normal, clamp).await? < BATCH.unsigned_abs() {
            return Ok(());
        }
    }
}
