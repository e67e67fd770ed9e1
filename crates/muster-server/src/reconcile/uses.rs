//! When credentials were last used: written down in batches.

use std::time::Duration;

use muster_store::{Priority, StoreError, Tx};
use tokio_util::sync::CancellationToken;

use super::run::run_to_the_end;
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::uses::{LastUse, Used};

const EVERY: Duration = Duration::from_secs(10);
const BATCH: usize = 500;

/// Writes every ten seconds until `shutdown`, and then once more.
pub async fn uses(app: App, shutdown: CancellationToken) {
    let step = async |app: App| write_uses(&app).await;
    run_to_the_end(&app, Reconciler::Uses, EVERY, &shutdown, step, write_uses(&app)).await;
}

/// Writes what was used since the last time; what cannot be written is kept for the next.
pub async fn write_uses(app: &App) -> Result<(), Failure> {
    loop {
        let mut batch = app.uses.take(BATCH);
        if batch.is_empty() {
            return Ok(());
        }
        let is_last = batch.len() < BATCH;
        // Two nodes that write the same rows take them in the same order.
        batch.sort_by_key(|(used, _)| *used);
        let rows = batch.clone();
        let written = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| {
            rows.iter().try_for_each(|(used, last)| write(tx, *used, last)).map_err(Failure::from)
        });
        if let Err(failure) = written.await {
            batch.iter().for_each(|(used, last)| app.uses.note(*used, last.at, &last.source));
            return Err(failure);
        }
        if is_last {
            return Ok(());
        }
    }
}

fn write(tx: &mut Tx<'_>, used: Used, last: &LastUse) -> Result<(), StoreError> {
    match used {
        Used::Token(id) => tx.operator_token_used(&id, last.at, &last.source),
        Used::WebSession(id) => tx.web_session_used(&id, last.at),
        Used::AgentKey(id) => tx.agent_key_used(&id, last.at),
    }
}
