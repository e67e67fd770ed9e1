//! SQLite: one thread writes, a few read.

mod alone;
mod connection;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use muster_edge::Clock;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use self::alone::Alone;
use self::connection::Connection;
use self::writer::Writer;
use super::commits::{Commits, Committed};
use super::job::{Job, pending};
use super::queue::Queue;
use super::watch::warn_if_slow;
use super::{Opening, Sharing, Work};
use crate::migrate::{Migration, advance};
use crate::sql::{Dialect, Texts};
use crate::{Limits, Priority, StoreError, Tx, WriteError};

type Jobs = Arc<Queue<Box<dyn Job>>>;

/// An open SQLite file.
pub(crate) struct Sqlite {
    writes: Jobs,
    reads: Jobs,
    threads: Mutex<Vec<JoinHandle<()>>>,
    alone: Mutex<Option<Alone>>,
    commits: Arc<Commits>,
}

impl Sqlite {
    pub(crate) async fn open(file: PathBuf, opening: Opening) -> Result<Self, StoreError> {
        let opened = spawn_blocking(move || Self::open_now(&file, opening));
        opened.await.map_err(|error| StoreError::database("open the database", error))?
    }

    fn open_now(file: &Path, opening: Opening) -> Result<Self, StoreError> {
        let Opening { clock, limits, sharing, migrations } = opening;
        let alone = match sharing {
            Sharing::Alone => Some(Alone::take(file)?),
            Sharing::WithOthers | Sharing::Reading => None,
        };
        let texts = Arc::new(Texts::new(Dialect::Sqlite));
        let writer = match sharing {
            Sharing::Reading => None,
            Sharing::Alone | Sharing::WithOthers => {
                let begin = || {
                    let mut connection = Connection::writer(file, &texts, clock.clone(), &limits)?;
                    if sharing == Sharing::Alone {
                        connection.must_be_whole()?;
                    }
                    if let Some(migrations) = migrations {
                        migrate(&mut connection, migrations, &clock)?;
                    }
                    Ok(connection)
                };
                Some(begin()?)
            }
        };
        let engine = Self {
            writes: Arc::new(Queue::new(limits.queued)),
            reads: Arc::new(Queue::new(limits.queued)),
            threads: Mutex::default(),
            alone: Mutex::new(alone),
            commits: Arc::default(),
        };
        match writer {
            Some(connection) => {
                let writer = Writer::new(
                    connection,
                    Arc::clone(&engine.writes),
                    limits.clone(),
                    Arc::clone(&engine.commits),
                );
                engine.spawn("store-writer", &engine.writes, move || writer.serve())?;
            }
            None => engine.writes.close(),
        }
        for _ in 0..limits.readers.max(1) {
            let connection = Connection::reader(file, &texts, clock.clone(), &limits)?;
            let (jobs, limits) = (Arc::clone(&engine.reads), limits.clone());
            engine.spawn("store-reader", &engine.reads, move || serve_reads(connection, &jobs, &limits))?;
        }
        Ok(engine)
    }

    fn spawn(
        &self,
        name: &str,
        jobs: &Jobs,
        serve: impl FnOnce() + Send + 'static,
    ) -> Result<(), StoreError> {
        let guard = Abandon(Arc::clone(jobs));
        let run = move || {
            let _guard = guard;
            serve();
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(|error| StoreError::database("start a thread", error))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    pub(crate) async fn write<T, E>(&self, priority: Priority, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        let (job, answer) = pending(work);
        self.writes.push(priority, job)?;
        receive(answer).await
    }

    pub(crate) async fn read<T, E>(&self, priority: Priority, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        let (job, answer) = pending(work);
        self.reads.push(priority, job)?;
        receive(answer).await
    }

    /// Says how many commits are durable.
    pub(crate) fn committed(&self) -> Committed {
        self.commits.read()
    }

    pub(crate) async fn close(&self) {
        self.writes.close();
        self.reads.close();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        let joined = spawn_blocking(move || threads.into_iter().map(JoinHandle::join).all(|end| end.is_ok()));
        if !joined.await.unwrap_or(false) {
            tracing::error!("a thread of the store ended by a panic");
        }
        drop(self.alone.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.writes.close();
        self.reads.close();
    }
}

/// Lets those who wait for a thread know that it is gone, also when it panicked.
struct Abandon(Jobs);

impl Drop for Abandon {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.abandon();
        }
    }
}

async fn receive<T, E: WriteError>(answer: oneshot::Receiver<Result<T, E>>) -> Result<T, E> {
    match answer.await {
        Ok(result) => result,
        Err(gone) => Err(StoreError::database("finish a transaction", gone).into()),
    }
}

fn migrate(connection: &mut Connection, list: &'static [Migration], clock: &Clock) -> Result<(), StoreError> {
    loop {
        connection.begin_write()?;
        let step = advance(&mut Tx::new(connection), list, clock.now());
        match step {
            Ok(_) => connection.commit()?,
            Err(_) => connection.roll_back(),
        }
        if !step? {
            return Ok(());
        }
    }
}

fn serve_reads(mut connection: Connection, jobs: &Jobs, limits: &Limits) {
    while let Some(mut job) = jobs.wait() {
        let outcome = read_once(&mut connection, &mut *job, limits.read_for, limits.slow_after);
        job.settle(outcome);
    }
}

fn read_once(
    connection: &mut Connection,
    job: &mut dyn Job,
    limit: Duration,
    slow_after: Duration,
) -> Result<(), StoreError> {
    connection.begin_read()?;
    let started = connection.watch().start(limit);
    job.run(connection);
    let took = connection.watch().stop(started);
    connection.roll_back();
    warn_if_slow(job.name(), took, slow_after);
    Ok(())
}

#[cfg(test)]
mod tests;
