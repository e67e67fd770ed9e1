//! Facts of the installation.

use crate::{StoreError, Tx, params};

impl Tx<'_> {
    /// Stores a fact unless it is there. `false`: it was.
    pub fn installation_insert(&mut self, name: &str, value: &[u8]) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
            params![name, value],
        )?;
        Ok(changed == 1)
    }

    /// Stores a fact, in place of the one that was there.
    pub fn installation_set(&mut self, name: &str, value: &[u8]) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO installation (name, value) VALUES ($1, $2)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            params![name, value],
        )?;
        Ok(())
    }

    /// Returns a fact.
    pub fn installation(&mut self, name: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.query_opt("SELECT value FROM installation WHERE name = $1", params![name], |row| row.get(0))
    }

    /// Whether the database holds anything that was made with a master key.
    pub fn installation_exists(&mut self) -> Result<bool, StoreError> {
        let count: i64 = self.query_one("SELECT count(*) FROM installation", params![], |row| row.get(0))?;
        Ok(count > 0)
    }
}
