//! Sign-outs: people of issuers no provider has any more, who were too many for the reply to the removal.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, each, run};
use crate::app::App;
use crate::failure::Failure;
use crate::metrics::Reconciler;
use crate::oidc::sign_out::step;

const EVERY: Duration = Duration::from_secs(1);
/// Issuers that are looked at in one round, so that one that fails keeps no other back.
const AT_ONCE: i64 = 20;

/// Looks every second until `shutdown`.
pub async fn sign_outs(app: App, shutdown: CancellationToken) {
    let next = async |app: App| Ok(if sign_out_some(&app).await? { Step::More } else { Step::Done });
    run(&app, Reconciler::SignOuts, Pace { every: EVERY, nudge: None }, &shutdown, next).await;
}

/// Signs out one chunk of the people of every such issuer. `true`: there may be more.
pub async fn sign_out_some(app: &App) -> Result<bool, Failure> {
    let open = app.look(|tx| tx.issuer_sign_outs(AT_ONCE)).await?;
    let taken = each(open, |row| row.issuer.clone(), |row| go_on(app, row.issuer)).await?;
    Ok(taken > 0)
}

async fn go_on(app: &App, issuer: String) -> Result<(), Failure> {
    step(app, &issuer).await.map(drop)
}
