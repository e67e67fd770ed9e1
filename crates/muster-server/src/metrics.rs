//! What `/metrics` shows, in the OpenMetrics text format. Labels are closed sets: never a host, a name or an address.

use std::sync::atomic::Ordering;

use muster_ids::Timestamp;
use muster_store::Committed;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::tls::Tls;

/// Around what is promised: 20 ms and 100 ms on one node, 1 s across nodes, 2 s at the latest.
const REVOKE_BUCKETS: [f64; 14] =
    [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0];

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
    /// Follows the log of revocations.
    Revocations,
    /// Gives audit and outbox rows their positions.
    Sealer,
    /// Writes signs of life down.
    Flusher,
    /// Tells who cannot be reached.
    Watcher,
    /// Counts the fleet, and notes who can be reached.
    Census,
    /// Writes down what hosts say about how they are.
    Vitals,
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
    /// Asks for the keys that follow old ones.
    KeyAges,
    /// Tells of uses of keys that ended.
    FormerUses,
    /// Shows the certificates in the files.
    Certificates,
    /// Orders certificates.
    Orders,
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
    /// From the moment a revocation is handed to its commit until the last affected socket is closed and nothing of it is
    /// cached on this node, in seconds.
    pub revoke_to_refused: Histogram,
    /// Audit rows sealed.
    pub sealed: Counter,
    store_commits: Counter,
    store_transactions: Counter,
    certificate_expires_at: Gauge,
    certificate_not_shown: Gauge,
    certificate_order_failures: Gauge,
    reconciled_at: Family<ReconcilerLabel, Gauge>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("muster");
        let enrolments = Family::default();
        let channels = Gauge::default();
        let heartbeats = Counter::default();
        let violations = Counter::default();
        let revoke_to_refused = Histogram::new(REVOKE_BUCKETS);
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
            "Commit of a revocation to the last affected socket closed and cache entry dropped",
            revoke_to_refused.clone(),
        );
        registry.register("audit_sealed", "Audit rows sealed", sealed.clone());
        let (store_commits, store_transactions) = (Counter::default(), Counter::default());
        registry.register("store_commits", "Commits that are durable", store_commits.clone());
        registry.register(
            "store_transactions",
            "Write transactions whose commit is durable; a group shares one commit",
            store_transactions.clone(),
        );
        let (certificate_expires_at, certificate_not_shown) = (Gauge::default(), Gauge::default());
        registry.register(
            "certificate_expires_at_seconds",
            "When the certificate of the machines' listener is not valid any more, in seconds since the Unix epoch",
            certificate_expires_at.clone(),
        );
        registry.register(
            "certificate_not_shown",
            "Whether the files hold a certificate that cannot be shown: the one before it goes on",
            certificate_not_shown.clone(),
        );
        let certificate_order_failures = Gauge::default();
        registry.register(
            "certificate_order_failures",
            "Orders of a certificate that failed since one went well",
            certificate_order_failures.clone(),
        );
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
            store_commits,
            store_transactions,
            certificate_expires_at,
            certificate_not_shown,
            certificate_order_failures,
            reconciled_at,
        }
    }
}

impl Metrics {
    /// Returns all metrics as text; what the store counts itself is read now.
    pub fn render(&self, committed: Committed) -> Result<String, std::fmt::Error> {
        self.store_commits.inner().store(committed.commits, Ordering::Relaxed);
        self.store_transactions.inner().store(committed.transactions, Ordering::Relaxed);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Says what the machines' listener shows.
    pub fn certificate(&self, tls: &Tls) {
        self.certificate_expires_at.set(tls.expires_at().map_or(0, |at| at.as_millis() / 1000));
        self.certificate_not_shown.set(i64::from(tls.problem().is_some()));
        self.certificate_order_failures.set(tls.acme().map_or(0, |acme| i64::from(acme.failures())));
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
