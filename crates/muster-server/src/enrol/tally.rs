//! Refusals that no transaction records: gathered by ticket and cause, written down in batches.
//!
//! Bounded: past [`GATHERED`] tickets and causes at once the others are not counted. Nothing here delays a reply.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_ids::{KeyName, TicketId, Timestamp};
use muster_store::Priority;
use muster_store::rows::{REQUESTS_KEPT, RefusalRow, RefusedRequestRow};
use muster_wire::refusal::RefusalCause;

use super::refuse;
use crate::app::App;
use crate::failure::Failure;
use crate::unit::Unit;

/// Tickets and causes that are gathered at once.
const GATHERED: usize = 4096;
/// Rows of one transaction.
const BATCH: usize = 100;

/// Refusals that are still to be written down.
#[derive(Debug, Default)]
pub struct Tally {
    /// By ticket and cause: every node writes its rows in the same order.
    gathered: Mutex<BTreeMap<(TicketId, RefusalCause), Gathered>>,
    /// Who reads waits until what was taken out is written.
    writing: tokio::sync::Mutex<()>,
}

/// Refusals of one cause at one ticket.
#[derive(Debug, Clone)]
struct Gathered {
    /// The key of the first of them.
    key: KeyName,
    row: RefusalRow,
    /// The last of them, in order.
    requests: Vec<RefusedRequestRow>,
}

impl Gathered {
    /// Takes what was counted elsewhere into account, whichever of both came first.
    fn add(&mut self, other: Self) {
        let count = self.row.count.saturating_add(other.row.count);
        let first_at = self.row.first_at.min(other.row.first_at);
        let latest = if other.row.last_at < self.row.last_at { self.row.clone() } else { other.row };
        self.row = RefusalRow { first_at, count, ..latest };
        self.requests.extend(other.requests);
        self.requests.sort_by_key(|request| request.at);
        let kept = usize::try_from(REQUESTS_KEPT).unwrap_or(usize::MAX);
        self.requests.drain(..self.requests.len().saturating_sub(kept));
    }
}

impl Tally {
    /// Counts a refusal.
    pub(super) fn add(
        &self,
        ticket_id: TicketId,
        cause: RefusalCause,
        key: KeyName,
        source: String,
        request_id: String,
        now: Timestamp,
    ) {
        let request = RefusedRequestRow { request_id: request_id.clone(), at: now, source: source.clone() };
        let row = RefusalRow {
            ticket_id,
            cause,
            count: 1,
            first_at: now,
            last_at: now,
            last_source: source,
            last_request_id: request_id,
        };
        self.merge(Gathered { key, row, requests: vec![request] });
    }

    fn merge(&self, one: Gathered) {
        let mut gathered = self.gathered();
        let place = (one.row.ticket_id, one.row.cause);
        let has_place = gathered.len() < GATHERED;
        match gathered.get_mut(&place) {
            Some(known) => known.add(one),
            None if has_place => {
                gathered.insert(place, one);
            }
            None => {}
        }
    }

    /// Writes down what was gathered; what cannot be written is kept for the next time.
    pub async fn write(&self, app: &App) -> Result<(), Failure> {
        let _writing = self.writing.lock().await;
        while let batch = self.take_batch()
            && !batch.is_empty()
        {
            let (now, rows) = (app.clock.now(), batch.clone());
            let written = app.change(Priority::Normal, now, move |unit| {
                rows.iter().try_for_each(|gathered| record(unit, gathered))
            });
            if let Err(failure) = written.await {
                batch.into_iter().for_each(|gathered| self.merge(gathered));
                return Err(failure);
            }
        }
        Ok(())
    }

    /// Writes down what was gathered before somebody reads it, as far as the database takes it.
    pub async fn write_if_possible(&self, app: &App) {
        if let Err(error) = self.write(app).await {
            tracing::warn!(%error, "refusals were not written down");
        }
    }

    fn take_batch(&self) -> Vec<Gathered> {
        let mut gathered = self.gathered();
        std::iter::from_fn(|| gathered.pop_first().map(|(_, one)| one)).take(BATCH).collect()
    }

    fn gathered(&self) -> MutexGuard<'_, BTreeMap<(TicketId, RefusalCause), Gathered>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(unit: &mut Unit<'_, '_>, gathered: &Gathered) -> Result<(), Failure> {
    let row = &gathered.row;
    let is_first = unit.tx.refusals_count(row, &gathered.requests)? == row.count;
    match unit.tx.ticket_by_id(&row.ticket_id)? {
        Some(ticket) if is_first => {
            refuse::tell(unit, &ticket.ticket, row.cause, gathered.key, &row.last_source);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
