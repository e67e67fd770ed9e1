//! Vitals: what hosts said about how they are, hour by hour, on its way from memory to a row a day.

use std::time::Duration;

use muster_store::{Priority, Tx};
use tokio_util::sync::CancellationToken;

use super::run::run_to_the_end;
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;

const WRITE_EVERY: Duration = Duration::from_secs(5);
const BATCH: usize = 250;

/// Writes every few seconds until `shutdown`, and once more then.
pub async fn vitals(app: App, shutdown: CancellationToken) {
    let step = async |app: App| write_vitals(&app).await;
    run_to_the_end(&app, Reconciler::Vitals, WRITE_EVERY, &shutdown, step, write_vitals(&app)).await;
}

/// Writes what waits; what cannot be written is kept for the next time.
pub async fn write_vitals(app: &App) -> Result<(), Failure> {
    loop {
        let rows = app.presences.take_samples(BATCH);
        if rows.is_empty() {
            return Ok(());
        }
        let batch = rows.clone();
        let written = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.vitals_add(&batch));
        if let Err(error) = written.await {
            app.presences.put_samples_back(rows);
            return Err(Failure::Store(error));
        }
    }
}
