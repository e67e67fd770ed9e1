//! Why tickets opened no door: aggregated by cause, and the last requests of each by what their machines may quote.

use muster_ids::{TeamId, TicketId, Timestamp};
use muster_wire::refusal::RefusalCause;

use super::tickets::stored_count;
use crate::words::Word;
use crate::{StoreError, Tx, params};

/// Requests that are remembered of one cause at one ticket.
pub const REQUESTS_KEPT: u64 = 32;

/// One cause of refusals at a ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusalRow {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Why machines were refused.
    pub cause: RefusalCause,
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

/// One refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRequestRow {
    /// What the machine may quote.
    pub request_id: String,
    /// When it asked.
    pub at: Timestamp,
    /// The address it came from.
    pub source: String,
}

/// A refused request with what it was about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundRefusal {
    /// The ticket.
    pub ticket_id: TicketId,
    /// Why it was refused.
    pub cause: RefusalCause,
    /// The request.
    pub request: RefusedRequestRow,
}

impl Tx<'_> {
    /// Counts refusals of one cause, with their last requests in order, and returns how often it occurred here.
    pub fn refusals_count(
        &mut self,
        row: &RefusalRow,
        requests: &[RefusedRequestRow],
    ) -> Result<u64, StoreError> {
        let counted = self.query(
            "INSERT INTO refusal (ticket_id, cause, count, first_at, last_at, last_source, last_request_id)
             VALUES ($1, $2, $3, $4, $5, $6, $7)
             ON CONFLICT (ticket_id, cause) DO UPDATE
                SET count = refusal.count + excluded.count, last_at = excluded.last_at,
                    last_source = excluded.last_source, last_request_id = excluded.last_request_id
             RETURNING count",
            params![
                row.ticket_id,
                Word(row.cause),
                stored_count(row.count),
                row.first_at,
                row.last_at,
                row.last_source,
                row.last_request_id
            ],
            |row| row.get(0),
        )?;
        let count: u64 =
            counted.first().copied().ok_or_else(|| StoreError::corrupt("an upsert returned no row"))?;
        let latest = requests.iter().rev().take(REQUESTS_KEPT as usize);
        for (request, nth) in latest.zip((0..=count).rev()) {
            self.refused_request_put(row, stored_count(nth % REQUESTS_KEPT), request)?;
        }
        Ok(count)
    }

    fn refused_request_put(
        &mut self,
        row: &RefusalRow,
        slot: i64,
        request: &RefusedRequestRow,
    ) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO refused_request (ticket_id, cause, slot, request_id, at, source)
             VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT (ticket_id, cause, slot) DO UPDATE
                SET request_id = excluded.request_id, at = excluded.at, source = excluded.source",
            params![row.ticket_id, Word(row.cause), slot, request.request_id, request.at, request.source],
        )?;
        Ok(())
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
                    cause: row.get::<Word<RefusalCause>>(1)?.0,
                    count: row.get(2)?,
                    first_at: row.get(3)?,
                    last_at: row.get(4)?,
                    last_source: row.get(5)?,
                    last_request_id: row.get(6)?,
                })
            },
        )
    }

    /// Returns what is remembered of a request at a ticket of the team.
    pub fn refused_requests(
        &mut self,
        team_id: TeamId,
        request_id: &str,
    ) -> Result<Vec<FoundRefusal>, StoreError> {
        self.query(
            "SELECT refused_request.ticket_id, refused_request.cause, refused_request.request_id,
                    refused_request.at, refused_request.source
               FROM refused_request JOIN ticket ON ticket.id = refused_request.ticket_id
              WHERE refused_request.request_id = $1 AND ticket.team_id = $2
              ORDER BY refused_request.at, refused_request.ticket_id LIMIT 10",
            params![request_id, team_id],
            |row| {
                Ok(FoundRefusal {
                    ticket_id: row.get(0)?,
                    cause: row.get::<Word<RefusalCause>>(1)?.0,
                    request: RefusedRequestRow {
                        request_id: row.get(2)?,
                        at: row.get(3)?,
                        source: row.get(4)?,
                    },
                })
            },
        )
    }
}
