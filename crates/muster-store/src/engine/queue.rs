//! A bounded queue with two lanes, between tasks and a thread.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Priority, StoreError};

/// Holds jobs for the threads that own connections. The urgent lane is emptied first.
#[derive(Debug)]
pub(super) struct Queue<J> {
    lanes: Mutex<Lanes<J>>,
    filled: Condvar,
    limit: usize,
}

#[derive(Debug)]
struct Lanes<J> {
    urgent: VecDeque<J>,
    normal: VecDeque<J>,
    closed: bool,
}

impl<J> Lanes<J> {
    fn pop(&mut self) -> Option<J> {
        self.urgent.pop_front().or_else(|| self.normal.pop_front())
    }
}

impl<J> Queue<J> {
    /// `limit` holds for each lane.
    pub(super) fn new(limit: usize) -> Self {
        let lanes = Lanes { urgent: VecDeque::new(), normal: VecDeque::new(), closed: false };
        Self { lanes: Mutex::new(lanes), filled: Condvar::new(), limit }
    }

    /// Adds a job, or refuses it at once when its lane is full or the queue closed.
    pub(super) fn push(&self, priority: Priority, job: J) -> Result<(), StoreError> {
        let mut lanes = self.lanes();
        let closed = lanes.closed;
        let lane = match priority {
            Priority::Urgent => &mut lanes.urgent,
            Priority::Normal => &mut lanes.normal,
        };
        if closed || lane.len() >= self.limit {
            return Err(StoreError::Busy);
        }
        lane.push_back(job);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for a job. `None`: the queue is closed and empty.
    pub(super) fn wait(&self) -> Option<J> {
        let mut lanes = self.lanes();
        loop {
            if let Some(job) = lanes.pop() {
                return Some(job);
            }
            if lanes.closed {
                return None;
            }
            lanes = self.filled.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Returns a job if there is one now.
    pub(super) fn take(&self) -> Option<J> {
        self.lanes().pop()
    }

    /// Refuses new jobs; those inside are still handed out.
    pub(super) fn close(&self) {
        self.lanes().closed = true;
        self.filled.notify_all();
    }

    /// Closes and drops what is inside, so that nobody waits for a thread that is gone.
    pub(super) fn abandon(&self) {
        let mut lanes = self.lanes();
        lanes.closed = true;
        lanes.urgent.clear();
        lanes.normal.clear();
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes<J>> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
