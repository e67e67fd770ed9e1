//! Background work: reconcilers without input, on a timer plus a nudge, one file each.

mod attempts;
mod census;
mod deliver;
mod deliver_one;
mod ephemeral;
mod expiry;
mod fan_out;
mod former_uses;
mod key_ages;
mod leaks;
mod leases;
#[cfg(feature = "acme")]
mod orders;
mod presence;
mod pruning;
mod refusals;
mod retention;
mod revocations;
mod run;
mod sealer;
mod sign_outs;
mod tls;
mod uses;
mod vitals;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::app::App;

pub use attempts::attempts;
pub use census::{census, count, counted};
pub use deliver::{deliver, deliverer};
pub use ephemeral::{ephemeral, retire_away};
pub use expiry::{expire, expiry};
pub use fan_out::{fan_out, spread, spread_keeping};
pub use former_uses::former_uses;
pub use key_ages::{ask_some, key_ages};
pub use leaks::{leaks, suspend_leaked};
pub use leases::{lapse, leases};
#[cfg(feature = "acme")]
pub use orders::orders;
pub use presence::{flush, flusher, watch, watcher};
pub use pruning::{prune, pruning};
pub use refusals::refusals;
pub use retention::{drop_old, retention};
pub use revocations::{Follower, revocations};
pub use sealer::{seal, sealer};
pub use sign_outs::{sign_out_some, sign_outs};
pub use tls::{certificates, reload};
pub use uses::{uses, write_uses};
pub use vitals::{vitals, write_vitals};

/// Starts every reconciler; each ends at `shutdown`.
pub fn spawn_all(app: &App, shutdown: &CancellationToken) -> Vec<JoinHandle<()>> {
    vec![
        tokio::spawn(revocations(app.clone(), shutdown.clone())),
        tokio::spawn(sealer(app.clone(), shutdown.clone())),
        tokio::spawn(flusher(app.clone(), shutdown.clone())),
        tokio::spawn(watcher(app.clone(), shutdown.clone())),
        tokio::spawn(census(app.clone(), shutdown.clone())),
        tokio::spawn(vitals(app.clone(), shutdown.clone())),
        tokio::spawn(leases(app.clone(), shutdown.clone())),
        tokio::spawn(expiry(app.clone(), shutdown.clone())),
        tokio::spawn(refusals(app.clone(), shutdown.clone())),
        tokio::spawn(fan_out(app.clone(), shutdown.clone())),
        tokio::spawn(deliverer(app.clone(), shutdown.clone())),
        tokio::spawn(retention(app.clone(), shutdown.clone())),
        tokio::spawn(ephemeral(app.clone(), shutdown.clone())),
        tokio::spawn(leaks(app.clone(), shutdown.clone())),
        tokio::spawn(sign_outs(app.clone(), shutdown.clone())),
        tokio::spawn(attempts(app.clone(), shutdown.clone())),
        tokio::spawn(pruning(app.clone(), shutdown.clone())),
        tokio::spawn(uses(app.clone(), shutdown.clone())),
        tokio::spawn(key_ages(app.clone(), shutdown.clone())),
        tokio::spawn(former_uses(app.clone(), shutdown.clone())),
        tokio::spawn(certificates(app.clone(), shutdown.clone())),
        #[cfg(feature = "acme")]
        tokio::spawn(orders(app.clone(), shutdown.clone())),
    ]
}
