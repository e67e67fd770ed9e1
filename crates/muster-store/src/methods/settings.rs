//! What operators set for the whole installation.

use muster_ids::Timestamp;

use crate::{StoreError, Tx, params};

/// A setting that somebody set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingRow {
    /// Its name.
    pub name: String,
    /// Its value, as text.
    pub value: String,
    /// When it was set.
    pub changed_at: Timestamp,
}

impl Tx<'_> {
    /// Returns every setting that was set.
    pub fn settings(&mut self) -> Result<Vec<SettingRow>, StoreError> {
        self.query("SELECT name, value, changed_at FROM setting ORDER BY name", params![], |row| {
            Ok(SettingRow { name: row.get(0)?, value: row.get(1)?, changed_at: row.get(2)? })
        })
    }

    /// Returns a setting, if it was set.
    pub fn setting(&mut self, name: &str) -> Result<Option<String>, StoreError> {
        self.query_opt("SELECT value FROM setting WHERE name = $1", params![name], |row| row.get(0))
    }

    /// Sets a setting.
    pub fn setting_set(&mut self, name: &str, value: &str, now: Timestamp) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO setting (name, value, changed_at) VALUES ($1, $2, $3)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = excluded.changed_at",
            params![name, value, now],
        )?;
        Ok(())
    }
}
