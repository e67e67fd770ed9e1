//! Why tickets opened no door, aggregated by cause.

use muster_ids::{TicketId, Timestamp};

use crate::{StoreError, Tx, params};

/// One cause of refusals at a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Why machines were refused.
    pub cause: String,
    /// How often.
    pub count: i64,
    /// When first.
    pub first_at: Timestamp,
    /// When last.
    pub last_at: Timestamp,
    /// The address the last one came from.
    pub last_source: String,
    /// The request the last machine may quote.
    pub last_request_id: String,
}

impl Tx<'_> {
    /// Counts a refusal and returns how often this cause occurred at this ticket.
    pub fn refusal_count(
        &mut self,
        ticket_id: &TicketId,
        cause: &str,
        source: &str,
        request_id: &str,
        now: Timestamp,
    ) -> Result<i64, StoreError> {
        let counted = self.query(
            "INSERT INTO refusal (ticket_id, cause, count, first_at, last_at, last_source, last_request_id)
             VALUES ($1, $2, 1, $3, $3, $4, $5)
             ON CONFLICT (ticket_id, cause) DO UPDATE
                SET count = refusal.count + 1, last_at = excluded.last_at, last_source = excluded.last_source,
                    last_request_id = excluded.last_request_id
             RETURNING count",
            params![ticket_id, cause, now, source, request_id],
            |row| row.get(0),
        )?;
        counted.first().copied().ok_or_else(|| StoreError::corrupt("an upsert returned no row"))
    }

    /// Returns every cause of refusals at a ticket, in order of their words.
    pub fn refusals(&mut self, ticket_id: &TicketId) -> Result<Vec<RefusalRow>, StoreError> {
        self.query(
            "SELECT ticket_id, cause, count, first_at, last_at, last_source, last_request_id FROM refusal
              WHERE ticket_id = $1 ORDER BY cause",
            params![ticket_id],
            |row| {
                Ok(RefusalRow {
                    ticket_id: row.get(0)?,
                    cause: row.get(1)?,
                    count: row.get(2)?,
                    first_at: row.get(3)?,
                    last_at: row.get(4)?,
                    last_source: row.get(5)?,
                    last_request_id: row.get(6)?,
                })
            },
        )
    }
}
