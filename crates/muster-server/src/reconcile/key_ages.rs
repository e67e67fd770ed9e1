//! Key pairs that are older than the installation wants: their hosts are asked for the next one, a few at a time.

use std::time::Duration;

use muster_domain::host_key_rotation::{MOST_AT_ONCE, too_old_before};
use muster_store::Priority;
use muster_store::rows::AgedKeyRow;
use muster_wire::settings::SettingName;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::enrol::next_key;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::settings::value;
use crate::unit::Author;

const EVERY: Duration = Duration::from_secs(60);

/// Looks every minute until `shutdown`.
pub async fn key_ages(app: App, shutdown: CancellationToken) {
    let step = async |app: App| ask_some(&app).await.map(|_| Step::Done);
    run(&app, Reconciler::KeyAges, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Asks the hosts of the oldest keys. Returns how many.
pub async fn ask_some(app: &App) -> Result<usize, Failure> {
    let now = app.clock.now();
    let aged = app.look(move |tx| {
        let days = value(tx, SettingName::HostKeyMaxAgeDays)?;
        too_old_before(days, now).map_or(Ok(Vec::new()), |before| tx.host_keys_aged(before, MOST_AT_ONCE))
    });
    each(aged.await?, |aged| aged.name.to_string(), |aged| ask(app, aged)).await
}

async fn ask(app: &App, aged: AgedKeyRow) -> Result<(), Failure> {
    let asked = app.change(Priority::Normal, app.clock.now(), move |unit| {
        next_key::ask(unit, (aged.team_id, aged.host_id), &Author::system(), "age").map(drop)
    });
    match asked.await {
        // It was suspended, retired or re-keyed meanwhile.
        Err(Failure::Conflict { .. } | Failure::NotFound) => Ok(()),
        asked => asked,
    }
}
