//! Every key a host ever proved itself with.

use muster_ids::{HostId, KeyName, TeamId, TicketId, Timestamp};
use serde::{Deserialize, Serialize};

use crate::words::Word;
use crate::{Row, StoreError, Tx, params};

/// Where a key stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It proves its host.
    Active,
    /// Its machine made it to take the active one's place: it opens the channel, and nothing else.
    Next,
    /// Another key took its place.
    Replaced,
    /// It was revoked, with its host or alone.
    Revoked,
}

/// A key of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostKeyRow {
    /// Names it, once and for ever.
    pub name: KeyName,
    /// The team of the host.
    pub team_id: TeamId,
    /// The host.
    pub host_id: HostId,
    /// The SEC 1 point of a key pair, or the verifier of an agent key.
    pub material: Vec<u8>,
    /// Where it stands.
    pub state: KeyState,
    /// The ticket it was admitted with.
    pub ticket_id: Option<TicketId>,
    /// The person who minted it; nobody, when its machine made it.
    pub created_by: Option<String>,
    /// When it was admitted.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Who ended it.
    pub ended_by: Option<String>,
    /// When it was first used, if it is an agent key.
    pub first_used_at: Option<Timestamp>,
    /// When it was last used, if it is an agent key.
    pub last_used_at: Option<Timestamp>,
}

impl Tx<'_> {
    /// Stores a key that was not used yet. `false`: its name is known, or it would be a second active key pair, or a
    /// second next key.
    pub fn host_key_insert(&mut self, key: &HostKeyRow) -> Result<bool, StoreError> {
        Ok(self.host_keys_insert(std::slice::from_ref(key))? == 1)
    }

    /// Makes keys, but those whose names are taken; returns how many it made.
    pub fn host_keys_insert(&mut self, keys: &[HostKeyRow]) -> Result<u64, StoreError> {
        let values = |key: &HostKeyRow| {
            let values: &[_] = params![
                key.name,
                key.team_id,
                key.host_id,
                key.material,
                Word(key.state),
                key.ticket_id,
                key.created_by,
                key.created_at,
                key.ended_at,
                key.ended_by
            ];
            values.to_vec()
        };
        self.insert_rows(
            "INSERT INTO host_key (name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at,
                                   ended_by)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
            &keys.iter().map(values).collect::<Vec<_>>(),
        )
    }

    /// Returns a key of any team: for machines, which prove it.
    pub fn host_key(&mut self, name: &KeyName) -> Result<Option<HostKeyRow>, StoreError> {
        self.query_opt(
            "SELECT name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at, ended_by,
                    first_used_at, last_used_at
               FROM host_key WHERE name = $1",
            params![name],
            read_key,
        )
    }

    /// Returns every key a host ever had, in order of their names.
    pub fn host_keys(&mut self, host_id: HostId) -> Result<Vec<HostKeyRow>, StoreError> {
        self.query(
            "SELECT name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at, ended_by,
                    first_used_at, last_used_at
               FROM host_key WHERE host_id = $1 ORDER BY name",
            params![host_id],
            read_key,
        )
    }

    /// Returns the keys a host can prove itself with, the newest first: one key pair, or agent keys.
    pub fn host_keys_active(&mut self, host_id: HostId) -> Result<Vec<HostKeyRow>, StoreError> {
        Ok(self.hosts_keys_active(&[host_id])?.pop().unwrap_or_default())
    }

    /// Returns the keys each of these hosts can prove itself with, as [`Tx::host_keys_active`] does of one.
    pub fn hosts_keys_active(&mut self, hosts: &[HostId]) -> Result<Vec<Vec<HostKeyRow>>, StoreError> {
        self.query_each(
            "SELECT name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at, ended_by,
                    first_used_at, last_used_at
               FROM host_key WHERE host_id = $1 AND state = 'active' ORDER BY created_at DESC, name DESC",
            &hosts.iter().map(|host_id| params![host_id].to_vec()).collect::<Vec<_>>(),
            read_key,
        )
    }

    /// Returns every key a host of a team ever had, the newest first, after `after`.
    pub fn host_keys_shown(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
        after: Option<(Timestamp, KeyName)>,
        limit: i64,
    ) -> Result<Vec<HostKeyRow>, StoreError> {
        let (after_at, after_name) = after.unzip();
        self.query(
            "SELECT name, team_id, host_id, material, state, ticket_id, created_by, created_at, ended_at, ended_by,
                    first_used_at, last_used_at
               FROM host_key
              WHERE team_id = $1 AND host_id = $2
                AND (CAST($3 AS BIGINT) IS NULL OR created_at < $3 OR (created_at = $3 AND name < $4))
              ORDER BY created_at DESC, name DESC LIMIT $5",
            params![team_id, host_id, after_at, after_name, limit],
            read_key,
        )
    }

    /// Ends an active or next key. `false`: it was neither.
    pub fn host_key_end(
        &mut self,
        name: &KeyName,
        state: KeyState,
        ended_by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.host_keys_end(std::slice::from_ref(name), state, ended_by, now)? == [true])
    }

    /// Ends keys, as [`Tx::host_key_end`] does one.
    pub fn host_keys_end(
        &mut self,
        names: &[KeyName],
        state: KeyState,
        ended_by: &str,
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let ended = |name: &KeyName| params![Word(state), now, ended_by, name].to_vec();
        let changed = self.execute_each(
            "UPDATE host_key SET state = $1, ended_at = $2, ended_by = $3
              WHERE name = $4 AND state IN ('active', 'next')",
            &names.iter().map(ended).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }
}

pub(super) fn read_key(row: &Row<'_>) -> Result<HostKeyRow, StoreError> {
    Ok(HostKeyRow {
        name: row.get(0)?,
        team_id: row.get(1)?,
        host_id: row.get(2)?,
        material: row.get(3)?,
        state: row.get::<Word<KeyState>>(4)?.0,
        ticket_id: row.get(5)?,
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        ended_at: row.get(8)?,
        ended_by: row.get(9)?,
        first_used_at: row.get(10)?,
        last_used_at: row.get(11)?,
    })
}
