//! The thread that writes: many transactions share one commit, and none is answered before it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::Jobs;
use super::connection::Connection;
use crate::engine::commits::Commits;
use crate::engine::job::{Job, Verdict};
use crate::engine::watch::warn_if_slow;
use crate::{Limits, StoreError};

/// Owns the one connection that writes.
pub(super) struct Writer {
    connection: Connection,
    jobs: Jobs,
    limits: Limits,
    commits: Arc<Commits>,
}

/// How one job left the batch.
enum Ran {
    /// The batch goes on, with the job's changes or without them.
    InBatch,
    /// The whole batch was rolled back.
    BatchLost(StoreError),
}

impl Writer {
    pub(super) fn new(connection: Connection, jobs: Jobs, limits: Limits, commits: Arc<Commits>) -> Self {
        Self { connection, jobs, limits, commits }
    }

    /// Serves until the queue is closed and empty.
    pub(super) fn serve(mut self) {
        while let Some(job) = self.jobs.wait() {
            let mut waiting = VecDeque::from([job]);
            while !waiting.is_empty() {
                waiting = self.batch(waiting);
            }
        }
        self.connection.checkpoint();
    }

    /// Runs one batch to its commit and returns the jobs that must run again, in order.
    fn batch(&mut self, mut waiting: VecDeque<Box<dyn Job>>) -> VecDeque<Box<dyn Job>> {
        if let Err(error) = self.connection.begin_write() {
            // Whoever queued up meanwhile waited as long: one after the other they would wait without end.
            waiting.extend(std::iter::from_fn(|| self.jobs.take()));
            settle(waiting, &Err(error));
            return VecDeque::new();
        }
        let started = self.connection.watch().now();
        let mut done = VecDeque::new();
        while self.has_room(done.len(), started) {
            let Some(mut job) = waiting.pop_front().or_else(|| self.jobs.take()) else {
                break;
            };
            match self.run(&mut *job) {
                Ran::InBatch => done.push_back(job),
                // The interrupted job took its neighbours' changes along: they are re-runnable, so they run again.
                Ran::BatchLost(StoreError::Interrupted) => {
                    job.settle(Err(StoreError::Interrupted));
                    done.append(&mut waiting);
                    return done;
                }
                Ran::BatchLost(error) => {
                    tracing::error!(%error, jobs = done.len() + 1, "a batch of transactions was lost");
                    done.push_back(job);
                    settle(done, &Err(error));
                    return waiting;
                }
            }
        }
        let committed = self.connection.commit();
        if committed.is_ok() {
            self.commits.count(done.len());
        }
        settle(done, &committed);
        waiting
    }

    fn has_room(&self, done: usize, started: Duration) -> bool {
        done == 0
            || (done < self.limits.batch && self.connection.watch().since(started) < self.limits.batch_for)
    }

    fn run(&mut self, job: &mut dyn Job) -> Ran {
        if let Err(error) = self.connection.save() {
            return self.lose(error);
        }
        let started = self.connection.watch().start(self.limits.write_for);
        let verdict = job.run(&mut self.connection);
        let took = self.connection.watch().stop(started);
        warn_if_slow(job.name(), took, self.limits.slow_after);
        if !self.connection.is_in_transaction() {
            let lost_by = self.connection.take_lost_by();
            return Ran::BatchLost(lost_by.unwrap_or_else(|| {
                StoreError::database("keep a transaction open", "the transaction ended unexpectedly")
            }));
        }
        let closed = match verdict {
            Verdict::Keep => self.connection.keep(),
            Verdict::Undo => self.connection.undo(),
        };
        match closed {
            Ok(()) => Ran::InBatch,
            Err(error) => self.lose(error),
        }
    }

    fn lose(&self, error: StoreError) -> Ran {
        self.connection.roll_back();
        Ran::BatchLost(error)
    }
}

fn settle(jobs: VecDeque<Box<dyn Job>>, outcome: &Result<(), StoreError>) {
    for job in jobs {
        job.settle(outcome.clone());
    }
}
