//! Settings of the installation, as the program reads them.

use muster_store::{StoreError, Tx};
use muster_wire::settings::SettingName;

/// Returns the value of a setting; its default where nobody set it, or what is stored is out of its bounds.
pub fn value(tx: &mut Tx<'_>, name: SettingName) -> Result<u64, StoreError> {
    Ok(tx.setting(name.as_str())?.and_then(|text| parse(name, &text)).unwrap_or(name.default_value()))
}

/// Reads a stored value.
pub fn parse(name: SettingName, text: &str) -> Option<u64> {
    let (least, most) = name.bounds();
    text.parse().ok().filter(|value| (least..=most).contains(value))
}
