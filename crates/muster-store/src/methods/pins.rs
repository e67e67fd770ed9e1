//! What agents know of the server's own keys.

use muster_ids::{HostId, Timestamp};

use crate::{StoreError, Tx, params};

/// What the agent of a host knows of the server's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustRow {
    /// The statement of pins it keeps, by when it was issued.
    pub pins_issued_at: Option<Timestamp>,
    /// When the ticket was minted whose join string it took.
    pub told_at: Timestamp,
}

/// How far a statement of pins has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PinsKeptRow {
    /// Hosts whose agents hold a key pair and are to keep it.
    pub hosts: u64,
    /// Those that do.
    pub kept: u64,
}

impl Tx<'_> {
    /// Returns what the agent of a host knows of the server's keys.
    pub fn host_trust(&mut self, host_id: HostId) -> Result<Option<TrustRow>, StoreError> {
        self.query_opt(
            "SELECT host.pins_issued_at,
                    coalesce((SELECT max(ticket.created_at) FROM host_key
                                JOIN ticket ON ticket.id = host_key.ticket_id
                               WHERE host_key.host_id = host.id), host.created_at)
               FROM host WHERE host.id = $1",
            params![host_id],
            |row| Ok(TrustRow { pins_issued_at: row.get(0)?, told_at: row.get(1)? }),
        )
    }

    /// Records which statement of pins the agent of a host keeps.
    pub fn host_pins_kept(
        &mut self,
        host_id: HostId,
        issued_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        self.execute(
            "UPDATE host SET pins_issued_at = $1
              WHERE id = $2 AND coalesce(pins_issued_at, -1) <> coalesce(CAST($1 AS BIGINT), -1)",
            params![issued_at, host_id],
        )?;
        Ok(())
    }

    /// Counts the hosts with a key pair that have not left, and those of them whose agents keep a statement of pins
    /// that was issued at `since` or later.
    pub fn pins_kept(&mut self, since: Timestamp) -> Result<PinsKeptRow, StoreError> {
        self.query_one(
            "SELECT count(*), coalesce(sum(CASE WHEN host.pins_issued_at >= $1 THEN 1 ELSE 0 END), 0)
               FROM host_key JOIN host ON host.id = host_key.host_id
              WHERE host_key.state = 'active' AND host_key.name >= 'jkt:' AND host_key.name < 'jkt;'
                AND host.state IN ('active', 'suspended')",
            params![since],
            |row| Ok(PinsKeptRow { hosts: row.get(0)?, kept: row.get(1)? }),
        )
    }

    /// Counts the active hosts: who may come back at once.
    pub fn hosts_active_count(&mut self) -> Result<u64, StoreError> {
        self.query_one("SELECT count(*) FROM host WHERE state = 'active'", params![], |row| row.get(0))
    }
}
