//! Moments as filters name them: themselves, or by how long ago they were.

use std::borrow::Cow;
use std::str::FromStr;
use std::time::Duration;

use muster_ids::Timestamp;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::text::TextError;

/// A moment of RFC 3339 in UTC, or how long ago it was: `2026-01-31T12:00:00Z`, `7d`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// This moment.
    At(Timestamp),
    /// So long before whoever asks.
    Ago(Duration),
}

impl When {
    /// Returns the moment that is meant at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.minus(ago),
        }
    }
}

impl FromStr for When {
    type Err = TextError;
    fn from_str(text: &str) -> Result<Self, TextError> {
        match text.parse() {
            Ok(at) => Ok(Self::At(at)),
            Err(_) => span(text).map(Self::Ago).ok_or(TextError::Malformed),
        }
    }
}

/// Reads a span of time as people write it: `90s`, `15m`, `1h30m`, `7d`, `2w`.
pub fn span(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let count: u64 = rest[..digits].parse().ok()?;
        let mut tail = rest[digits..].chars();
        let unit = match tail.next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        seconds = count.checked_mul(unit)?.checked_add(seconds)?;
        rest = tail.as_str();
    }
    Some(Duration::from_secs(seconds))
}

impl<'de> Deserialize<'de> for When {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for When {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "When".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z|(\d+[smhdw])+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_itself_or_so_long_ago() {
        let now: Timestamp = "2026-02-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
            ("2026-01-31T12:00:00.500Z", "2026-01-31T12:00:00.500Z"),
            ("7d", "2026-01-25T12:00:00Z"),
            ("12h", "2026-02-01T00:00:00Z"),
            ("1h30m", "2026-02-01T10:30:00Z"),
            ("1w1s", "2026-01-25T11:59:59Z"),
            ("0s", "2026-02-01T12:00:00Z"),
        ] {
            let when: When = text.parse().unwrap();
            assert_eq!(when.at(now), expected.parse().unwrap(), "{text}");
        }
        let long: When = "18446744073709551615s".parse().unwrap();
        assert!(long.at(now) < "0001-01-01T00:00:00Z".parse().unwrap(), "as long ago as can be said");
    }

    #[test]
    fn what_is_neither_is_refused() {
        for bad in [
            "",
            "7",
            "d",
            "-7d",
            "+7d",
            "7D",
            "7 d",
            " 7d",
            "1.5h",
            "1y",
            "7d ago",
            "now",
            "2026-01-31",
            "18446744073709551616s",
            "99999999999999999w",
            "18446744073709551615s1s",
            "\u{0667}d",
        ] {
            assert_eq!(bad.parse::<When>(), Err(TextError::Malformed), "{bad}");
        }
    }
}
