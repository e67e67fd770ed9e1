//! Refusals of the door that no transaction recorded: written down in batches.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::run_to_the_end;
use crate::app::App;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(1);

/// Writes every second until `shutdown`, and then once more.
pub async fn refusals(app: App, shutdown: CancellationToken) {
    let step = async |app: App| app.tally.write(&app).await;
    run_to_the_end(&app, Reconciler::Refusals, EVERY, &shutdown, step, app.tally.write(&app)).await;
}
