//! Why tickets opened no door, aggregated by cause.

use muster_ids::{TicketId, Timestamp};

use super::tickets::stored_count;
use crate::{StoreError, Tx, params};

/// One cause of refusals at a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Why machines were refused.
    pub cause: String,
    /// How often.
    pub count: u64,
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
    ) -> Result<u64, StoreError> {
        self.refusals_count(&RefusalRow {
            ticket_id: *ticket_id,
            cause: cause.to_owned(),
            count: 1,
            first_at: now,
            last_at: now,
            last_source: source.to_owned(),
            last_request_id: request_id.to_owned(),
        })
    }

    /// Counts refusals that were gathered elsewhere and returns how often this cause occurred at this ticket.
    pub fn refusals_count(&mut self, row: &RefusalRow) -> Result<u64, StoreError> {
        let counted = self.query(
            "INSERT INTO refusal (ticket_id, cause, count, first_at, last_at, last_source, last_request_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (ticket_id, cause) DO UPDATE
                SET count = refusal.count + excluded.count, last_at = excluded.last_at,
                    last_source = excluded.last_source, last_request_id = excluded.last_request_id
             RETURNING count",
            params![
                row.ticket_id,
                row.cause,
                stored_count(row.count),
                row.first_at,
                row.last_at,
                row.last_source,
                row.last_request_id
            ],
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
