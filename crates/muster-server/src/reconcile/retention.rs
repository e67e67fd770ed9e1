//! Retention: what is over, old, and waited for by nobody is dropped in batches (`muster_domain::retention`).

use std::time::Duration;

use muster_ids::Timestamp;
use muster_store::{StoreError, Tx};
use muster_wire::settings::SettingName;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, drop_rows, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::settings::days_before;

const EVERY: Duration = Duration::from_secs(600);
/// Rows of one transaction.
const BATCH: i64 = 500;

/// Drops at most so many rows of before a moment, and returns how many.
type Drop = fn(&mut Tx<'_>, Timestamp, i64) -> Result<u64, StoreError>;

/// What goes, by which setting. The log of a job goes before its job, and claims before the tickets they came with.
const DROPS: [(SettingName, Drop); 13] = [
    (SettingName::EventsKeepDays, |tx, before, limit| tx.events_drop(before, limit)),
    (SettingName::DeliveriesKeepDays, |tx, before, limit| tx.deliveries_drop(before, limit)),
    (SettingName::JobLogsKeepDays, |tx, before, limit| tx.job_logs_drop(before, limit)),
    (SettingName::JobsKeepDays, |tx, before, limit| tx.job_logs_drop(before, limit)),
    (SettingName::JobsKeepDays, |tx, before, limit| tx.jobs_drop(before, limit)),
    (SettingName::ClaimsKeepDays, |tx, before, limit| tx.claims_drop(before, limit)),
    (SettingName::TicketsKeepDays, |tx, before, limit| tx.unused_tickets_drop(before, limit)),
    (SettingName::RefusalsKeepDays, |tx, before, limit| tx.refusals_drop(before, limit)),
    (SettingName::RevocationsKeepDays, |tx, before, limit| tx.revocations_drop(before, limit)),
    (SettingName::HistoryKeepDays, |tx, before, limit| tx.fleet_samples_drop(before, limit)),
    (SettingName::HistoryKeepDays, |tx, before, limit| tx.presence_changes_drop(before, limit)),
    (SettingName::HistoryKeepDays, |tx, before, limit| tx.vitals_drop(before, limit)),
    (SettingName::FactsKeepDays, |tx, before, limit| tx.fact_changes_drop(before, limit)),
];

/// Looks every ten minutes until `shutdown`.
pub async fn retention(app: App, shutdown: CancellationToken) {
    let step = async |app: App| Ok(if drop_old(&app).await? { Step::More } else { Step::Done });
    run(&app, Reconciler::Retention, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Drops one batch of each; one that cannot be dropped keeps no other. `true`: there may be more.
pub async fn drop_old(app: &App) -> Result<bool, Failure> {
    let now = app.clock.now();
    let mut dropped = vec![drop_rows(app, |tx| tx.removed_endpoints_drop(BATCH)).await];
    for (setting, drop) in DROPS {
        let step = drop_rows(app, move |tx| {
            let before = days_before(tx, setting, now)?;
            drop(tx, before, BATCH)
        });
        dropped.push(step.await);
    }
    let mut is_more = false;
    for dropped in dropped {
        is_more |= dropped? > 0;
    }
    Ok(is_more)
}
