//! Failed attempts: written down in a few rows each minute.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::run_to_the_end;
use crate::app::App;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(60);

/// Writes every minute until `shutdown`, and then once more.
pub async fn attempts(app: App, shutdown: CancellationToken) {
    let step = async |app: App| app.attempts.write_due(&app).await;
    run_to_the_end(&app, Reconciler::Attempts, EVERY, &shutdown, step, app.attempts.write_all(&app)).await;
}
