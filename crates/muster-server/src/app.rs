//! What every handler holds: the store, the keys, the clock, and the channels of this node.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use muster_domain::presence::RECONNECT_WINDOW;
use muster_edge::{Clock, Entropy};
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_store::{Priority, Store, StoreError, Tx};
use muster_wire::happening::Happening;
use tokio::sync::Notify;

use crate::channel::Hub;
use crate::effects::Effects;
use crate::failure::Failure;
use crate::installation::Installation;
use crate::metrics::Metrics;
use crate::presence::Presences;
use crate::unit::{Author, Fact, Unit};

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
    /// The fleet as it was last counted.
    pub census: crate::census::Census,
    /// Uses of keys that ended, still to be told of.
    pub former_uses: crate::former_uses::FormerUses,
    /// What `/metrics` shows.
    pub metrics: Metrics,
    /// Proofs that were used already (RFC 9449, `jti`).
    pub used_proofs: crate::auth::UsedProofs,
    /// Failed attempts at every door.
    pub limits: crate::limits::FailureLimits,
    /// What may be done at once for whom nobody knows yet.
    pub budgets: crate::budgets::Budgets,
    /// Refusals of the door that are still to be written down.
    pub tally: crate::enrol::Tally,
    /// How many hosts came to each site lately.
    pub arrivals: crate::enrol::Arrivals,
    /// Machines at the door, many at a time.
    pub at_the_door: crate::enrol::AtTheDoor,
    /// Configurations on their way to their hosts.
    pub on_their_way: crate::host_config::OnTheirWay,
    /// Streams that people have open.
    pub streams: crate::streams::Streams,
    /// Credentials of agents that may act, as this node looked them up.
    pub credentials: crate::auth::Credentials,
    /// What this node knows of the log of revocations.
    pub revocations: crate::revocations::Revocations,
    /// When credentials were last used, flushed in batches.
    pub uses: crate::uses::Uses,
    /// Where the audit trail ended when this process last looked.
    pub trail: crate::trail::Trail,
    /// Failed attempts that are still to be written down.
    pub attempts: crate::failed_attempts::FailedAttempts,
    /// Wakes the sealer after a commit.
    pub sealer: Notify,
    /// The way out to addresses that somebody else chose.
    pub outbound: crate::outbound::Gate,
    /// What is known of the providers people sign in with.
    pub oidc: crate::oidc::Providers,
    /// Who waits for events and for deliveries.
    pub news: crate::news::News,
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("App")
    }
}

