//! Channels: who an agent is, its generation, and the configuration it should have.

use muster_domain::generation::{Generation, Known};
use muster_ids::{HostId, KeyName, TeamId, Timestamp};
use muster_wire::channel::ConfigVersion;
use muster_wire::host::HostState;

use crate::words::Word;
use crate::{StoreError, Tx, Value, params};

/// A key as the server judges an agent by it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentRow {
    /// The host's team.
    pub team_id: TeamId,
    /// The host.
    pub host_id: HostId,
    /// Where the host stands in its life.
    pub host_state: HostState,
    /// SEC 1 point of a key pair, or the verifier of an agent key.
    pub material: Vec<u8>,
    /// Whether the key is its host's active one.
    pub key_is_active: bool,
    /// Whether it is to take the active one's place.
    pub key_is_next: bool,
    /// When the key ended.
    pub ended_at: Option<Timestamp>,
    /// The host's integer key in the presence table.
    pub seq: i64,
    /// Since when the host is held: it may be the copy of itself.
    pub held_at: Option<Timestamp>,
}

/// What a host should have, and has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostConfigRow {
    /// The version it should have.
    pub version: ConfigVersion,
    /// The version its agent last confirmed.
    pub applied: Option<ConfigVersion>,
}

impl AgentRow {
    /// Whether the key may act for its host: it is the active one, and so is the host, and nobody doubts which machine
    /// is genuine.
    pub fn may_act(&self) -> bool {
        self.is_of_active_host() && self.held_at.is_none()
    }

    /// Whether the key is the active one of an active host, held or not: who may be told what became of it.
    pub fn is_of_active_host(&self) -> bool {
        self.key_is_active && self.host_state == HostState::Active
    }

    /// Whether the key may open its host's channel: it may act, or will as soon as the channel is proved.
    pub fn may_connect(&self) -> bool {
        self.may_act() || (self.key_is_next && self.host_state == HostState::Active && self.held_at.is_none())
    }

    /// Whether the key may open a socket, if only to be told that its host is held, or that its state is an older one.
    pub fn may_knock(&self) -> bool {
        (self.key_is_active || self.key_is_next) && self.host_state == HostState::Active
    }
}

