//! What `/metrics` shows, in the OpenMetrics text format. Labels are closed sets: never a host, a name or an address.

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
        Self { registry, enrolments, channels, heartbeats, violations, revoke_to_refused, sealed }
    }
}

impl Metrics {
    /// Returns all metrics as text.
    pub fn render(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry)?;
        Ok(text)
    }

    /// Counts an enrolment.
    pub fn count_enrolment(&self, answer: DoorAnswer) {
        self.enrolments.get_or_create(&DoorLabel { answer }).inc();
    }
}
