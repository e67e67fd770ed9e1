//! The sealer: gives committed audit and outbox rows their dense position and chains the audit trail.

use std::time::Duration;

use muster_edge::Seed;
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::rows::ChainHead;
use muster_store::{Lock, LockKey, Priority, Tx};
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::unit::{Author, Entry, Event, Unit};

const EVERY: Duration = Duration::from_millis(100);
const BATCH: i64 = 200;
/// One sealer at a time, for as long as its transaction.
const SEALER: Lock = Lock::exclusive(LockKey::Named("sealer"));
/// The action and the event that say that rows are gone, or came, behind the server's back.
const BROKEN: &str = "audit.broken";

/// What one batch came to.
struct Batch {
    sealed: u64,
    broken: Option<Broken>,
}

/// Where the trail ends, and where the sealer left it.
#[derive(Debug, Clone, Copy)]
struct Broken {
    left: ChainHead,
    found: ChainHead,
}

/// Seals until `shutdown`: at every nudge, and every 100 ms for rows whose nudge was lost.
pub async fn sealer(app: App, shutdown: CancellationToken) {
    let pace = Pace { every: EVERY, nudge: Some(&app.sealer) };
    let step = async |app: App| Ok(if seal(&app).await? >= BATCH as u64 { Step::More } else { Step::Done });
    run(&app, Reconciler::Sealer, pace, &shutdown, step).await;
}

/// Seals one batch and returns how many audit rows got their place. Reads first: an idle server writes nothing.
pub async fn seal(app: &App) -> Result<u64, Failure> {
    let waiting = app.look(|tx| Ok(!tx.audit_unsealed(1)?.is_empty() || tx.outbox_has_unsealed()?)).await?;
    if !waiting {
        return Ok(0);
    }
    let (now, seed, keyring) = (app.clock.now(), app.entropy.seed(), app.keyring.clone());
    let batch = app
        .store
        .write(Priority::Normal, move |tx: &mut Tx<'_>| seal_batch(tx, now, &seed, &keyring))
        .await?;
    if let Some(Broken { left, found }) = batch.broken {
        tracing::error!(
            audit.left_at = left.position,
            audit.found_at = found.position,
            "the audit trail does not end where the sealer left it: it was changed behind the server's back"
        );
    }
    app.metrics.sealed.inc_by(batch.sealed);
    Ok(batch.sealed)
}

fn seal_batch(tx: &mut Tx<'_>, now: Timestamp, seed: &Seed, keyring: &Keyring) -> Result<Batch, Failure> {
    tx.lock(&[SEALER])?;
    let (left, found) = (tx.audit_head()?, tx.audit_last()?);
    let broken = (left != found).then_some(Broken { left, found });
    if let Some(broken) = broken {
        record(tx, now, seed, broken)?;
    }
    // Never below a position that was given, so that what is missing stays missing; always from the link that was kept.
    let mut head = ChainHead { position: left.position.max(found.position), mac: left.mac };
    let rows = tx.audit_unsealed(BATCH)?;
    for row in &rows {
        let position = head.next_position()?;
        let mac = keyring.audit_mac(&head.mac, position, &row.chained_text());
        head = ChainHead { position, mac };
        tx.audit_seal(row.id, &head)?;
    }
    if !rows.is_empty() {
        tx.audit_head_keep(&head)?;
    }
    tx.outbox_seal(BATCH)?;
    Ok(Batch { sealed: rows.len() as u64, broken })
}

/// Leaves word in the trail itself and in the outbox, once: what is sealed next ends where it should again.
fn record(tx: &mut Tx<'_>, now: Timestamp, seed: &Seed, broken: Broken) -> Result<(), Failure> {
    let Some(team_id) = tx.platform_team_id()? else { return Ok(()) };
    let details = json!({ "left_at": broken.left.position, "found_at": broken.found.position });
    let mut unit = Unit::new(tx, now, seed);
    unit.record(Entry {
        team_id,
        author: Author::system(),
        action: BROKEN,
        target: "audit".to_owned(),
        outcome: "ok",
        details: details.clone(),
    });
    unit.tell(Event { team_id, kind: BROKEN, subject: "audit".to_owned(), payload: details });
    unit.finish()?;
    Ok(())
}
