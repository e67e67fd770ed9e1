//! What time takes away: blobs of tickets that open no door, claims nobody decided, replies kept for a retry.

use muster_ids::{ClaimId, HostId, KeyName, SiteId, TeamId, TicketId, Timestamp};

use crate::{StoreError, Tx, params};

/// A claim whose time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LapsedClaimRow {
    /// The claim.
    pub id: ClaimId,
    /// Its team.
    pub team_id: TeamId,
    /// Its site.
    pub site_id: SiteId,
    /// The ticket it holds; that of a copy holds none.
    pub ticket_id: Option<TicketId>,
    /// The key it holds the ticket for.
    pub key: KeyName,
    /// The host it contests.
    pub host_id: Option<HostId>,
}

impl Tx<'_> {
    /// Returns tickets that open no door any more and still own secrets.
    pub fn tickets_with_leftovers(
        &mut self,
        now: Timestamp,
        limit: i64,
    ) -> Result<Vec<(TeamId, TicketId)>, StoreError> {
        self.query(
            "SELECT DISTINCT ticket.team_id, ticket.id
               FROM secret JOIN ticket ON ticket.id = secret.owner_id AND ticket.team_id = secret.team_id
              WHERE secret.owner_kind = 'ticket'
                AND (ticket.spent_by_key IS NOT NULL OR ticket.revoked_at IS NOT NULL
                     OR (ticket.expires_at <= $1 AND ticket.reserved_for IS NULL))
              LIMIT $2",
            params![now, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    /// Returns tickets whose time is over and that nobody ended yet. One that a claim holds is not over.
    pub fn tickets_lapsed(&mut self, now: Timestamp, limit: i64) -> Result<Vec<TicketId>, StoreError> {
        self.query(
            "SELECT id FROM ticket
              WHERE revoked_at IS NULL AND spent_by_key IS NULL AND reserved_for IS NULL AND expires_at <= $1
             UNION
             SELECT id FROM ticket
              WHERE revoked_at IS NULL AND spent_by_key IS NULL AND reserved_for IS NULL AND rotated_out_at <= $1
             LIMIT $2",
            params![now, limit],
            |row| row.get(0),
        )
    }

    /// Ends a ticket as of the moment it lapsed: it opens no door again when the clock is set back. `false`: it is not
    /// over.
    pub fn ticket_lapse(&mut self, id: &TicketId, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE ticket
                SET revoked_at = CASE WHEN rotated_out_at <= $1 THEN rotated_out_at ELSE expires_at END
              WHERE id = $2 AND revoked_at IS NULL AND spent_by_key IS NULL AND reserved_for IS NULL
                AND (expires_at <= $1 OR rotated_out_at <= $1)",
            params![now, id],
        )?;
        Ok(changed == 1)
    }

    /// Ends API tokens and invitations as of the moment they lapsed, and sessions that lapsed or were not used after
    /// `idle_since`, at most `limit` of each: none of them is good again when the clock is set back. Returns how many.
    pub fn credentials_lapse(
        &mut self,
        now: Timestamp,
        idle_since: Timestamp,
        limit: i64,
    ) -> Result<u64, StoreError> {
        let tokens = self.execute(
            "UPDATE operator_token SET revoked_at = expires_at WHERE id IN
               (SELECT id FROM operator_token WHERE revoked_at IS NULL AND expires_at <= $1 ORDER BY id LIMIT $2)
               AND revoked_at IS NULL",
            params![now, limit],
        )?;
        let invitations = self.execute(
            "UPDATE invitation SET revoked_at = expires_at WHERE id IN
               (SELECT id FROM invitation
                 WHERE accepted_at IS NULL AND revoked_at IS NULL AND expires_at <= $1 ORDER BY id LIMIT $2)
               AND accepted_at IS NULL AND revoked_at IS NULL",
            params![now, limit],
        )?;
        let sessions = self.execute(
            "UPDATE web_session SET ended_at = $1 WHERE id IN
               (SELECT id FROM web_session
                 WHERE ended_at IS NULL AND (expires_at <= $1 OR seen_at <= $2) ORDER BY id LIMIT $3)
               AND ended_at IS NULL AND (expires_at <= $1 OR seen_at <= $2)",
            params![now, idle_since, limit],
        )?;
        Ok(tokens.max(invitations).max(sessions))
    }

    /// Whether a ticket still opens its door, or is held for a claim that may.
    pub fn ticket_may_open(&mut self, id: &TicketId, now: Timestamp) -> Result<bool, StoreError> {
        let found = self.query_opt(
            "SELECT 1 FROM ticket
              WHERE id = $1 AND spent_by_key IS NULL AND revoked_at IS NULL
                AND (expires_at IS NULL OR expires_at > $2 OR reserved_for IS NOT NULL)",
            params![id, now],
            |row| row.get::<i64>(0),
        )?;
        Ok(found.is_some())
    }

    /// Returns waiting claims whose time is over. Those of copies of a held host wait as long as it is held.
    pub fn claims_lapsed(&mut self, now: Timestamp, limit: i64) -> Result<Vec<LapsedClaimRow>, StoreError> {
        self.query(
            "SELECT id, team_id, site_id, ticket_id, key_name, host_id FROM claim
              WHERE state = 'waiting' AND expires_at <= $1
                AND (reason <> 'clone' OR NOT EXISTS
                     (SELECT 1 FROM host WHERE host.id = claim.host_id AND host.held_at IS NOT NULL))
              ORDER BY expires_at LIMIT $2",
            params![now, limit],
            |row| {
                Ok(LapsedClaimRow {
                    id: row.get(0)?,
                    team_id: row.get(1)?,
                    site_id: row.get(2)?,
                    ticket_id: row.get(3)?,
                    key: row.get(4)?,
                    host_id: row.get(5)?,
                })
            },
        )
    }

    /// Ends a waiting claim whose time is over. `false`: somebody decided it, or its time is not over.
    pub fn claim_lapse(&mut self, claim: &LapsedClaimRow, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE claim SET state = 'expired', decided_at = $1
              WHERE team_id = $2 AND id = $3 AND state = 'waiting' AND expires_at <= $1",
            params![now, claim.team_id, claim.id],
        )?;
        Ok(changed == 1)
    }

    /// Frees a ticket that was held for a key. `false`: it was not.
    pub fn ticket_free(&mut self, id: &TicketId, held_for: &KeyName) -> Result<bool, StoreError> {
        Ok(self.tickets_free(&[(*id, *held_for)])? == [true])
    }

    /// Frees tickets that were held for keys, as [`Tx::ticket_free`] does one.
    pub fn tickets_free(&mut self, held: &[(TicketId, KeyName)]) -> Result<Vec<bool>, StoreError> {
        let changed = self.execute_each(
            "UPDATE ticket SET reserved_for = NULL WHERE id = $1 AND reserved_for = $2 AND spent_by_key IS NULL",
            &held.iter().map(|(id, held_for)| params![id, held_for].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Forgets replies made before `before`, at most `limit`. Returns how many.
    pub fn idempotent_replies_forget(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let found: Vec<(String, String)> = self.query(
            "SELECT principal, key FROM idempotent_reply WHERE created_at < $1 ORDER BY created_at LIMIT $2",
            params![before, limit],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )?;
        for (principal, key) in &found {
            self.execute(
                "DELETE FROM idempotent_reply WHERE principal = $1 AND key = $2",
                params![principal, key],
            )?;
        }
        Ok(found.len() as u64)
    }
}
