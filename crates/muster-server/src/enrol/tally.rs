//! Refusals that no transaction records: gathered by ticket and cause, written down in batches.
//!
//! Bounded: past [`GATHERED`] tickets and causes at once the others are not counted. Nothing here delays a reply.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_domain::admission::Cause;
use muster_ids::{KeyName, TicketId, Timestamp};
use muster_store::Priority;
use muster_store::rows::RefusalRow;

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
    /// By ticket and word of the cause: every node writes its rows in the same order.
    gathered: Mutex<BTreeMap<(TicketId, String), Gathered>>,
    /// Who reads waits until what was taken out is written.
    writing: tokio::sync::Mutex<()>,
}

/// Refusals of one cause at one ticket.
#[derive(Debug, Clone)]
struct Gathered {
    cause: Cause,
    /// The key of the first of them.
    key: KeyName,
    row: RefusalRow,
}

impl Tally {
    /// Counts a refusal.
    pub(super) fn add(
        &self,
        ticket_id: TicketId,
        cause: Cause,
        key: KeyName,
        source: String,
        request_id: String,
        now: Timestamp,
    ) {
        let row = RefusalRow {
            ticket_id,
            cause: cause.to_string(),
            count: 1,
            first_at: now,
            last_at: now,
            last_source: source,
            last_request_id: request_id,
        };
        self.merge(Gathered { cause, key, row });
    }

    fn merge(&self, one: Gathered) {
        let mut gathered = self.gathered();
        let place = (one.row.ticket_id, one.row.cause.clone());
        let has_place = gathered.len() < GATHERED;
        match gathered.get_mut(&place) {
            Some(known) => {
                let first_at = known.row.first_at.min(one.row.first_at);
                let count = known.row.count.saturating_add(one.row.count);
                let latest = if one.row.last_at < known.row.last_at { known.row.clone() } else { one.row };
                known.row = RefusalRow { first_at, count, ..latest };
            }
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

    fn take_batch(&self) -> Vec<Gathered> {
        let mut gathered = self.gathered();
        std::iter::from_fn(|| gathered.pop_first().map(|(_, one)| one)).take(BATCH).collect()
    }

    fn gathered(&self) -> MutexGuard<'_, BTreeMap<(TicketId, String), Gathered>> {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn record(unit: &mut Unit<'_, '_>, gathered: &Gathered) -> Result<(), Failure> {
    let row = &gathered.row;
    let is_first = unit.tx.refusals_count(row)? == row.count;
    match unit.tx.ticket_by_id(&row.ticket_id)? {
        Some(ticket) if is_first => {
            refuse::tell(unit, &ticket.ticket, gathered.cause, gathered.key, &row.last_source);
            Ok(())
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
