//! When a delivery is tried again, and when it is given up.

use std::time::Duration;

use muster_ids::Timestamp;

/// How long a delivery is tried before it is given up.
pub const TRIED_FOR: Duration = Duration::from_secs(3 * 24 * 3600);
/// The longest time between two tries, before jitter; also the longest a receiver may ask for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// How long events are kept, unless an endpoint still waits for them.
pub const EVENTS_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How long the log of deliveries that are over is kept.
pub const DELIVERIES_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 3600);

/// Waits after the first, the second, … try, in seconds; then hourly.
const WAITS: [u64; 5] = [5, 30, 120, 600, 1800];

/// What a try that failed leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AfterFailure {
    /// It is tried again then.
    TryAt(Timestamp),
    /// It is given up.
    GiveUp,
}

/// Decides what follows a failed try.
///
/// `attempts` counts the tries, this one among them; `tried_since` is when the delivery was made, or asked for again, or
/// its endpoint was resumed; `asked_for` is the receiver's `Retry-After`; `jitter` is from 0 to 1. What waited in line
/// behind others is older than the time it may take: it still gets its one try.
pub fn after_failure(
    attempts: u64,
    tried_since: Timestamp,
    now: Timestamp,
    asked_for: Option<Duration>,
    jitter: f64,
) -> AfterFailure {
    if now.since(tried_since) >= TRIED_FOR {
        return AfterFailure::GiveUp;
    }
    let at_least = asked_for.unwrap_or_default().min(LONGEST_WAIT);
    AfterFailure::TryAt(now.plus(wait(attempts).max(at_least).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0))))
}

/// Returns how long to wait after so many tries, before jitter.
fn wait(attempts: u64) -> Duration {
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS.get(place).map_or(LONGEST_WAIT, |secs| Duration::from_secs(*secs))
}

#[cfg(test)]
mod tests;
