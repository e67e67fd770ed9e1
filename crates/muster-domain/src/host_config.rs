//! Whether a host has the configuration it should have.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_wire::channel::ConfigVersion;

/// How long a configuration may stay unconfirmed before it is sent again.
pub const SEND_AGAIN_AFTER: Duration = Duration::from_secs(30);

/// What a host should have, and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Configured {
    /// The version it should have.
    pub wanted: ConfigVersion,
    /// Since when; never changed, when it is unset.
    pub changed_at: Option<Timestamp>,
    /// The version its agent last confirmed.
    pub applied: Option<ConfigVersion>,
    /// When it did.
    pub applied_at: Option<Timestamp>,
    /// When the wanted version was last sent.
    pub sent_at: Option<Timestamp>,
    /// How often it was.
    pub sent_times: u32,
}

/// Says since when a host lacks what it should have. `None`: it has it, or there is nothing yet that it could lack.
///
/// The version a host begins with says nothing: a machine without a channel never asks for it.
pub fn drifted_since(configured: &Configured, admitted_at: Timestamp) -> Option<Timestamp> {
    if configured.applied.is_some_and(|applied| applied >= configured.wanted) {
        return None;
    }
    // Nothing of it can be missing on a machine that was not there.
    match (configured.changed_at, configured.sent_at) {
        (Some(changed_at), _) => Some(changed_at.max(admitted_at)),
        (None, Some(sent_at)) => Some(sent_at),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_millis(secs * 1000)
    }

    fn version(epoch: u32, n: u64) -> ConfigVersion {
        ConfigVersion { epoch, n }
    }

    #[test]
    fn every_row() {
        let begun = Configured {
            wanted: version(0, 1),
            changed_at: None,
            applied: None,
            applied_at: None,
            sent_at: None,
            sent_times: 0,
        };
        let changed = Configured { wanted: version(0, 2), changed_at: Some(at(50)), ..begun };
        for (configured, admitted_at, expected) in [
            (begun, 10, None),
            (Configured { sent_at: Some(at(20)), sent_times: 1, ..begun }, 10, Some(20)),
            (Configured { applied: Some(version(0, 1)), ..begun }, 10, None),
            (changed, 10, Some(50)),
            (changed, 60, Some(60)),
            (Configured { applied: Some(version(0, 1)), ..changed }, 10, Some(50)),
            (Configured { applied: Some(version(0, 2)), ..changed }, 10, None),
            (Configured { applied: Some(version(0, 9)), wanted: version(1, 2), ..changed }, 10, Some(50)),
            (Configured { applied: Some(version(1, 1)), ..changed }, 10, None),
        ] {
            assert_eq!(drifted_since(&configured, at(admitted_at)), expected.map(at), "{configured:?}");
        }
    }
}
