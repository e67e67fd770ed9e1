use std::fmt;
use std::str::FromStr;
use std::time::Duration;

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
        const FORM: &str = "expected a time like 90s, 15m, 1h30m, 7d or 2w";
        let mut rest = text.trim();
        let mut seconds = 0_u64;
        if rest.is_empty() {
            return Err(FORM);
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or(FORM)?;
            let count: u64 = rest[..digits].parse().map_err(|_| FORM)?;
            let mut tail = rest[digits..].chars();
            let unit = match tail.next() {
                Some('s') => 1,
                Some('m') => 60,
                Some('h') => 3600,
                Some('d') => 86_400,
                Some('w') => 604_800,
                _ => return Err(FORM),
            };
            let part = count.checked_mul(unit).ok_or(FORM)?;
            seconds = seconds.checked_add(part).ok_or(FORM)?;
            rest = tail.as_str();
        }
        Ok(Self(seconds))
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

/// Says a duration in its largest unit, as in `12s`, `5m`, `3d`.
pub(crate) fn roughly(span: Duration) -> String {
    let seconds = span.as_secs();
    let (unit, name) = match seconds {
        0..120 => (1, "s"),
        120..7200 => (60, "m"),
        7200..172_800 => (3600, "h"),
        _ => (86_400, "d"),
    };
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests;
