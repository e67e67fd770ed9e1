//! The sealer: gives committed audit and outbox rows their dense position and chains the audit trail.

use std::time::Duration;

use muster_edge::Seed;
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::rows::{ChainHead, UnsealedAuditRow};
use muster_store::{Lock, Priority, StoreError, Tx};
use muster_wire::happening::Happening;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::trail::{self, Kept};
use crate::unit::{Author, Fact, Unit};

const EVERY: Duration = Duration::from_millis(100);
const BATCH: i64 = 200;
pub(super) const SEALER: Lock = trail::sealer_lock();

/// What one batch came to.
struct Batch {
    sealed: u64,
    /// The last position that an event has.
    head: i64,
    /// Where the trail ends now.
    trail: ChainHead,
    broken: Option<Broken>,
}

/// What somebody else than the server did to the trail.
#[derive(Debug, Clone, Copy)]
struct Broken {
    /// Where the sealer left the end, and where it is.
    left: ChainHead,
    found: ChainHead,
    /// Rows that wait for their place and were not written by the server.
    inserted: usize,
}

/// Where the sealer left the trail, as far as that is known.
#[derive(Debug, Clone, Copy)]
struct Left {
    link: ChainHead,
    /// Whether what is kept is what was kept last.
    is_kept: bool,
}

impl Left {
    /// Judges what is kept by what this process remembers: a head that was kept earlier is as good as none.
    fn of(kept: Kept, remembered: Option<ChainHead>, found: ChainHead) -> Self {
        match (kept, remembered) {
            (Kept::Link(kept), Some(remembered))
                if kept.position <= remembered.position && kept != remembered =>
            {
                Self { link: remembered, is_kept: false }
            }
            (Kept::Link(kept), _) => Self { link: kept, is_kept: true },
            (Kept::Nothing | Kept::Forged, Some(remembered)) => Self { link: remembered, is_kept: false },
            // The beginning is kept, too: where nothing is, it was taken away.
            (Kept::Nothing | Kept::Forged, None) => Self { link: found, is_kept: false },
        }
    }

    fn holds(self, found: ChainHead) -> bool {
        self.is_kept && self.link == found
    }
}

/// Seals until `shutdown`: at every nudge, and every 100 ms for rows whose nudge was lost.
pub async fn sealer(app: App, shutdown: CancellationToken) {
    let pace = Pace { every: EVERY, nudge: Some(&app.sealer) };
    let step = async |app: App| Ok(if seal(&app).await? >= BATCH as u64 { Step::More } else { Step::Done });
    run(&app, Reconciler::Sealer, pace, &shutdown, step).await;
}

/// Seals one batch and returns how many audit rows got their place. Reads first: an idle server writes nothing.
pub async fn seal(app: &App) -> Result<u64, Failure> {
    let remembered = app.trail.head();
    let look = app.trail.look_is_due(app.clock.monotonic());
    let keyring = app.keyring.clone();
    let waiting = app
        .look(move |tx| {
            let is_waiting = !tx.audit_unsealed(1)?.is_empty() || tx.outbox_has_unsealed()?;
            Ok(is_waiting || (look && !left(tx, &keyring, remembered)?.0.holds(tx.audit_last()?)))
        })
        .await?;
    if !waiting {
        return Ok(0);
    }
    let (now, seed, keyring) = (app.clock.now(), app.entropy.seed(), app.keyring.clone());
    let batch = app
        .store
        .write(Priority::Normal, move |tx: &mut Tx<'_>| seal_batch(tx, now, &seed, &keyring, remembered))
        .await?;
    app.trail.remember(batch.trail);
    if let Some(Broken { left, found, inserted }) = batch.broken {
        tracing::error!(
            audit.left_at = left.position,
            audit.found_at = found.position,
            audit.inserted = inserted,
            "the audit trail is not as the sealer left it: it was changed behind the server's back"
        );
    }
    if batch.head > 0 {
        app.news.sealed(batch.head);
    }
    app.metrics.sealed.inc_by(batch.sealed);
    Ok(batch.sealed)
}

fn left(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    remembered: Option<ChainHead>,
) -> Result<(Left, ChainHead), StoreError> {
    let found = tx.audit_last()?;
    Ok((Left::of(trail::head(tx, keyring)?, remembered, found), found))
}

fn seal_batch(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seed: &Seed,
    keyring: &Keyring,
    remembered: Option<ChainHead>,
) -> Result<Batch, Failure> {
    tx.lock(&[SEALER])?;
    let (left, found) = left(tx, keyring, remembered)?;
    let inserted = tx.audit_unsealed(BATCH)?.iter().filter(|row| !is_written(keyring, row)).count();
    let broken = (!left.holds(found) || inserted > 0).then_some(Broken { left: left.link, found, inserted });
    if let Some(broken) = broken {
        record(tx, now, seed, keyring, broken)?;
    }
    // Never below a position that was given, so that what is missing stays missing; always from the link that was kept.
    let mut head = ChainHead { position: left.link.position.max(found.position), mac: left.link.mac };
    let rows = tx.audit_unsealed(BATCH)?;
    let mut links = Vec::with_capacity(rows.len());
    for row in &rows {
        let (position, text) = (head.next_position()?, row.row.chained_text());
        let mac = if is_written(keyring, row) {
            keyring.audit_mac(&head.mac, position, &text)
        } else {
            keyring.audit_mac_of_stranger(&head.mac, position, &text)
        };
        head = ChainHead { position, mac };
        links.push((row.row.id, head));
    }
    tx.audit_seal(&links)?;
    if !rows.is_empty() {
        trail::keep_head(tx, keyring, &head)?;
    }
    let told = tx.outbox_seal(BATCH)?;
    let last_told = if told > 0 { tx.outbox_last()? } else { 0 };
    Ok(Batch { sealed: rows.len() as u64, head: last_told, trail: head, broken })
}

fn is_written(keyring: &Keyring, row: &UnsealedAuditRow) -> bool {
    row.written.as_ref().is_some_and(|written| keyring.is_audit_written(&row.row.chained_text(), written))
}

/// Leaves word in the trail itself and in the outbox, once: what is sealed next ends where it should again.
fn record(
    tx: &mut Tx<'_>,
    now: Timestamp,
    seed: &Seed,
    keyring: &Keyring,
    broken: Broken,
) -> Result<(), Failure> {
    let Some(team_id) = tx.platform_team_id()? else { return Ok(()) };
    let details = json!({
        "left_at": broken.left.position, "found_at": broken.found.position, "inserted": broken.inserted
    });
    let mut unit = Unit::new(tx, now, seed);
    unit.happened(Fact::new(Happening::AuditBroken, team_id, &Author::system(), "audit").details(details));
    unit.finish(keyring)?;
    Ok(())
}
