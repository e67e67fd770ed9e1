//! Ephemeral hosts: who is retired by itself once nobody heard of it for long enough.

use muster_ids::{HostId, TeamId, Timestamp};

use super::hosts::LastSign;
use super::tickets::stored_count;
use crate::{Row, StoreError, Tx, params};

/// An active ephemeral host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EphemeralRow {
    /// The host.
    pub id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// Hours without contact after which it is retired.
    pub hours: u64,
    /// When it was last admitted.
    pub admitted_at: Option<Timestamp>,
    /// When it last resumed.
    pub resumed_at: Option<Timestamp>,
    /// Its flushed signs of life.
    pub sign: LastSign,
}

impl Tx<'_> {
    /// Sets after how many hours without contact a host is retired. `false`: the team has none of that id.
    pub fn host_set_ephemeral(
        &mut self,
        team_id: TeamId,
        id: HostId,
        hours: u64,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET ephemeral_hours = $1 WHERE team_id = $2 AND id = $3",
            params![stored_count(hours), team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Remembers when a host last resumed. `false`: the team has none of that id.
    pub fn host_resumed(&mut self, team_id: TeamId, id: HostId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET resumed_at = $1 WHERE team_id = $2 AND id = $3",
            params![now, team_id, id],
        )?;
        Ok(changed == 1)
    }

    /// Returns active ephemeral hosts in order of their ids, after `after`.
    pub fn hosts_ephemeral(
        &mut self,
        after: Option<HostId>,
        limit: i64,
    ) -> Result<Vec<EphemeralRow>, StoreError> {
        let after = after.unwrap_or(HostId::from_uuid(uuid::Uuid::nil()));
        self.query(
            "SELECT host.id, host.team_id, host.ephemeral_hours,
                    (SELECT max(host_key.created_at) FROM host_key WHERE host_key.host_id = host.id),
                    host.resumed_at, presence.seen_at, presence.said_goodbye
               FROM host JOIN presence ON presence.host_id = host.id
              WHERE host.ephemeral_hours IS NOT NULL AND host.retired_at IS NULL AND host.state = 'active'
                AND host.id > $1
              ORDER BY host.id LIMIT $2",
            params![after, limit],
            read_ephemeral,
        )
    }

    /// Returns a host of any team, if it is an active ephemeral one.
    pub fn host_ephemeral(&mut self, id: HostId) -> Result<Option<EphemeralRow>, StoreError> {
        self.query_opt(
            "SELECT host.id, host.team_id, host.ephemeral_hours,
                    (SELECT max(host_key.created_at) FROM host_key WHERE host_key.host_id = host.id),
                    host.resumed_at, presence.seen_at, presence.said_goodbye
               FROM host JOIN presence ON presence.host_id = host.id
              WHERE host.id = $1 AND host.ephemeral_hours IS NOT NULL AND host.state = 'active'",
            params![id],
            read_ephemeral,
        )
    }
}

fn read_ephemeral(row: &Row<'_>) -> Result<EphemeralRow, StoreError> {
    Ok(EphemeralRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        hours: row.get(2)?,
        admitted_at: row.get(3)?,
        resumed_at: row.get(4)?,
        sign: LastSign { seen_at: row.get(5)?, said_goodbye: row.get(6)? },
    })
}
