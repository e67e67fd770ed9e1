//! Failed attempts: written down in a few rows each minute.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(60);

/// Writes every minute until `shutdown`, and then once more.
pub async fn attempts(app: App, shutdown: CancellationToken) {
    let step = async |app: App| app.attempts.write_due(&app).await.map(|()| Step::Done);
    run(&app, Reconciler::Attempts, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
    if let Err(error) = app.attempts.write_all(&app).await {
        tracing::warn!(%error, "the last failed attempts were not written down");
    }
}
