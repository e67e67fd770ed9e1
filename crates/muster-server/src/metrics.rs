//! What `/metrics` shows, in the OpenMetrics text format. Labels are closed sets: never a host, a name or an address.

use muster_ids::Timestamp;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

/// How an enrolment was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum DoorAnswer {
    /// A host came to be, or its key was replaced.
    Admitted,
    /// The same answer again, or the same host.
    Repeated,
    /// A person must decide.
    Waiting,
    /// Turned away.
    Refused,
}

/// The label of an enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DoorLabel {
    /// How it was answered.
    pub answer: DoorAnswer,
}

/// What works in the background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Reconciler {
    /// Gives audit and outbox rows their positions.
    Sealer,
    /// Writes signs of life down.
    Flusher,
    /// Tells who cannot be reached.
    Watcher,
    /// Loses jobs nobody heard of.
    Leases,
    /// Clears what expired.
    Expiry,
    /// Writes refusals of the door down.
    Refusals,
    /// Makes deliveries of events.
    FanOut,
    /// Makes deliveries arrive.
    Deliverer,
    /// Drops old events and deliveries.
    Retention,
    /// Retires ephemeral hosts that are away.
    Ephemeral,
    /// Suspends what leaked tickets admitted.
    Leaks,
    /// Signs out who came by providers that are gone.
    SignOuts,
    /// Writes failed attempts down.
    Attempts,
    /// Drops what is too old of the audit trail.
    Pruning,
    /// Writes down when credentials were last used.
    Uses,
}

/// The label of a reconciler.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ReconcilerLabel {
    /// Which one.
    pub reconciler: Reconciler,
}

/// The metrics of this node.
pub struct Metrics {
    registry: Registry,
    /// Enrolments by answer.
    pub enrolments: Family<DoorLabel, Counter>,
    /// Open channels.
    pub channels: Gauge,
    /// Heartbeats received.
    pub heartbeats: Counter,
    /// Channels closed because a peer left its role.
    pub violations: Counter,
    /// Commit of a revocation to the last affected socket closed, in seconds.
    pub revoke_to_refused: Histogram,
    /// Audit rows sealed.
    pub sealed: Counter,
    reconciled_at: Family<ReconcilerLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("muster");
        let enrolments = Family::default();
        let channels = Gauge::default();
        let heartbeats = Counter::default();
        let violations = Counter::default();
        let revoke_to_refused = Histogram::new(exponential_buckets(0.001, 2.0, 14));
        let sealed = Counter::default();
        registry.register("enrolments", "Enrolments by answer", enrolments.clone());
        registry.register("channels", "Open channels", channels.clone());
        registry.register("heartbeats", "Heartbeats received", heartbeats.clone());
        registry.register(
            "channel_violations",
            "Channels closed because a peer left its role",
            violations.clone(),
        );
        registry.register(
            "revoke_to_refused_seconds",
            "Commit of a revocation to the last affected socket closed",
            revoke_to_refused.clone(),
        );
        registry.register("audit_sealed", "Audit rows sealed", sealed.clone());
        let reconciled_at = Family::default();
        registry.register(
            "reconciled_at_seconds",
            "When background work last went well, in seconds since the Unix epoch",
            reconciled_at.clone(),
        );
        Self {
            registry,
            enrolments,
            channels,
            heartbeats,
            violations,
            revoke_to_refused,
            sealed,
            reconciled_at,
        }
    }
}

impl Metrics {
    /// Returns all metrics as text.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Says that background work went well at `now`.
    pub fn reconciled(&self, reconciler: Reconciler, now: Timestamp) {
        self.reconciled_at.get_or_create(&ReconcilerLabel { reconciler }).set(now.as_millis() / 1000);
    }

    /// Counts an enrolment.
    pub fn count_enrolment(&self, answer: DoorAnswer) {
        self.enrolments.get_or_create(&DoorLabel { answer }).inc();
    }
}
