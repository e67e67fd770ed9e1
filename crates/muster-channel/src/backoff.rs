//! Reconnect with full jitter: a uniform draw from a growing window, never clamped at the cap.

use std::time::Duration;

/// First window.
pub const BASE: Duration = Duration::from_secs(1);
/// Largest window.
pub const CAP: Duration = Duration::from_secs(120);
/// A connection that held this long starts the growth anew.
pub const STABLE_AFTER: Duration = Duration::from_secs(60);

/// Counts failures in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Records that a connection ended after `held_for`.
    pub fn ended(&mut self, held_for: Duration) {
        if held_for >= STABLE_AFTER {
            self.failures = 0;
        } else {
            self.failures = self.failures.saturating_add(1);
        }
    }

    /// Returns how long to wait: `fraction` in `[0, 1)` of the window, after the server's hint if it gave one.
    pub fn delay(&self, fraction: f64, hint: Option<Duration>) -> Duration {
        let doubled = BASE.saturating_mul(1 << self.failures.min(16));
        let window = doubled.min(CAP);
        hint.unwrap_or_default().saturating_add(window.mul_f64(fraction.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_window_grows_and_stays_jittered_at_the_cap() {
        let mut backoff = Backoff::default();
        assert!(backoff.delay(0.999, None) < BASE);
        for _ in 0..40 {
            backoff.ended(Duration::from_secs(1));
        }
        assert!(backoff.delay(0.999, None) > CAP / 2);
        assert_eq!(backoff.delay(0.0, None), Duration::ZERO);
        assert_eq!(backoff.delay(0.5, None), CAP / 2);
        backoff.ended(STABLE_AFTER);
        assert!(backoff.delay(0.999, None) < BASE);
    }

    #[test]
    fn a_hint_is_waited_out_before_the_draw() {
        assert_eq!(Backoff::default().delay(0.0, Some(Duration::from_secs(7))), Duration::from_secs(7));
    }
}