impl App {
    /// Puts an app together.
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// Runs a unit of work in one write transaction: audit and outbox last, effects once, after the commit.
    ///
    /// Runs to its end in a task of its own: a client that hangs up must not keep a revoked socket open.
    pub async fn change<T, F>(&self, priority: Priority, now: Timestamp, closure: F) -> Result<T, Failure>
    where
        F: Fn(&mut Unit<'_, '_>) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let app = self.clone();
        let change = async move { app.change_and_follow(priority, now, closure).await };
        tokio::spawn(change).await.map_err(Failure::internal)?
    }

    async fn change_and_follow<T, F>(
        &self,
        priority: Priority,
        now: Timestamp,
        closure: F,
    ) -> Result<T, Failure>
    where
        F: Fn(&mut Unit<'_, '_>) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        let (seed, keyring) = (self.entropy.seed(), Arc::clone(&self.keyring));
        // Of the last run, with the moment it was handed to its commit: one whose reply is lost has effects, too.
        let effects = Arc::new(Mutex::new((Effects::default(), Duration::ZERO)));
        let (of_last_run, clock) = (Arc::clone(&effects), self.clock.clone());
        let written = self
            .store
            .write(priority, move |tx: &mut Tx<'_>| {
                let mut unit = Unit::new(tx, now, &seed);
                let value = closure(&mut unit)?;
                let effects = unit.finish(&keyring)?;
                *of_last_run.lock().unwrap_or_else(PoisonError::into_inner) = (effects, clock.monotonic());
                Ok::<_, Failure>(value)
            })
            .await;
        let (effects, committing_at) =
            std::mem::take(&mut *effects.lock().unwrap_or_else(PoisonError::into_inner));
        let value = match written {
            Ok(written) => written,
            Err(failure) => {
                if matches!(failure, Failure::Store(StoreError::CommitUnknown)) {
                    self.follow(effects.if_unsure()).await;
                }
                self.alert(&failure).await;
                return Err(failure);
            }
        };
        self.sealer.notify_one();
        let takes_away = effects.take_away();
        self.follow(effects).await;
        if takes_away {
            let took = self.clock.monotonic().saturating_sub(committing_at);
            self.metrics.revoke_to_refused.observe(took.as_secs_f64());
        }
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

    /// Reads from one snapshot before what is not urgent: what tells that somebody is an operator.
    pub async fn look_first<T, F>(&self, closure: F) -> Result<T, Failure>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, StoreError> + Send + Sync + 'static,
        T: Send + 'static,
    {
        Ok(self.store.read_urgent(closure).await?)
    }

    /// Raises the event of a failure that somebody must look at; the transaction that failed could not.
    pub async fn alert(&self, failure: &Failure) {
        let Failure::SecretUnreadable { team_id, what } = failure else { return };
        tracing::error!(what, "a sealed record does not open at its place");
        let now = self.clock.now();
        let (seed, keyring) = (self.entropy.seed(), Arc::clone(&self.keyring));
        let fact =
            Fact::new(Happening::SecretUnreadable, *team_id, &Author::system(), what).outcome("unreadable");
        let told = self
            .store
            .write(Priority::Urgent, move |tx: &mut Tx<'_>| {
                let mut unit = Unit::new(tx, now, &seed);
                unit.happened(fact.clone());
                unit.finish(&keyring).map(drop)
            })
            .await;
        if let Err(error) = told {
            tracing::error!(%error, "telling of an unreadable record failed");
        }
    }

    /// How long this server runs.
    pub fn up_for(&self) -> Duration {
        self.clock.monotonic()
    }

    /// How long this server is there without a break: a pause of its machine or of its database counts like a start.
    pub fn there_for(&self) -> Duration {
        self.presences.there_for(&self.clock, self.up_for())
    }

    /// Takes a round of background work that could read into account. `false`: not all hosts had the time to come back
    /// since this server started, or was away.
    pub fn all_are_back(&self) -> bool {
        self.presences.round(&self.clock) && self.up_for() >= RECONNECT_WINDOW
    }

    async fn follow_server_keys(&self) {
        let now = self.clock.now();
        if let Err(error) = self.installation.read_keys_again(&self.store, &self.keyring, now).await {
            tracing::error!(%error, "the keys of the server changed and cannot be read again");
        }
        self.hub.pins_changed();
    }

    async fn follow(&self, effects: Effects) {
        self.revocations.follows(&effects.logged);
        // Before the first await: from here on nobody acts on what was cached.
        effects.cuts.iter().for_each(|cut| self.credentials.drop_key(&cut.key));
        self.credentials.drop_ended(&effects.ended);
        join_all(effects.cuts.into_iter().map(|cut| self.hub.cut(self, cut))).await;
        self.streams.end(&effects.ended).await;
        effects.retired.into_iter().for_each(|host_id| self.presences.forget(host_id));
        for host_id in effects.config_changed {
            self.hub.config_changed(host_id);
        }
        for host_id in effects.work_waiting {
            self.hub.work_waiting(host_id);
        }
        for host_id in effects.rotation_asked {
            self.hub.rotation_asked(host_id);
        }
        if effects.server_keys_changed {
            self.follow_server_keys().await;
        }
        if let Some(public_urls) = effects.set_up {
            self.installation.close_setup(public_urls);
        }
    }
}
