//! The time a transaction may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use muster_edge::Clock;

const NEVER: u64 = u64::MAX;

/// A deadline that the driver's progress callback looks at. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    clock: Clock,
    deadline_ns: Arc<AtomicU64>,
}

impl Watch {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, deadline_ns: Arc::new(AtomicU64::new(NEVER)) }
    }

    /// Returns the moment to give to [`Watch::since`].
    pub(super) fn now(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Sets the deadline and returns the moment it counts from.
    pub(super) fn start(&self, limit: Duration) -> Duration {
        let started = self.now();
        self.deadline_ns.store(nanos(started.saturating_add(limit)), Ordering::Relaxed);
        started
    }

    /// Lifts the deadline and returns the time since `started`.
    pub(super) fn stop(&self, started: Duration) -> Duration {
        self.deadline_ns.store(NEVER, Ordering::Relaxed);
        self.since(started)
    }

    /// Returns the time since `started`.
    pub(super) fn since(&self, started: Duration) -> Duration {
        self.clock.monotonic().saturating_sub(started)
    }

    /// Whether the deadline has passed.
    pub(super) fn passed(&self) -> bool {
        let deadline = self.deadline_ns.load(Ordering::Relaxed);
        deadline != NEVER && nanos(self.clock.monotonic()) > deadline
    }
}

fn nanos(moment: Duration) -> u64 {
    u64::try_from(moment.as_nanos()).unwrap_or(NEVER - 1)
}

/// Says that a transaction was slow; `name` is the path of its closure.
pub(super) fn warn_if_slow(name: &'static str, took: Duration, slow_after: Duration) {
    if took > slow_after {
        let duration_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        tracing::warn!(transaction = name, duration_ms, "a transaction was slow");
    }
}
