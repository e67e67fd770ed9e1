//! PostgreSQL: a bounded pool; each transaction runs on a blocking thread and waits there for every statement.

mod alone;
mod line;
mod session;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Object, Pool, PoolError, Runtime};
use muster_edge::Clock;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use self::alone::Alone;
use self::line::Line;
use self::session::{Mode, PooledSession, classify};
use super::commits::{Commits, Committed};
use super::watch::{Watch, warn_if_slow};
use super::{Opening, Sharing, Work};
use crate::migrate::{Migration, advance};
use crate::sql::{Dialect, Texts};
use crate::{Limits, Priority, StoreError, WriteError};

/// Connections that only urgent work may take.
const RESERVED: usize = 2;
const CLOSE_FOR: Duration = Duration::from_secs(10);

/// An open PostgreSQL database.
pub(crate) struct Postgres {
    pool: Pool,
    /// One permit per connection.
    all: Arc<Semaphore>,
    /// One permit per connection that is not reserved.
    normal: Arc<Semaphore>,
    connections: u32,
    texts: Arc<Texts>,
    watch: Watch,
    limits: Limits,
    alone: Mutex<Option<Alone>>,
    commits: Arc<Commits>,
}

/// The right to use one connection.
struct Seat {
    client: Object,
    _permits: (Option<OwnedSemaphorePermit>, OwnedSemaphorePermit),
}

impl Postgres {
    pub(crate) async fn open(url: &str, opening: Opening) -> Result<Self, StoreError> {
        let Opening { clock, limits, sharing, migrations } = opening;
        let line = Arc::new(Line::parse(url)?);
        let connections = limits.connections.max(RESERVED + 1);
        let pool = pool(&line, connections)?;
        let alone = match sharing {
            Sharing::Alone => Some(Alone::take(line, limits.occupied_for).await?),
            Sharing::WithOthers | Sharing::Reading => None,
        };
        let engine = Self {
            pool,
            all: Arc::new(Semaphore::new(connections)),
            normal: Arc::new(Semaphore::new(connections - RESERVED)),
            connections: u32::try_from(connections).unwrap_or(u32::MAX),
            texts: Arc::new(Texts::new(Dialect::Postgres)),
            watch: Watch::new(clock.clone()),
            limits,
            alone: Mutex::new(alone),
            commits: Arc::default(),
        };
        if let Some(migrations) = migrations {
            engine.migrate(migrations, clock).await?;
        }
        Ok(engine)
    }

    async fn migrate(&self, list: &'static [Migration], clock: Clock) -> Result<(), StoreError> {
        let step: Work<bool, StoreError> =
            Work { name: "migrate", closure: Arc::new(move |tx| advance(tx, list, clock.now())) };
        while self.transact(Priority::Normal, Mode::Migrate, step.clone()).await? {}
        Ok(())
    }

    pub(crate) async fn write<T, E>(&self, priority: Priority, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        self.transact(priority, Mode::Write, work).await
    }

    pub(crate) async fn read<T, E>(&self, priority: Priority, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        self.transact(priority, Mode::Read, work).await
    }

    async fn transact<T, E>(&self, priority: Priority, mode: Mode, work: Work<T, E>) -> Result<T, E>
    where
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        let Seat { client, _permits: permits } = self.seat(priority).await?;
        let runtime = Handle::current();
        let texts = Arc::clone(&self.texts);
        let (statement_for, slow_after) = (self.limits.statement_for, self.limits.slow_after);
        let (watch, commits) = (self.watch.clone(), Arc::clone(&self.commits));
        let ran = spawn_blocking(move || {
            let _permits = permits;
            let started = watch.now();
            let mut session = PooledSession::begin(client, runtime, texts, mode, statement_for)?;
            let result = work.run(&mut session);
            let result = session.finish(result);
            if mode == Mode::Write && result.is_ok() {
                commits.count(1);
            }
            warn_if_slow(work.name, watch.since(started), slow_after);
            result
        });
        ran.await.map_err(|error| StoreError::database("finish a transaction", error))?
    }

    async fn seat(&self, priority: Priority) -> Result<Seat, StoreError> {
        let seated = timeout(self.limits.connection_wait, async {
            let normal = match priority {
                Priority::Urgent => None,
                Priority::Normal => Some(permit(&self.normal).await?),
            };
            let any = permit(&self.all).await?;
            let client = self.pool.get().await.map_err(|error| match error {
                PoolError::Backend(error) => classify("connect", error),
                _ => StoreError::Busy,
            })?;
            Ok(Seat { client, _permits: (normal, any) })
        });
        seated.await.unwrap_or(Err(StoreError::Busy))
    }

    /// Says how many commits are durable.
    pub(crate) fn committed(&self) -> Committed {
        self.commits.read()
    }

    pub(crate) async fn close(&self) {
        self.normal.close();
        if timeout(CLOSE_FOR, self.all.acquire_many(self.connections)).await.is_err() {
            tracing::warn!("transactions were still running when the store closed");
        }
        self.all.close();
        self.pool.close();
        drop(self.alone.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    Arc::clone(semaphore).acquire_owned().await.map_err(|_| StoreError::Busy)
}

fn pool(line: &Line, connections: usize) -> Result<Pool, StoreError> {
    let built = Pool::builder(line.manager()).max_size(connections).runtime(Runtime::Tokio1).build();
    built.map_err(|error| StoreError::database("make a pool of connections", error))
}
