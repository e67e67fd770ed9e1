//! Reconnect with full jitter: a uniform draw from a growing window, never clamped at the cap.

use std::time::Duration;

/// First window.
pub const BASE: Duration = Duration::from_secs(1);
/// Largest window.
pub const CAP: Duration = Duration::from_secs(120);
/// Largest hint that is believed: no server strands its agents with one number.
pub const LONGEST_HINT: Duration = Duration::from_secs(600);
/// Largest window of a fleet that is believed.
pub const LONGEST_WINDOW: Duration = Duration::from_secs(600);
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

    /// Returns how long to wait: a draw of `fraction` in `[0, 1)` from the window.
    ///
    /// A server that gives a hint sets the pace: the hint is waited out, then drawn from a window as long as
    /// the hint itself, so that a fleet told the same second does not come back in the same second.
    pub fn delay(&self, fraction: f64, hint: Option<Duration>) -> Duration {
        let hint = hint.unwrap_or_default().min(LONGEST_HINT);
        let window = if hint.is_zero() { self.grown() } else { hint.max(BASE) };
        hint + window.mul_f64(fraction.clamp(0.0, 1.0))
    }

    /// Returns how long to wait after a proved channel was lost without a word: a draw from the window in which the
    /// server wants its whole fleet back, as it said in the welcome; never from a smaller one than had grown.
    ///
    /// Only the first try after the loss is drawn so: who knocks in vain goes on with [`Backoff::delay`].
    pub fn delay_after_loss(&self, fraction: f64, window: Option<Duration>) -> Duration {
        let window = window.unwrap_or_default().min(LONGEST_WINDOW).max(self.grown());
        window.mul_f64(fraction.clamp(0.0, 1.0))
    }

    fn grown(&self) -> Duration {
        BASE.saturating_mul(1 << self.failures.min(16)).min(CAP)
    }
}
