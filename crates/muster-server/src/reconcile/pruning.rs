//! Retention of the audit trail: what is older than it is kept for is dropped from the beginning of the chain.
//!
//! The last link that was dropped is kept, so that the rest can be verified. What does not verify is not dropped: who
//! changes the time of a row must not make the server remove the traces.

use std::time::Duration;

use muster_edge::Seed;
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::rows::ChainHead;
use muster_store::{Priority, StoreError, Tx};
use muster_wire::audit::BreakKind;
use muster_wire::happening::Happening;
use muster_wire::settings::SettingName;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use super::sealer::SEALER;
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::settings;
use crate::trail::{self, Kept, verify};
use crate::unit::{Author, Fact, Unit};

const EVERY: Duration = Duration::from_secs(3600);
/// Rows of one transaction.
const BATCH: i64 = 500;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What is to be dropped.
#[derive(Debug, Clone, Copy)]
struct Plan {
    keep_days: u64,
    /// After this position.
    after: i64,
    /// Up to this one.
    through: i64,
}

/// What one transaction dropped.
enum Dropped {
    Through(ChainHead),
    /// It does not verify.
    Blocked(i64),
    /// Somebody else dropped it.
    Nothing,
}

/// Looks every hour until `shutdown`.
pub async fn pruning(app: App, shutdown: CancellationToken) {
    let step = async |app: App| prune(&app).await.map(|_| Step::Done);
    run(&app, Reconciler::Pruning, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Drops what is too old, a day's worth at least, and returns how many positions that were.
pub async fn prune(app: &App) -> Result<u64, Failure> {
    let (now, keyring) = (app.clock.now(), app.keyring.clone());
    let Some(plan) = app.look(move |tx| plan(tx, &keyring, now)).await? else { return Ok(0) };
    let (mut after, mut is_first) = (plan.after, true);
    while after < plan.through {
        let (now, seed, keyring) = (app.clock.now(), app.entropy.seed(), app.keyring.clone());
        let written = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| {
            drop_batch(tx, &keyring, now, &seed, plan, after, is_first)
        });
        match written.await? {
            Dropped::Through(link) => after = link.position,
            Dropped::Blocked(position) => {
                tracing::error!(
                    audit.position = position,
                    "the audit trail does not hold: nothing of it is dropped"
                );
                if app.trail.tells_that_it_is_blocked() {
                    tell(app, position).await?;
                }
                break;
            }
            Dropped::Nothing => break,
        }
        is_first = false;
        app.sealer.notify_one();
    }
    Ok(after.abs_diff(plan.after))
}

/// Decides what is to be dropped. `None`: nothing, or less than a day's worth.
fn plan(tx: &mut Tx<'_>, keyring: &Keyring, now: Timestamp) -> Result<Option<Plan>, StoreError> {
    let keep_days = settings::value(tx, SettingName::AuditKeepDays)?;
    let cutoff = now.minus(DAY.saturating_mul(u32::try_from(keep_days).unwrap_or(u32::MAX)));
    let after = match trail::tail(tx, keyring)? {
        Kept::Nothing => 0,
        Kept::Link(link) => link.position,
        Kept::Forged => return Ok(None),
    };
    let Kept::Link(head) = trail::head(tx, keyring)? else { return Ok(None) };
    let oldest = tx.audit_after(after, 1)?.pop().and_then(|row| row.row);
    if oldest.is_none_or(|row| row.at >= cutoff.minus(DAY)) {
        return Ok(None);
    }
    // The last row stays: the head is its link.
    let kept = tx.audit_first_since(after, cutoff)?.unwrap_or(head.position).min(head.position);
    Ok(Some(Plan { keep_days, after, through: kept - 1 }))
}

fn drop_batch(
    tx: &mut Tx<'_>,
    keyring: &Keyring,
    now: Timestamp,
    seed: &Seed,
    plan: Plan,
    after: i64,
    is_first: bool,
) -> Result<Dropped, Failure> {
    tx.lock(&[SEALER])?;
    let at = match trail::tail(tx, keyring)? {
        Kept::Nothing => 0,
        Kept::Link(link) => link.position,
        Kept::Forged => return Ok(Dropped::Blocked(0)),
    };
    if at != after {
        return Ok(Dropped::Nothing);
    }
    let limit = BATCH.min(plan.through - after);
    // One row more, which shows whether the last link that goes is the one the rest follows.
    let asked = verify::Asked { after, limit: limit + 1, anchor: None, remembered: None };
    let verified = verify::verify(tx, keyring, asked)?;
    let is_grave = |kind| !matches!(kind, BreakKind::Missing | BreakKind::Truncated);
    if let Some(found) = verified.breaks.iter().find(|found| is_grave(found.kind)) {
        return Ok(Dropped::Blocked(i64::try_from(found.position).unwrap_or(i64::MAX)));
    }
    let rows = tx.audit_after(after, limit)?;
    let last = rows.iter().rfind(|row| row.position <= plan.through);
    let Some((position, mac)) = last.and_then(|row| Some((row.position, row.mac?))) else {
        return Ok(Dropped::Nothing);
    };
    let link = ChainHead { position, mac };
    tx.audit_drop(after, position)?;
    trail::keep_tail(tx, keyring, &link)?;
    if is_first && let Some(team_id) = tx.platform_team_id()? {
        let mut unit = Unit::new(tx, now, seed);
        let fact = Fact::new(Happening::AuditPruned, team_id, &Author::system(), "audit");
        unit.happened(fact.details(json!({
            "after": plan.after, "through": plan.through, "keep_days": plan.keep_days
        })));
        unit.finish(keyring)?;
    }
    Ok(Dropped::Through(link))
}

async fn tell(app: &App, position: i64) -> Result<(), Failure> {
    app.change(Priority::Normal, app.clock.now(), move |unit| {
        let Some(team_id) = unit.tx.platform_team_id()? else { return Ok(()) };
        let fact = Fact::new(Happening::AuditBroken, team_id, &Author::system(), "audit");
        unit.happened(fact.details(json!({ "position": position, "found_by": "retention" })));
        Ok(())
    })
    .await
}
