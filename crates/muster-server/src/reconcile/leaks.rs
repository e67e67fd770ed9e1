//! Leaks: hosts of leaked tickets that were too many for the transaction of the report, suspended in chunks.

use std::time::Duration;

use muster_ids::TicketId;
use muster_store::Priority;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::enrol::leak::go_on;
use crate::failure::Failure;
use crate::metrics::Reconciler;

const EVERY: Duration = Duration::from_secs(1);
/// Leaks that are looked at in one round, so that one that fails keeps no other back.
const AT_ONCE: i64 = 20;

/// Looks every second until `shutdown`.
pub async fn leaks(app: App, shutdown: CancellationToken) {
    let step = async |app: App| Ok(if suspend_leaked(&app).await? { Step::More } else { Step::Done });
    run(&app, Reconciler::Leaks, Pace { every: EVERY, nudge: None }, &shutdown, step).await;
}

/// Suspends one chunk of the hosts of every open leak. `true`: there may be more.
pub async fn suspend_leaked(app: &App) -> Result<bool, Failure> {
    let open = app.look(|tx| tx.leaks_open(AT_ONCE)).await?;
    let suspended =
        each(open, |leak| leak.ticket_id.to_string(), |leak| suspend_some(app, leak.ticket_id)).await?;
    Ok(suspended > 0)
}

async fn suspend_some(app: &App, ticket_id: TicketId) -> Result<(), Failure> {
    app.change(Priority::Urgent, app.clock.now(), move |unit| go_on(unit, &ticket_id).map(drop)).await
}
