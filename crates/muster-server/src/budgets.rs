//! How much is done at once for machines and people nobody knows yet (DESIGN §4, Limits).
//!
//! Whoever finds no place waits in a bounded line for a bounded time, then gets 503 with `Retry-After`. Places are
//! taken after a request was read and never while a socket is waited for. Each face has places of its own, so that
//! a flood at one leaves the others be; health checks need none.

mod in_flight;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muster_ids::{TeamId, TicketId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use crate::failure::Failure;

pub use in_flight::{Flight, InFlight};

/// How long somebody waits for a place before they are sent away.
const WAIT: Duration = Duration::from_secs(3);
/// Enrolments that are in their transactions at once.
pub const ENTERING: usize = 64;
/// Machines that may wait for their turn at one ticket.
const LINE_AT_A_TICKET: usize = 256;

/// The places of all faces.
#[derive(Debug)]
pub struct Budgets {
    /// Tickets being looked up.
    pub door: Places,
    /// Enrolments in their transaction: few enough that a commit of each keeps nobody else waiting.
    pub entering: Places,
    /// Keys of hosts being looked up: all hosts of an installation may come back at once.
    pub agents: Places,
    /// Operators' tokens being looked up: few, for they go before all other work.
    pub operators: Places,
    /// Passwords being hashed: two, because each takes 19 MiB and a processor.
    pub passwords: Places,
    /// Passwords being judged for one source: few enough that guesses in parallel are hardly more than in a row, and
    /// that a flood from one place leaves room in the line for others.
    pub guessers: InFlight,
    /// People whose provider is asked about them: each waits for somebody outside.
    pub providers: Places,
    /// The same for one source: nobody makes this server knock at a provider all the time.
    pub vouched: InFlight,
    /// Test messages being sent: each takes as long as a receiver keeps it waiting, so nobody waits for a place.
    pub test_messages: Places,
    /// The same for one team: none takes the places of all.
    pub testers: InFlight<TeamId>,
    /// One machine at a time at a ticket that admits a limited number.
    pub tickets: Turns,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            door: Places::new(64, 4096),
            entering: Places::new(ENTERING, 4096),
            agents: Places::new(64, 16 * 1024),
            operators: Places::new(8, 1024),
            passwords: Places::new(2, 64),
            guessers: InFlight::default(),
            providers: Places::new(16, 256),
            vouched: InFlight::default(),
            test_messages: Places::new(8, 0),
            testers: InFlight::of(1),
            tickets: Turns::default(),
        }
    }
}

/// A number of places and a line before them.
#[derive(Debug)]
pub struct Places {
    free: Arc<Semaphore>,
    line: Semaphore,
    wait: Duration,
}

/// A place, until it is dropped.
#[derive(Debug)]
pub struct Place(#[allow(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Places {
    fn new(places: usize, line: usize) -> Self {
        Self { free: Arc::new(Semaphore::new(places)), line: Semaphore::new(line), wait: WAIT }
    }

    /// Takes a place, or waits for one in line.
    pub async fn take(&self) -> Result<Place, Failure> {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(Place(place));
        }
        let _in_line = self.line.try_acquire().map_err(|_| Failure::OverBudget)?;
        within(self.wait, Arc::clone(&self.free)).await.map(Place)
    }
}

async fn within(wait: Duration, free: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Failure> {
    match timeout(wait, free.acquire_owned()).await {
        Ok(Ok(permit)) => Ok(permit),
        Ok(Err(_)) | Err(_) => Err(Failure::OverBudget),
    }
}

/// Whose turn it is at which ticket. A machine waits here and not at the lock of the database, where each waiting
/// transaction would hold one of few connections.
#[derive(Debug, Clone)]
pub struct Turns {
    queues: Arc<Mutex<HashMap<TicketId, Queue>>>,
    wait: Duration,
}

#[derive(Debug)]
struct Queue {
    head: Arc<Semaphore>,
    people: usize,
}

/// The turn at a ticket, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _head: OwnedSemaphorePermit,
    _in_queue: InQueue,
}

#[derive(Debug)]
struct InQueue {
    turns: Turns,
    ticket_id: TicketId,
}

impl Default for Turns {
    fn default() -> Self {
        Self { queues: Arc::default(), wait: WAIT }
    }
}

impl Turns {
    /// Waits for the turn at a ticket.
    pub async fn take(&self, ticket_id: TicketId) -> Result<Turn, Failure> {
        let (head, in_queue) = self.enter(ticket_id)?;
        Ok(Turn { _head: within(self.wait, head).await?, _in_queue: in_queue })
    }

    fn enter(&self, ticket_id: TicketId) -> Result<(Arc<Semaphore>, InQueue), Failure> {
        let mut queues = self.queues();
        let queue =
            queues.entry(ticket_id).or_insert_with(|| Queue { head: Arc::new(Semaphore::new(1)), people: 0 });
        if queue.people > LINE_AT_A_TICKET {
            return Err(Failure::OverBudget);
        }
        queue.people += 1;
        Ok((Arc::clone(&queue.head), InQueue { turns: self.clone(), ticket_id }))
    }

    fn queues(&self) -> MutexGuard<'_, HashMap<TicketId, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for InQueue {
    fn drop(&mut self) {
        let mut queues = self.turns.queues();
        if let Some(queue) = queues.get_mut(&self.ticket_id) {
            queue.people -= 1;
            if queue.people == 0 {
                queues.remove(&self.ticket_id);
            }
        }
    }
}

#[cfg(test)]
mod tests;
