//! Leases: a job nobody heard of for as long as its lease lasts is lost.

use std::time::Duration;

use muster_store::Priority;
use muster_store::rows::LapsedJobRow;
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
    let silent = app.look(move |tx| tx.jobs_unrenewed(before, BATCH)).await?;
    if !app.all_are_back(now) {
        return Ok(0);
    }
    let lapse = |job: LapsedJobRow| app.change(Priority::Normal, now, move |unit| jobs::lapse(unit, &job));
    each(silent, |job| job.id.to_string(), lapse).await
}
