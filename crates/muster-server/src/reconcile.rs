//! Background work: reconcilers without input, on a timer plus a nudge, one file each.

mod expiry;
mod leases;
mod presence;
mod refusals;
mod run;
mod sealer;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;

pub use expiry::{expire, expiry};
pub use leases::{lapse, leases};
pub use presence::{flush, flusher, watch, watcher};
pub use refusals::refusals;
pub use sealer::{seal, sealer};

/// Starts every reconciler; each ends at `shutdown`.
pub fn spawn_all(app: &App, shutdown: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(sealer(app.clone(), shutdown.clone())),
        tokio::spawn(flusher(app.clone(), shutdown.clone())),
        tokio::spawn(watcher(app.clone(), shutdown.clone())),
        tokio::spawn(leases(app.clone(), shutdown.clone())),
        tokio::spawn(expiry(app.clone(), shutdown.clone())),
        tokio::spawn(refusals(app.clone(), shutdown.clone())),
    ]
}
