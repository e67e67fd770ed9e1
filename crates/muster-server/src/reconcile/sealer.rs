//! The sealer: gives committed audit and outbox rows their dense position and chains the audit trail.

use std::time::Duration;

use muster_store::rows::ChainHead;
use muster_store::{Priority, Tx};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::app::App;
use crate::failure::Failure;

const EVERY: Duration = Duration::from_millis(100);
const LEASE: Duration = Duration::from_secs(10);
const BATCH: i64 = 200;

/// Seals until `shutdown`: at every nudge, and every 100 ms for rows of other nodes.
pub async fn sealer(app: App, shutdown: CancellationToken) {
    let holder = app.entropy.uuid(app.clock.now());
    while !shutdown.is_cancelled() {
        match seal(&app, holder).await {
            Ok(sealed) if sealed >= BATCH as u64 => continue,
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "sealing the audit trail failed, trying again"),
        }
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = app.sealer.notified() => {}
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Seals one batch and returns how many audit rows got their place. Reads first: an idle server writes nothing.
pub async fn seal(app: &App, holder: Uuid) -> Result<u64, Failure> {
    let waiting = app.look(|tx| Ok(!tx.audit_unsealed(1)?.is_empty() || tx.outbox_has_unsealed()?)).await?;
    if !waiting {
        return Ok(0);
    }
    let now = app.clock.now();
    let keyring = app.keyring.clone();
    let sealed = app
        .store
        .write(Priority::Normal, move |tx: &mut Tx<'_>| {
            if !tx.lease_take("sealer", holder, now, now.plus(LEASE))? {
                return Ok::<_, Failure>(0);
            }
            let mut head = tx.audit_head()?;
            let rows = tx.audit_unsealed(BATCH)?;
            for row in &rows {
                let position = head.position + 1;
                let mac = keyring.audit_mac(&head.mac, position, &row.chained_text());
                head = ChainHead { position, mac };
                tx.audit_seal(row.id, &head)?;
            }
            tx.outbox_seal(BATCH)?;
            Ok(rows.len() as u64)
        })
        .await?;
    app.metrics.sealed.inc_by(sealed);
    Ok(sealed)
}
