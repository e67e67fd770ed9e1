//! What is over and old is dropped, at most `limit` rows at a time. What must stay a fact for ever is not here: spent
//! tickets, keys, tombstones of hosts.

use muster_ids::{JobId, SecretId, Timestamp};

use crate::{StoreError, Tx, params};

impl Tx<'_> {
    /// Drops log lines of jobs that ended before `before`; a job whose log is gone says that it has none. Returns how many.
    pub fn job_logs_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let jobs: Vec<JobId> = self.query(
            "SELECT id FROM job WHERE finished_at IS NOT NULL AND log_lines > 0 AND finished_at < $1
              ORDER BY finished_at LIMIT $2",
            params![before, limit],
            |row| row.get(0),
        )?;
        let mut dropped = 0;
        for id in jobs {
            let left = limit.saturating_sub_unsigned(dropped);
            let lines = self.execute(
                "DELETE FROM job_log WHERE job_id = $1
                    AND n IN (SELECT n FROM job_log WHERE job_id = $1 ORDER BY n LIMIT $2)",
                params![id, left],
            )?;
            dropped += lines;
            if lines >= left.unsigned_abs() {
                break;
            }
            self.execute("UPDATE job SET log_lines = 0, log_bytes = 0 WHERE id = $1", params![id])?;
            // An empty log counts as a row, so that no step goes through more jobs than rows.
            dropped += 1;
            if dropped >= limit.unsigned_abs() {
                break;
            }
        }
        Ok(dropped)
    }

    /// Drops jobs that ended before `before` and have no log any more. Returns how many.
    pub fn jobs_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM job WHERE id IN
               (SELECT id FROM job WHERE finished_at IS NOT NULL AND finished_at < $1 AND log_lines = 0
                 ORDER BY finished_at LIMIT $2)",
            params![before, limit],
        )
    }

    /// Drops claims that ended before `before`. A rejected one stays: it is what keeps its machine out. So does the last
    /// one of a copied key that received the current value of a secret: it is what says that the secret is exposed.
    /// Returns how many.
    pub fn claims_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM claim WHERE id IN
               (SELECT id FROM claim
                 WHERE state NOT IN ('waiting', 'rejected') AND decided_at < $1
                   AND NOT (reason = 'clone'
                            AND NOT EXISTS (SELECT 1 FROM claim AS later
                                             WHERE later.former_key = claim.former_key AND later.reason = 'clone'
                                               AND later.id > claim.id)
                            AND EXISTS (SELECT 1 FROM secret_delivery
                                          JOIN secret ON secret.id = secret_delivery.secret_id
                                                     AND secret.version = secret_delivery.version
                                         WHERE secret_delivery.key_name = claim.former_key
                                           AND secret_delivery.sent_at <= claim.created_at))
                 ORDER BY decided_at LIMIT $2)",
            params![before, limit],
        )
    }

    /// Drops tickets that admitted nobody and ended before `before`. Who presents one later is refused as with any other
    /// unknown one; a ticket that was used stays for ever. Returns how many.
    pub fn unused_tickets_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let revoked = self.execute(
            "DELETE FROM ticket WHERE id IN
               (SELECT id FROM ticket
                 WHERE spent_by_key IS NULL AND uses = 0 AND reserved_for IS NULL AND revoked_at < $1
                   AND NOT EXISTS (SELECT 1 FROM host_key WHERE host_key.ticket_id = ticket.id)
                   AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.ticket_id = ticket.id
                                      AND claim.state = 'waiting')
                   AND NOT EXISTS (SELECT 1 FROM leak WHERE leak.ticket_id = ticket.id)
                   AND NOT EXISTS (SELECT 1 FROM secret WHERE secret.team_id = ticket.team_id
                                      AND secret.owner_kind = 'ticket' AND secret.owner_id = ticket.id)
                 ORDER BY revoked_at LIMIT $2)",
            params![before, limit],
        )?;
        let expired = self.execute(
            "DELETE FROM ticket WHERE id IN
               (SELECT id FROM ticket
                 WHERE spent_by_key IS NULL AND uses = 0 AND reserved_for IS NULL AND expires_at < $1
                   AND NOT EXISTS (SELECT 1 FROM host_key WHERE host_key.ticket_id = ticket.id)
                   AND NOT EXISTS (SELECT 1 FROM claim WHERE claim.ticket_id = ticket.id
                                      AND claim.state = 'waiting')
                   AND NOT EXISTS (SELECT 1 FROM leak WHERE leak.ticket_id = ticket.id)
                   AND NOT EXISTS (SELECT 1 FROM secret WHERE secret.team_id = ticket.team_id
                                      AND secret.owner_kind = 'ticket' AND secret.owner_id = ticket.id)
                 ORDER BY expires_at LIMIT $2)",
            params![before, limit.saturating_sub_unsigned(revoked)],
        )?;
        Ok(revoked + expired)
    }

    /// Drops causes of refusals that last occurred before `before`, and what is remembered of older requests. Returns how
    /// many.
    pub fn refusals_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        let requests = self.execute(
            "DELETE FROM refused_request WHERE (ticket_id, cause, slot) IN
               (SELECT ticket_id, cause, slot FROM refused_request WHERE at < $1 ORDER BY at LIMIT $2)",
            params![before, limit],
        )?;
        let causes = self.execute(
            "DELETE FROM refusal WHERE (ticket_id, cause) IN
               (SELECT ticket_id, cause FROM refusal WHERE last_at < $1 ORDER BY last_at LIMIT $2)",
            params![before, limit.saturating_sub_unsigned(requests)],
        )?;
        Ok(requests + causes)
    }

    /// Drops entries of the log of revocations of before `before`. Returns how many.
    pub fn revocations_drop(&mut self, before: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "DELETE FROM revocation WHERE seq IN
               (SELECT seq FROM revocation WHERE revoked_at < $1 ORDER BY revoked_at LIMIT $2)",
            params![before, limit],
        )
    }

    /// Drops who got versions of a secret up to `through`, at most `limit` rows. Returns how many.
    pub fn secret_ledger_drop(
        &mut self,
        secret_id: SecretId,
        through: i64,
        limit: i64,
    ) -> Result<u64, StoreError> {
        self.secret_ledgers_drop(&[(secret_id, through)], limit)
    }

    /// Drops who got versions of secrets, as [`Tx::secret_ledger_drop`] does of one, at most `limit` rows of each.
    pub fn secret_ledgers_drop(
        &mut self,
        through: &[(SecretId, i64)],
        limit: i64,
    ) -> Result<u64, StoreError> {
        let dropped = self.execute_each(
            "DELETE FROM secret_delivery WHERE (secret_id, version, key_name) IN
               (SELECT secret_id, version, key_name FROM secret_delivery
                 WHERE secret_id = $1 AND version <= $2 ORDER BY version, key_name LIMIT $3)",
            &through.iter().map(|(id, through)| params![id, through, limit].to_vec()).collect::<Vec<_>>(),
        )?;
        Ok(dropped.iter().sum())
    }
}
