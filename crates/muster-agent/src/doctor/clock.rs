//! The machine's clock against the server's.

use http::HeaderMap;
use http::header::DATE;
use muster_ids::Timestamp;

use super::Check;

pub(super) const CLOCK: &str = "clock";
/// What proofs may be off without a nonce of the server (DESIGN §3).
const TOLERATED_SECS: i64 = 300;
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Judges the machine's time against the server's, both of one moment.
pub(super) fn check(server: &str, here: Timestamp, there: Timestamp) -> Check {
    let skew_secs = (here.as_millis() - there.as_millis()) / 1000;
    let said = match skew_secs {
        -1..=1 => "agrees with the server's".to_owned(),
        ahead @ 2.. => format!("is {ahead} s ahead of the server's"),
        behind => format!("is {} s behind the server's", -behind),
    };
    if skew_secs.abs() <= TOLERATED_SECS {
        return Check::ok(CLOCK, server, said);
    }
    let advice = "joining and the channel still work, by nonces of the server; set the clock (`timedatectl set-ntp true`)";
    Check::warn(CLOCK, server, format!("{said}: {advice}"))
}

/// Reads the `Date` of an answer (RFC 9110, IMF-fixdate).
pub(super) fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let text = headers.get(DATE)?.to_str().ok()?;
    let [_, day, month, year, time, "GMT"] = text.split(' ').collect::<Vec<_>>()[..] else { return None };
    let month = 1 + MONTHS.iter().position(|known| *known == month)?;
    format!("{year}-{month:02}-{day}T{time}Z").parse().ok()
}
