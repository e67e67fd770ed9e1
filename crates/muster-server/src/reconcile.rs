//! Background work: reconcilers without input, on a timer plus a nudge, one file each.

mod sealer;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;

pub use sealer::sealer;

/// Starts every reconciler; each ends at `shutdown`.
pub fn spawn_all(app: &App, shutdown: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![tokio::spawn(sealer(app.clone(), shutdown.clone()))]
}
