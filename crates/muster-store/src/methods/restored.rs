//! What a restore ends: everything that may have been used, or taken back, after the backup.
//!
//! Also what only the clock says is over: a clock that is ahead today is right tomorrow. What a person is told of is
//! what was open at the time of the restore.

use muster_ids::{TicketId, Timestamp};
use muster_wire::ticket::TicketKind;

use crate::words::Word;
use crate::{StoreError, Tx, params};

impl Tx<'_> {
    /// Revokes every ticket that was not spent, and returns those that open a door now or are held for a claim.
    pub fn open_tickets_void(&mut self, now: Timestamp) -> Result<Vec<(TicketId, TicketKind)>, StoreError> {
        let open = self.query(
            "SELECT id, kind FROM ticket
              WHERE spent_by_key IS NULL AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $1 OR reserved_for IS NOT NULL)
                AND (rotated_out_at IS NULL OR rotated_out_at > $1)",
            params![now],
            |row| Ok((row.get(0)?, row.get::<Word<TicketKind>>(1)?.0)),
        )?;
        self.execute(
            "UPDATE ticket SET revoked_at = $1, reserved_for = NULL
              WHERE spent_by_key IS NULL AND revoked_at IS NULL",
            params![now],
        )?;
        Ok(open)
    }

    /// Closes every claim that waits and came with a ticket. That of a copy goes on to be a question: it holds a host.
    pub fn waiting_claims_void(&mut self, by: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE claim SET state = 'closed', decided_at = $1, decided_by = $2
              WHERE state = 'waiting' AND ticket_id IS NOT NULL",
            params![now, by],
        )
    }

    /// Revokes every invitation that was not accepted, and counts those that could be now.
    pub fn open_invitations_void(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let open = self.query_one(
            "SELECT count(*) FROM invitation
              WHERE accepted_at IS NULL AND revoked_at IS NULL AND expires_at > $1",
            params![now],
            |row| row.get(0),
        )?;
        self.execute(
            "UPDATE invitation SET revoked_at = $1 WHERE accepted_at IS NULL AND revoked_at IS NULL",
            params![now],
        )?;
        Ok(open)
    }

    /// Ends every session, and counts those that were good now.
    pub fn web_sessions_void(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        let good = self.query_one(
            "SELECT count(*) FROM web_session WHERE ended_at IS NULL AND expires_at > $1",
            params![now],
            |row| row.get(0),
        )?;
        self.execute("UPDATE web_session SET ended_at = $1 WHERE ended_at IS NULL", params![now])?;
        Ok(good)
    }

    /// Forgets every reply that was kept for a retry.
    pub fn idempotent_replies_void(&mut self) -> Result<u64, StoreError> {
        self.execute("DELETE FROM idempotent_reply", params![])
    }

    /// Cancels every job that was not given to its host yet: it may have run since.
    pub fn queued_jobs_void(&mut self, why: &str, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE job SET state = 'cancelled', failure = $2, finished_at = $1 WHERE state = 'queued'",
            params![now, why],
        )
    }

    /// Lets the configuration of every host go on in another epoch.
    pub fn host_configs_begin_epoch(&mut self, epoch: u32, now: Timestamp) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE host_config SET epoch = $1, changed_at = $2, sent_at = NULL, sent_times = 0 WHERE epoch < $1",
            params![epoch, now],
        )
    }

    /// Counts API tokens that are good.
    pub fn operator_tokens_good(&mut self, now: Timestamp) -> Result<u64, StoreError> {
        self.query_one(
            "SELECT count(*) FROM operator_token
              WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $1)",
            params![now],
            |row| row.get(0),
        )
    }

    /// Counts keys of hosts that are good.
    pub fn host_keys_good(&mut self) -> Result<u64, StoreError> {
        self.query_one("SELECT count(*) FROM host_key WHERE state = 'active'", params![], |row| row.get(0))
    }

    /// Removes a fact of the installation.
    pub fn installation_remove(&mut self, name: &str) -> Result<(), StoreError> {
        self.execute("DELETE FROM installation WHERE name = $1", params![name]).map(drop)
    }
}
