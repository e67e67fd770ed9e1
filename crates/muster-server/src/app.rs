//! What every handler holds: the store, the keys, the clock, and the channels of this node.

use std::sync::Arc;
use std::time::Duration;

use muster_edge::{Clock, Entropy};
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::{Priority, Store, StoreError, Tx};
use tokio::sync::Notify;

use crate::channel::Hub;
use crate::effects::Effects;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::metrics::Metrics;
use crate::presence::Presences;
use crate::unit::Unit;

/// What every handler holds. Clones share it.
#[derive(Clone)]
pub struct App(Arc<Parts>);

/// The parts of an [`App`].
pub struct Parts {
    /// The database.
    pub store: Store,
    /// The server's keys.
    pub keyring: Arc<Keyring>,
    /// Wall clock and monotonic time.
    pub clock: Clock,
    /// Randomness.
    pub entropy: Entropy,
    /// Facts of the installation: public URLs, instruction key, epoch, setup code.
    pub installation: Installation,
    /// The open channels of this node.
    pub hub: Hub,
    /// Signs of life, flushed in batches.
    pub presences: Presences,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Proofs that were used already (RFC 9449, `jti`).
    pub used_proofs: crate::auth::UsedProofs,
    /// Wakes the sealer after a commit.
    pub sealer: Notify,
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl App {
    /// Puts an app together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Runs a unit of work in one write transaction: audit and outbox last, effects once, after the commit.
    pub async fn change<T, F>(&self, priority: Priority, now: Timestamp, closure: F) -> Result<T, Failure>
    where
        F: Fn(&mut Unit<'_, '_>) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let seed = self.entropy.seed();
        let (value, effects) = self
            .store
            .write(priority, move |tx: &mut Tx<'_>| {
                let mut unit = Unit::new(tx, now, &seed);
                let value = closure(&mut unit)?;
                Ok::<_, Failure>((value, unit.finish()?))
            })
            .await?;
        self.sealer.notify_one();
        self.follow(effects).await;
        Ok(value)
    }

    /// Reads from one snapshot.
    pub async fn look<T, F>(&self, closure: F) -> Result<T, Failure>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
        T: Send + 'static,
    {
        Ok(self.store.read(closure).await?)
    }

    /// How long this server runs.
    pub fn up_for(&self) -> Duration {
        self.clock.monotonic()
    }

    async fn follow(&self, effects: Effects) {
        for cut in effects.cuts {
            self.hub.cut(self, cut).await;
        }
        for host_id in effects.config_changed {
            self.hub.config_changed(host_id);
        }
        for host_id in effects.work_waiting {
            self.hub.work_waiting(host_id);
        }
    }
}
