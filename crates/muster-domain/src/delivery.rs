//! When a delivery is tried again, and when it is given up.

use std::time::Duration;

use muster_ids::Timestamp;

/// How long a delivery is tried before it is given up.
pub const TRIED_FOR: Duration = Duration::from_secs(3 * 24 * 3600);
/// The longest time between two tries, before jitter; also the longest a receiver may ask for.
pub const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Most deliveries that wait for one endpoint; beyond it the oldest are given up.
pub const MOST_WAITING: u64 = 100_000;
/// How long a try is given before another one may follow of which nobody knows how it ended.
const CLAIMED_FOR: Duration = Duration::from_secs(60);

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
    AfterFailure::TryAt(next_probe(attempts, now, asked_for, jitter))
}

/// Returns when a try that begins now is made again if nobody writes down how it ended; `attempts` counts it.
///
/// Later than it can last, and ever later: where nothing can be written down, a receiver is not flooded.
pub fn claimed_until(attempts: u64, now: Timestamp) -> Timestamp {
    now.plus(wait(attempts).max(CLAIMED_FOR))
}

/// Returns when an endpoint is tried again that took nothing so many times in a row, the last time now.
pub fn next_probe(failures: u64, now: Timestamp, asked_for: Option<Duration>, jitter: f64) -> Timestamp {
    let at_least = asked_for.unwrap_or_default().min(LONGEST_WAIT);
    now.plus(wait(failures).max(at_least).mul_f64(1.0 + 0.2 * jitter.clamp(0.0, 1.0)))
}

/// Whether a webhook refused one message, rather than being in no state to take any: by its status, if it gave one.
pub fn is_about_the_message(status: Option<u16>) -> bool {
    status.is_some_and(|status| matches!(status, 400..=499) && !matches!(status, 408 | 425 | 429))
}

/// Returns how long to wait after so many tries, before jitter.
fn wait(attempts: u64) -> Duration {
    let place = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS.get(place).map_or(LONGEST_WAIT, |secs| Duration::from_secs(*secs))
}

#[cfg(test)]
mod tests;
