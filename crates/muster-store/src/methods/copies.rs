//! Claims of copies: found by host, start and key; what a copy shows later is added to what it showed first.

use muster_domain::admission::{KnownClaim, Machine};
use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, Timestamp};
use muster_wire::claim::Sighting;

use super::claims::read_known;
use crate::{Json, StoreError, Tx, params};

/// What a copy that was sent away before brings when it made itself a key.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ForkedClaim<'a> {
    /// The machine with its own key.
    pub machine: &'a Machine,
    /// The SEC 1 point of that key.
    pub key_material: &'a [u8],
    /// The address it came from.
    pub source_address: &'a str,
    /// What both sides showed when it came.
    pub sighting: &'a Sighting,
    /// When the claim lapses.
    pub expires_at: Timestamp,
}

impl Tx<'_> {
    /// Returns the waiting or rejected claim of one start of a machine that showed a key of a host, whether or not it made
    /// itself another key since.
    pub fn claim_of_start(
        &mut self,
        host_id: HostId,
        boot_id: &str,
    ) -> Result<Option<KnownClaim>, StoreError> {
        self.query_opt(
            "SELECT id, ticket_id, reason, state FROM claim
              WHERE host_id = $1 AND boot_id = $2 AND state IN ('waiting', 'rejected')
              ORDER BY id DESC LIMIT 1",
            params![host_id, boot_id],
            read_known,
        )
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

    /// Gives a waiting claim of a copy the key its machine made itself, with what that machine says of itself, where it
    /// came from and what it showed: the copy that was sent away before may have been another one. `false`: the claim
    /// does not wait, or has a key of its own.
    pub fn claim_fork(&mut self, id: ClaimId, forked: &ForkedClaim<'_>) -> Result<bool, StoreError> {
        let machine = forked.machine;
        let changed = self.execute(
            "UPDATE claim SET key_name = $1, key_material = $2, machine_uid = $3, hostname = $4, facts = $5,
                    labels = $6, source_address = $7, sighting = $8, expires_at = $9
              WHERE id = $10 AND state = 'waiting' AND former_key = key_name",
            params![
                machine.key,
                forked.key_material,
                machine.uid,
                machine.hostname,
                Json(&machine.facts),
                Json(&machine.labels),
                forked.source_address,
                Json(forked.sighting),
                forked.expires_at,
                id
            ],
        )?;
        Ok(changed == 1)
    }

    /// Says what was seen of a copy whose claim waits. `false`: it does not wait.
    pub fn claim_sighted(&mut self, id: ClaimId, sighting: &Sighting) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE claim SET sighting = $1 WHERE id = $2 AND state = 'waiting'",
            params![Json(sighting), id],
        )?;
        Ok(changed == 1)
    }

    /// Returns the host that a decided claim of a key on a host made.
    pub fn host_of_copy(&mut self, host_id: HostId, key: &KeyName) -> Result<Option<HostId>, StoreError> {
        self.query_opt(
            "SELECT result_host_id FROM claim
              WHERE host_id = $1 AND key_name = $2 AND result_host_id IS NOT NULL ORDER BY id DESC LIMIT 1",
            params![host_id, key],
            |row| row.get(0),
        )
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

    /// Returns when it was last told that as many copies of a host wait as may.
    pub fn copies_full_at(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
    ) -> Result<Option<Timestamp>, StoreError> {
        let told = self.query_opt(
            "SELECT copies_full_at FROM host WHERE team_id = $1 AND id = $2",
            params![team_id, host_id],
            |row| row.get::<Option<Timestamp>>(0),
        )?;
        Ok(told.flatten())
    }

    /// Notes that it is told now that as many copies of a host wait as may. `false`: that was told after `since`.
    pub fn copies_full_told(
        &mut self,
        team_id: TeamId,
        host_id: HostId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE host SET copies_full_at = $1
              WHERE team_id = $2 AND id = $3 AND (copies_full_at IS NULL OR copies_full_at <= $4)",
            params![now, team_id, host_id, since],
        )?;
        Ok(changed == 1)
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
