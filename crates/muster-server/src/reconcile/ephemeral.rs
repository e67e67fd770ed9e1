//! Ephemeral hosts: retired once nobody heard of them for as long as their ticket said.

use std::time::Duration;

use muster_domain::ephemeral::{Ephemeral, is_over};
use muster_ids::Timestamp;
use muster_store::Priority;
use muster_store::rows::EphemeralRow;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::enrol::retire::{self, Why};
use crate::failure::Failure;
use crate::host_view::signs_of_life;
use crate::metrics::Reconciler;
use crate::unit::Author;

const EVERY: Duration = Duration::from_secs(60);
const PAGE: i64 = 500;

/// Looks every minute until `shutdown`.
pub async fn ephemeral(app: App, shutdown: CancellationToken) {
    let step = async |app: App| retire_away(&app).await.map(|_| Step::Done);
    run(&app, Reconciler::Ephemeral, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Retires every ephemeral host that was away for long enough, one transaction each. Returns how many.
pub async fn retire_away(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let mut over = Vec::new();
    let mut after = None;
    loop {
        let rows = app.look(move |tx| tx.hosts_ephemeral(after, PAGE)).await?;
        let Some(last) = rows.last() else { break };
        after = Some(last.id);
        over.extend(rows.into_iter().filter(|row| is_over(&facts(app, row), now)));
    }
    // A round that cannot read is none: whoever could not be heard meanwhile gets their time to come back.
    if !app.all_are_back() {
        return Ok(0);
    }
    each(over, |row| row.id.to_string(), |row| retire_one(app, row)).await
}

fn facts(app: &App, row: &EphemeralRow) -> Ephemeral {
    Ephemeral {
        hours: row.hours,
        admitted_at: row.admitted_at,
        resumed_at: row.resumed_at,
        signs: signs_of_life(app, row.id, Some(row.sign)),
    }
}

/// Judges the host once more with its lock held: it may have come back, or changed, meanwhile.
async fn retire_one(app: &App, seen: EphemeralRow) -> Result<(), Failure> {
    let now: Timestamp = app.clock.now();
    let inner = app.clone();
    app.change(Priority::Normal, now, move |unit| {
        let host = retire::locked(unit, seen.team_id, seen.id)?;
        match unit.tx.host_ephemeral(seen.id)? {
            Some(row) if is_over(&facts(&inner, &row), unit.now) => {
                retire::retire_locked(unit, &[&host], &Author::system(), Why::Ephemeral)
            }
            _ => Ok(()),
        }
    })
    .await
}
