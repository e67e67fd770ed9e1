//! Key pairs that take the place of others: asked for, stored, put in place.

use muster_ids::{HostId, KeyName, TeamId, Timestamp};

use super::keys::{HostKeyRow, read_key};
use crate::{StoreError, Tx, Value, params};

/// An active key pair that is older than it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AgedKeyRow {
    /// The team of its host.
    pub team_id: TeamId,
    /// Its host.
    pub host_id: HostId,
    /// The key.
    pub name: KeyName,
}

impl Tx<'_> {
    /// Returns the keys a host proves itself with, now or next.
    pub fn host_keys_live(&mut self, host_id: HostId) -> Result<Vec<HostKeyRow>, StoreError> {
        Ok(self.hosts_keys_live(&[host_id])?.pop().unwrap_or_default())
    }

    /// Returns the keys each of these hosts proves itself with, now or next.
    pub fn hosts_keys_live(&mut self, hosts: &[HostId]) -> Result<Vec<Vec<HostKeyRow>>, StoreError> {
        self.query_each(
            "SELECT name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at, ended_by,
                    first_used_at, last_used_at
               FROM host_key WHERE host_id = $1 AND state IN ('active', 'next')
              ORDER BY created_at DESC, name DESC",
            &of_each(hosts),
            read_key,
        )
    }

    /// Puts a next key in the place of the key that ended for it. `false`: it was not the next one any more.
    pub fn host_key_promote(&mut self, next: &KeyName, former: &KeyName) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host_key SET state = 'active' WHERE name = $1 AND state = 'next'",
            params![next],
        )?;
        self.execute("UPDATE host_key SET rotated_to = $1 WHERE name = $2", params![next, former])?;
        Ok(changed == 1)
    }

    /// Says that a key which another one replaced was shown since: whoever has it is not the machine that went on with
    /// the other, so what went to it counts as exposed.
    pub fn host_key_was_shown(&mut self, key: &KeyName) -> Result<(), StoreError> {
        self.execute(
            "UPDATE host_key SET rotated_to = NULL WHERE name = $1 AND rotated_to IS NOT NULL",
            params![key],
        )?;
        Ok(())
    }

    /// Says that the active key of a host is to be replaced. `false`: that was said before.
    pub fn host_rotation_ask(&mut self, host_id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET rotation_asked_at = $1 WHERE id = $2 AND rotation_asked_at IS NULL",
            params![now, host_id],
        )?;
        Ok(changed == 1)
    }

    /// Returns since when the active key of a host is to be replaced.
    pub fn host_rotation_asked(&mut self, host_id: HostId) -> Result<Option<Timestamp>, StoreError> {
        let asked =
            self.query_opt("SELECT rotation_asked_at FROM host WHERE id = $1", params![host_id], |row| {
                row.get(0)
            })?;
        Ok(asked.flatten())
    }

    /// Says of each of these hosts that its active key is as it should be.
    pub fn hosts_rotation_done(&mut self, hosts: &[HostId]) -> Result<(), StoreError> {
        self.execute_each(
            "UPDATE host SET rotation_asked_at = NULL WHERE id = $1 AND rotation_asked_at IS NOT NULL",
            &of_each(hosts),
        )?;
        Ok(())
    }

    /// Returns active key pairs of active hosts that were made before `made_before` and that nobody asked to replace,
    /// the oldest first.
    pub fn host_keys_aged(
        &mut self,
        made_before: Timestamp,
        limit: i64,
    ) -> Result<Vec<AgedKeyRow>, StoreError> {
        self.query(
            "SELECT host_key.team_id, host_key.host_id, host_key.name
               FROM host_key JOIN host ON host.id = host_key.host_id
              WHERE host_key.state = 'active' AND host_key.created_at < $1
                AND host_key.name >= 'jkt:' AND host_key.name < 'jkt;'
                AND host.state = 'active' AND host.rotation_asked_at IS NULL
              ORDER BY host_key.created_at, host_key.name LIMIT $2",
            params![made_before, limit],
            |row| Ok(AgedKeyRow { team_id: row.get(0)?, host_id: row.get(1)?, name: row.get(2)? }),
        )
    }
}

fn of_each(hosts: &[HostId]) -> Vec<Vec<Value>> {
    hosts.iter().map(|host_id| params![host_id].to_vec()).collect()
}
