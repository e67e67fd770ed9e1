//! Claims of copies: found by host, start and key; what a copy shows later is added to what it showed first.

use muster_domain::admission::{KnownClaim, Machine};
use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, Timestamp};

use super::claims::read_known;
use crate::{Json, StoreError, Tx, params};

impl Tx<'_> {
    /// Returns the waiting or rejected claim of one start of a machine that showed a key of a host, whether or not it made
    /// itself another key since.
    pub fn claim_of_start(
        &mut self,
        host_id: HostId,
        boot_id: &str,
    ) -> Result<Option<KnownClaim>, StoreError> {
        let found = self.query(
            "SELECT id, ticket_id, reason, state FROM claim
              WHERE host_id = $1 AND boot_id = $2 AND state IN ('waiting', 'rejected')
              ORDER BY id DESC LIMIT 1",
            params![host_id, boot_id],
            read_known,
        )?;
        Ok(found.first().copied())
    }

    /// Returns the waiting or rejected claim of one start of a machine that made itself no key.
    pub fn claim_without_key(
        &mut self,
        host_id: HostId,
        former_key: &KeyName,
        boot_id: &str,
    ) -> Result<Option<KnownClaim>, StoreError> {
        self.query_opt(
            "SELECT id, ticket_id, reason, state FROM claim
              WHERE host_id = $1 AND boot_id = $2 AND former_key = $3 AND key_name = $3
                AND state IN ('waiting', 'rejected')",
            params![host_id, boot_id, former_key],
            read_known,
        )
    }

    /// Gives a waiting claim of a copy the key its machine made itself, and what the machine now says of itself.
    /// `false`: it does not wait, or has a key of its own.
    pub fn claim_fork(
        &mut self,
        id: ClaimId,
        machine: &Machine,
        material: &[u8],
        expires_at: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE claim SET key_name = $1, key_material = $2, machine_uid = $3, hostname = $4, facts = $5,
                    labels = $6, expires_at = $7
              WHERE id = $8 AND state = 'waiting' AND former_key = key_name",
            params![
                machine.key,
                material,
                machine.uid,
                machine.hostname,
                Json(&machine.facts),
                Json(&machine.labels),
                expires_at,
                id
            ],
        )?;
        Ok(changed == 1)
    }

    /// Returns the host that a decided claim of a key on a host made.
    pub fn host_of_copy(&mut self, host_id: HostId, key: &KeyName) -> Result<Option<HostId>, StoreError> {
        let found = self.query(
            "SELECT result_host_id FROM claim
              WHERE host_id = $1 AND key_name = $2 AND result_host_id IS NOT NULL ORDER BY id DESC LIMIT 1",
            params![host_id, key],
            |row| row.get(0),
        )?;
        Ok(found.first().copied())
    }

    /// Counts the claims of copies of a host that wait, at most `limit`.
    pub fn copies_waiting(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
        limit: u32,
    ) -> Result<u32, StoreError> {
        self.query_one(
            "SELECT count(*) FROM
                (SELECT 1 AS one FROM claim
                  WHERE team_id = $1 AND host_id = $2 AND state = 'waiting' AND reason = 'clone' LIMIT $3) AS waiting",
            params![team_id, host_id, i64::from(limit)],
            |row| row.get(0),
        )
    }

    /// Lets the claims of copies of a host follow it to another site. What cannot, because the key waits there, stays.
    pub fn copies_follow(&mut self, team_id: TeamId, host_id: HostId, to: SiteId) -> Result<(), StoreError> {
        self.execute(
            "UPDATE claim SET site_id = $1
              WHERE team_id = $2 AND host_id = $3 AND reason = 'clone' AND state IN ('waiting', 'rejected')
                AND NOT EXISTS
                    (SELECT 1 FROM claim AS other
                      WHERE other.site_id = $1 AND other.key_name = claim.key_name AND other.id <> claim.id
                        AND other.state IN ('waiting', 'rejected'))",
            params![to, team_id, host_id],
        )?;
        Ok(())
    }

    /// Returns the start of the machine that connected last with a key.
    pub fn boot_id_of_key(&mut self, key: &KeyName) -> Result<Option<String>, StoreError> {
        let found =
            self.query_opt("SELECT boot_id FROM key_generation WHERE key_name = $1", params![key], |row| {
                row.get::<Option<String>>(0)
            })?;
        Ok(found.flatten())
    }
}
