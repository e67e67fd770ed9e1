//! Retention: events and deliveries that are old and that nobody waits for are dropped.

use std::time::Duration;

use muster_domain::delivery::{DELIVERIES_KEPT_FOR, EVENTS_KEPT_FOR};
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, drop_rows, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(600);
const BATCH: i64 = 500;

/// Looks every ten minutes until `shutdown`.
pub async fn retention(app: App, shutdown: CancellationToken) {
    let step = async |app: App| Ok(if drop_old(&app).await? { Step::More } else { Step::Done });
    run(&app, Reconciler::Retention, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Drops one batch of each. `true`: there may be more.
pub async fn drop_old(app: &App) -> Result<bool, Failure> {
    let now = app.clock.now();
    let (events, deliveries) = (now.minus(EVENTS_KEPT_FOR), now.minus(DELIVERIES_KEPT_FOR));
    let dropped = [
        drop_rows(app, move |tx| tx.events_drop(events, BATCH)).await?,
        drop_rows(app, move |tx| tx.deliveries_drop(deliveries, BATCH)).await?,
        drop_rows(app, |tx| tx.removed_endpoints_drop(BATCH)).await?,
    ];
    Ok(dropped.into_iter().any(|count| count > 0))
}
