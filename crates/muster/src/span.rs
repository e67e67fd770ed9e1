use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use muster_edge::Clock;
use muster_ids::Timestamp;
use muster_wire::when::{self, When};

/// A span of time as people write it: `90s`, `15m`, `1h30m`, `7d`, `2w`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span(u64);

impl Span {
    /// Makes a span of whole seconds.
    pub(crate) fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// Returns whole seconds.
    pub(crate) fn as_secs(self) -> u64 {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_secs(span.0)
    }
}

impl FromStr for Span {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let span = when::span(text.trim()).ok_or("expected a time like 90s, 15m, 1h30m, 7d or 2w")?;
        Ok(Self(span.as_secs()))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let mut is_empty = true;
        for (unit, name) in [(86_400, "d"), (3600, "h"), (60, "m"), (1, "s")] {
            if rest >= unit {
                write!(f, "{}{name}", rest / unit)?;
                rest %= unit;
                is_empty = false;
            }
        }
        if is_empty { f.write_str("0s") } else { Ok(()) }
    }
}

/// Reads a moment like `2026-01-31T12:00:00Z`, or how long ago it was, like `24h`.
pub(crate) fn moment_or_ago(text: &str) -> Result<Timestamp, &'static str> {
    let form = "expected a moment like 2026-01-31T12:00:00Z, or how long ago, like 24h";
    let when: When = text.trim().parse().map_err(|_| form)?;
    Ok(when.at(Clock::system().now()))
}

/// Says a duration in its largest unit, as in `12s`, `5m`, `3d`.
pub(crate) fn roughly(span: Duration) -> String {
    let (unit, name) = unit(span);
    format!("{}{name}", span.as_secs() / unit)
}

/// Says a duration to come, to the nearest of its largest unit: what was just made for 30 days ends in `30d`.
pub(crate) fn soon(span: Duration) -> String {
    let (unit, name) = unit(span);
    format!("{}{name}", (span + Duration::from_secs(unit) / 2).as_secs() / unit)
}

fn unit(span: Duration) -> (u64, &'static str) {
    match span.as_secs() {
        0..120 => (1, "s"),
        120..7200 => (60, "m"),
        7200..172_800 => (3600, "h"),
        _ => (86_400, "d"),
    }
}

#[cfg(test)]
mod tests;
