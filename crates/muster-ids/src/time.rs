//! Wall-clock time as milliseconds since the Unix epoch; RFC 3339 in UTC on the wire.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::uuid_id::{ParseIdError, text_form};

/// A moment of wall-clock time, in milliseconds since the Unix epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Wraps milliseconds since the Unix epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Returns milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns whole seconds since the Unix epoch (the NumericDate of RFC 7519).
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Returns the moment `span` later, saturating.
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the moment `span` earlier, saturating.
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Returns the time that went by since `earlier`; zero when the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// `YYYY-MM-DDThh:mm:ss[.fraction]Z`: jiff also reads offsets, time zones and other separators.
fn is_rfc_3339_utc(text: &[u8]) -> bool {
    const FORM: &[u8; 19] = b"dddd-dd-ddTdd:dd:dd";
    let Some((head, tail)) = text.split_at_checked(FORM.len()) else { return false };
    let in_form = FORM
        .iter()
        .zip(head)
        .all(|(form, byte)| if *form == b'd' { byte.is_ascii_digit() } else { form == byte });
    let is_fraction =
        |digits: &[u8]| (1..=9).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    in_form
        && match tail {
            b"Z" => true,
            [b'.', digits @ .., b'Z'] => is_fraction(digits),
            _ => false,
        }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(moment) => write!(f, "{moment:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if !is_rfc_3339_utc(text.as_bytes()) {
            return Err(ParseIdError);
        }
        let moment: jiff::Timestamp = text.parse().map_err(|_| ParseIdError)?;
        Ok(Self(moment.as_millisecond()))
    }
}

text_form!(Timestamp, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$");
