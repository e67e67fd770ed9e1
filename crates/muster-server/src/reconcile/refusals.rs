//! Refusals of the door that no transaction recorded: written down in batches.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(1);

/// Writes every second until `shutdown`, and then once more.
pub async fn refusals(app: App, shutdown: CancellationToken) {
    let step = async |app: App| app.tally.write(&app).await.map(|()| Step::Done);
    run(&app, Reconciler::Refusals, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
    if let Err(error) = app.tally.write(&app).await {
        tracing::warn!(%error, "the last refusals were not written down");
    }
}