impl Tx<'_> {
    /// Makes the rows that every host has beside its own: presence, configuration.
    pub fn host_rows_insert(&mut self, host_id: HostId, epoch: u32) -> Result<(), StoreError> {
        self.hosts_rows_insert(&[host_id], epoch)
    }

    /// Makes the rows that each of these hosts has beside its own.
    pub fn hosts_rows_insert(&mut self, hosts: &[HostId], epoch: u32) -> Result<(), StoreError> {
        let alone: Vec<_> = hosts.iter().map(|host_id| params![host_id].to_vec()).collect();
        let with_epoch: Vec<_> =
            hosts.iter().map(|host_id| params![host_id, i64::from(epoch)].to_vec()).collect();
        self.insert_rows(
            "INSERT INTO presence (host_id, said_goodbye, told_unreachable) VALUES ($1, 0, 0)",
            &alone,
        )?;
        self.insert_rows("INSERT INTO host_config (host_id, epoch, n) VALUES ($1, $2, 1)", &with_epoch)?;
        Ok(())
    }

    /// Returns the host a key speaks for, whether or not it still may.
    pub fn agent_by_key(&mut self, key: &KeyName) -> Result<Option<AgentRow>, StoreError> {
        Ok(self.agents_by_key(std::slice::from_ref(key))?.pop().flatten())
    }

    /// Returns the host that each key speaks for, as [`Tx::agent_by_key`] does of one.
    pub fn agents_by_key(&mut self, keys: &[KeyName]) -> Result<Vec<Option<AgentRow>>, StoreError> {
        let found = self.query_each(
            "SELECT host.team_id, host.id, host.state, host_key.material,
                    CASE WHEN host_key.state = 'active' THEN 1 ELSE 0 END, host_key.ended_at, presence.seq,
                    CASE WHEN host_key.state = 'next' THEN 1 ELSE 0 END, host.held_at
               FROM host_key
               JOIN host ON host.id = host_key.host_id
               JOIN presence ON presence.host_id = host.id
              WHERE host_key.name = $1",
            &keys.iter().map(|key| params![key].to_vec()).collect::<Vec<_>>(),
            |row| {
                Ok(AgentRow {
                    team_id: row.get(0)?,
                    host_id: row.get(1)?,
                    host_state: row.get::<Word<HostState>>(2)?.0,
                    material: row.get(3)?,
                    key_is_active: row.get(4)?,
                    ended_at: row.get(5)?,
                    seq: row.get(6)?,
                    key_is_next: row.get(7)?,
                    held_at: row.get(8)?,
                })
            },
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Returns where a host of a team stands in its life.
    pub fn host_state(&mut self, team_id: TeamId, host_id: HostId) -> Result<Option<HostState>, StoreError> {
        Ok(self.host_states(team_id, &[host_id])?.pop().flatten())
    }

    /// Returns where each of these hosts of a team stands in its life.
    pub fn host_states(
        &mut self,
        team_id: TeamId,
        hosts: &[HostId],
    ) -> Result<Vec<Option<HostState>>, StoreError> {
        let found = self.query_each(
            "SELECT state FROM host WHERE team_id = $1 AND id = $2",
            &hosts.iter().map(|host_id| params![team_id, host_id].to_vec()).collect::<Vec<_>>(),
            |row| Ok(row.get::<Word<HostState>>(0)?.0),
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Returns what is stored of the generations of a key; one that never connected begins anew.
    pub fn key_generation(&mut self, key: &KeyName) -> Result<Known, StoreError> {
        let stored = self.query_opt(
            "SELECT committed_epoch, committed_counter, issued_epoch, issued_counter
               FROM key_generation WHERE key_name = $1",
            params![key],
            |row| {
                let committed = (row.get::<i64>(0)?, row.get::<i64>(1)?);
                Ok((committed, row.get::<Option<i64>>(2)?.zip(row.get::<Option<i64>>(3)?)))
            },
        )?;
        let Some((committed, issued)) = stored else {
            return Ok(Known { committed: Generation::ZERO, issued: None });
        };
        Ok(Known { committed: generation(committed)?, issued: issued.map(generation).transpose()? })
    }

    /// Begins the generations of a key. `false`: they have begun.
    pub fn generation_begin(&mut self, host_id: HostId, key: &KeyName) -> Result<bool, StoreError> {
        let changed = self.execute(
            "INSERT INTO key_generation (key_name, host_id, committed_epoch, committed_counter)
             VALUES ($1, $2, 0, 0) ON CONFLICT (key_name) DO NOTHING",
            params![key, host_id],
        )?;
        Ok(changed == 1)
    }

    /// Forgets the generations of keys that ended.
    pub fn generations_forget(&mut self, keys: &[KeyName]) -> Result<(), StoreError> {
        self.execute_each(
            "DELETE FROM key_generation WHERE key_name = $1",
            &keys.iter().map(|key| params![key].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(())
    }

    /// Stores what a connecting agent proved to hold and what it is given. `false`: another connection came between.
    pub fn generation_issue(
        &mut self,
        key: &KeyName,
        seen: &Known,
        holds: Generation,
        issue: Generation,
        boot_id: &str,
    ) -> Result<bool, StoreError> {
        let (holds, issue) = (numbers(holds)?, numbers(issue)?);
        let committed = numbers(seen.committed)?;
        let issued = seen.issued.map(numbers).transpose()?;
        let changed = self.execute(
            "UPDATE key_generation SET committed_epoch = $2, committed_counter = $3, issued_epoch = $4,
                    issued_counter = $5, boot_id = $6
              WHERE key_name = $1 AND committed_epoch = $7 AND committed_counter = $8
                AND coalesce(issued_epoch, -1) = $9 AND coalesce(issued_counter, -1) = $10",
            params![
                key,
                holds.0,
                holds.1,
                issue.0,
                issue.1,
                boot_id,
                committed.0,
                committed.1,
                issued.map_or(-1, |issued| issued.0),
                issued.map_or(-1, |issued| issued.1)
            ],
        )?;
        Ok(changed == 1)
    }

    /// Commits the issued generation. `false`: it is not the one that was issued last.
    pub fn generation_commit(&mut self, key: &KeyName, issued: Generation) -> Result<bool, StoreError> {
        let issued = numbers(issued)?;
        let changed = self.execute(
            "UPDATE key_generation SET committed_epoch = issued_epoch, committed_counter = issued_counter,
                    issued_epoch = NULL, issued_counter = NULL
              WHERE key_name = $1 AND issued_epoch = $2 AND issued_counter = $3",
            params![key, issued.0, issued.1],
        )?;
        Ok(changed == 1)
    }

    /// Returns what a host should have, and has.
    pub fn host_config(&mut self, host_id: HostId) -> Result<Option<HostConfigRow>, StoreError> {
        Ok(self.host_configs(&[host_id])?.pop().flatten())
    }

    /// Returns what each of these hosts should have, and has.
    pub fn host_configs(&mut self, hosts: &[HostId]) -> Result<Vec<Option<HostConfigRow>>, StoreError> {
        let found = self.query_each(
            "SELECT epoch, n, applied_epoch, applied_n FROM host_config WHERE host_id = $1",
            &hosts.iter().map(|host_id| params![host_id].to_vec()).collect::<Vec<_>>(),
            |row| {
                let applied = row.get::<Option<i64>>(2)?.zip(row.get::<Option<i64>>(3)?);
                let version = config((row.get(0)?, row.get(1)?))?;
                Ok(HostConfigRow { version, applied: applied.map(config).transpose()? })
            },
        )?;
        Ok(found.into_iter().map(|mut rows| rows.pop()).collect())
    }

    /// Gives the configuration of a host its next version, which was not sent yet. `false`: there is no such host.
    pub fn host_config_bump(&mut self, host_id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        Ok(self.host_configs_bump(&[host_id], now)? == 1)
    }

    /// Gives the configurations of hosts their next versions, as [`Tx::host_config_bump`] does of one; returns how many.
    pub fn host_configs_bump(&mut self, hosts: &[HostId], now: Timestamp) -> Result<u64, StoreError> {
        let changed = self.execute_each(
            "UPDATE host_config SET n = n + 1, changed_at = $2, sent_at = NULL, sent_times = 0 WHERE host_id = $1",
            &hosts.iter().map(|host_id| params![host_id, now].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(changed.iter().sum())
    }

    /// Records that a configuration is about to be sent. `false`: the host should have another one meanwhile.
    pub fn host_config_sent(
        &mut self,
        host_id: HostId,
        version: ConfigVersion,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.host_configs_sent(&[(host_id, version)], now)? == [true])
    }

    /// Records that configurations are about to be sent, as [`Tx::host_config_sent`] does of one.
    pub fn host_configs_sent(
        &mut self,
        sent: &[(HostId, ConfigVersion)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "UPDATE host_config SET sent_at = $4, sent_times = sent_times + 1
              WHERE host_id = $1 AND epoch = $2 AND n = $3",
            &of_versions(sent, now)?,
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Records that an agent has a configuration on disk. `false`: it confirmed that one, or a later one, before.
    pub fn host_config_applied(
        &mut self,
        host_id: HostId,
        version: ConfigVersion,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        Ok(self.host_configs_applied(&[(host_id, version)], now)? == [true])
    }

    /// Records that agents have configurations on disk, as [`Tx::host_config_applied`] does of one.
    pub fn host_configs_applied(
        &mut self,
        applied: &[(HostId, ConfigVersion)],
        now: Timestamp,
    ) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "UPDATE host_config SET applied_epoch = $2, applied_n = $3, applied_at = $4
              WHERE host_id = $1
                AND (applied_epoch IS NULL OR applied_epoch < $2 OR (applied_epoch = $2 AND applied_n < $3))",
            &of_versions(applied, now)?,
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Returns the platform's own team.
    pub fn platform_team_id(&mut self) -> Result<Option<TeamId>, StoreError> {
        self.query_opt("SELECT id FROM team WHERE is_platform = 1", params![], |row| row.get(0))
    }
}

fn of_versions(versions: &[(HostId, ConfigVersion)], now: Timestamp) -> Result<Vec<Vec<Value>>, StoreError> {
    let of_one = |(host_id, version): &(HostId, ConfigVersion)| {
        let n = i64::try_from(version.n).map_err(|_| StoreError::corrupt("a version out of range"))?;
        Ok(params![host_id, i64::from(version.epoch), n, now].to_vec())
    };
    versions.iter().map(of_one).collect()
}

fn generation((epoch, counter): (i64, i64)) -> Result<Generation, StoreError> {
    let out_of_range = |_| StoreError::corrupt("a generation out of range");
    Ok(Generation {
        epoch: u32::try_from(epoch).map_err(out_of_range)?,
        counter: u64::try_from(counter).map_err(out_of_range)?,
    })
}

fn numbers(generation: Generation) -> Result<(i64, i64), StoreError> {
    let counter =
        i64::try_from(generation.counter).map_err(|_| StoreError::corrupt("a generation out of range"))?;
    Ok((i64::from(generation.epoch), counter))
}

pub(super) fn config((epoch, n): (i64, i64)) -> Result<ConfigVersion, StoreError> {
    let out_of_range = |_| StoreError::corrupt("a configuration version out of range");
    Ok(ConfigVersion {
        epoch: u32::try_from(epoch).map_err(out_of_range)?,
        n: u64::try_from(n).map_err(out_of_range)?,
    })
}
