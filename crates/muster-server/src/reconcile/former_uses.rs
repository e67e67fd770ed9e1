//! Uses of keys that ended: written down soon, never on the urgent lane.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::run_to_the_end;
use crate::app::App;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(2);

/// Writes every two seconds until `shutdown`, and then once more.
pub async fn former_uses(app: App, shutdown: CancellationToken) {
    let step = async |app: App| app.former_uses.write(&app).await.map(drop);
    let last = async { app.former_uses.write(&app).await.map(drop) };
    run_to_the_end(&app, Reconciler::FormerUses, EVERY, &shutdown, step, last).await;
}
