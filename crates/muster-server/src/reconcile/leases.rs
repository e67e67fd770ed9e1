//! Leases: a job nobody heard of for as long as its lease lasts is lost.

use std::time::Duration;

use muster_domain::presence::RECONNECT_WINDOW;
use muster_store::Priority;
use tokio_util::sync::CancellationToken;

use crate::app::App;
use crate::failure::Failure;
use crate::jobs;

const EVERY: Duration = Duration::from_secs(30);
const BATCH: i64 = 100;

/// Looks every 30 seconds until `shutdown`.
pub async fn leases(app: App, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match lapse(&app).await {
            Ok(lost) if lost >= BATCH as usize => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "looking for lost jobs failed, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Loses one batch of jobs. Agents get the time to come back after a start of the server before their jobs count as
/// lost: nobody could renew while it was down.
pub async fn lapse(app: &App) -> Result<usize, Failure> {
    if app.up_for() < RECONNECT_WINDOW {
        return Ok(0);
    }
    let now = app.clock.now();
    let before = now.minus(jobs::LEASE);
    if app.look(move |tx| tx.jobs_unrenewed(before, 1)).await?.is_empty() {
        return Ok(0);
    }
    app.change(Priority::Normal, now, |unit| jobs::lapse(unit, BATCH)).await
}
