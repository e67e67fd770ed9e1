//! Settings of the installation, as the program reads them.

use std::time::Duration;

use muster_ids::Timestamp;
use muster_store::{StoreError, Tx};
use muster_wire::settings::SettingName;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// Returns the value of a setting; its default where nobody set it, or what is stored is out of its bounds.
pub fn value(tx: &mut Tx<'_>, name: SettingName) -> Result<u64, StoreError> {
    Ok(tx.setting(name.as_str())?.and_then(|text| parse(name, &text)).unwrap_or(name.default_value()))
}

/// Returns the moment before which rows are too old, by a setting that counts days.
pub fn days_before(tx: &mut Tx<'_>, name: SettingName, now: Timestamp) -> Result<Timestamp, StoreError> {
    let days = u32::try_from(value(tx, name)?).unwrap_or(u32::MAX);
    Ok(now.minus(DAY.saturating_mul(days)))
}

/// Reads a stored value.
pub fn parse(name: SettingName, text: &str) -> Option<u64> {
    let (least, most) = name.bounds();
    text.parse().ok().filter(|value| (least..=most).contains(value))
}
