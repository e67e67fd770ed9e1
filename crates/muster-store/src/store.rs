//! The store: opens a database and runs closures on it.

mod health;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use muster_edge::{Clock, Entropy};
use muster_ids::Timestamp;

use self::health::Health;
use crate::engine::{Closure, Committed, Opening, Postgres, Sharing, Sqlite, Work};
use crate::migrate::{MIGRATIONS, Migration, advance};
use crate::{StoreError, Tx, WriteError};

const TRIES: u32 = 8;

/// Where the data is.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file, made when it is absent.
    Sqlite(PathBuf),
    /// A PostgreSQL URL. Over the network the connection is TLS and the server's certificate is verified, unless it says
    /// `sslmode=disable`; on loopback and unix sockets it is plain, unless it says `sslmode=require`.
    Postgres(String),
}

/// The text names no database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a database: expected a file, or postgres://user@host/name")]
pub struct InvalidLocation;

impl Location {
    /// Parses `postgres://..`, `postgresql://..`, `sqlite:FILE` or a plain file name.
    pub fn parse(text: &str) -> Result<Self, InvalidLocation> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            // The reason is dropped on purpose: it may quote the password.
            tokio_postgres::Config::from_str(text).map_err(|_| InvalidLocation)?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        let file = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        if file.is_empty() || file.contains("://") {
            return Err(InvalidLocation);
        }
        Ok(Self::Sqlite(PathBuf::from(file)))
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => f.debug_tuple("Sqlite").field(file).finish(),
            Self::Postgres(_) => f.write_str("Postgres([redacted])"),
        }
    }
}

/// How to open a store.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    /// Where the data is.
    pub location: Location,
    /// Tells how long transactions take.
    pub clock: Clock,
    /// What bounds the store's work.
    pub limits: Limits,
}

impl StoreConfig {
    /// Takes the default limits.
    pub fn new(location: Location, clock: Clock) -> Self {
        Self { location, clock, limits: Limits::default() }
    }
}

/// What bounds the store's work.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Jobs that may wait in each lane of a queue (SQLite).
    pub queued: usize,
    /// Jobs in one commit (SQLite).
    pub batch: usize,
    /// Time after which a commit takes no more jobs (SQLite).
    pub batch_for: Duration,
    /// A transaction above this is logged.
    pub slow_after: Duration,
    /// A write transaction above this is interrupted (SQLite).
    pub write_for: Duration,
    /// A read transaction above this is interrupted (SQLite).
    pub read_for: Duration,
    /// Threads that read (SQLite).
    pub readers: usize,
    /// Wait for another process that holds the file's lock (SQLite).
    pub busy_for: Duration,
    /// Connections to the server; two of them are kept for urgent work (PostgreSQL, at least 3).
    pub connections: usize,
    /// Wait for a free connection (PostgreSQL).
    pub connection_wait: Duration,
    /// A statement above this, lock waits included, is interrupted (PostgreSQL).
    pub statement_for: Duration,
    /// Wait for the session of a killed server to end before the database counts as occupied (PostgreSQL).
    pub occupied_for: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queued: 4096,
            batch: 256,
            batch_for: Duration::from_millis(25),
            slow_after: Duration::from_millis(50),
            write_for: Duration::from_millis(250),
            read_for: Duration::from_secs(5),
            readers: 3,
            busy_for: Duration::from_secs(5),
            connections: 16,
            connection_wait: Duration::from_secs(10),
            statement_for: Duration::from_secs(5),
            occupied_for: Duration::from_secs(5),
        }
    }
}

/// Which queue a transaction waits in, and on PostgreSQL whether it may use the reserved connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Revocation and what operators do, and what tells that they are operators: first.
    Urgent,
    /// Everything else.
    Normal,
}

/// An open database. Clones share it; dropping the last one ends its threads, [`Store::close`] also waits for them.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    engine: Engine,
    health: Health,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

impl Store {
    /// Opens the database and brings its schema up to date.
    pub async fn open(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_with(config, MIGRATIONS).await
    }

    /// Opens the database as the only one that does so, until [`Store::close`] or the end of the process.
    ///
    /// [`StoreError::Occupied`] while another server has it, before anything is changed. On PostgreSQL a connection
    /// of its own holds the database; when it is lost it is made again, and the loss is logged as an error.
    pub async fn open_alone(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_as(config, Sharing::Alone, Some(MIGRATIONS)).await
    }

    /// Opens the database beside others, only to read what is there; its schema stays as it is.
    ///
    /// A file that is not there is an error, and writes are refused as [`StoreError::Busy`] (SQLite).
    pub async fn open_to_read(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_as(config, Sharing::Reading, None).await
    }

    /// Opens the database as the only one, and leaves its schema as it is until [`Store::migrate`].
    pub async fn open_as_it_is(config: StoreConfig) -> Result<Self, StoreError> {
        Self::open_as(config, Sharing::Alone, None).await
    }

    /// Applies what is missing of these migrations, each within the limits of a write.
    pub async fn migrate(&self, list: &'static [Migration], now: Timestamp) -> Result<(), StoreError> {
        while self.write(Priority::Urgent, move |tx| advance(tx, list, now)).await? {}
        Ok(())
    }

    /// Opens the database with another list of migrations; for tests.
    pub async fn open_with(
        config: StoreConfig,
        migrations: &'static [Migration],
    ) -> Result<Self, StoreError> {
        Self::open_as(config, Sharing::WithOthers, Some(migrations)).await
    }

    async fn open_as(
        config: StoreConfig,
        sharing: Sharing,
        migrations: Option<&'static [Migration]>,
    ) -> Result<Self, StoreError> {
        let opening = Opening { clock: config.clock, limits: config.limits, sharing, migrations };
        let engine = match config.location {
            Location::Sqlite(file) => Engine::Sqlite(Sqlite::open(file, opening).await?),
            Location::Postgres(url) => Engine::Postgres(Postgres::open(&url, opening).await?),
        };
        Ok(Self(Arc::new(Inner { engine, health: Health::default() })))
    }

    /// Runs `closure` in a write transaction and answers after its commit is durable.
    ///
    /// `Err` from the closure undoes its changes and is returned as it is. A conflict re-runs the closure, at most
    /// 8 times. When the caller is cancelled the transaction may still commit. [`StoreError::CommitUnknown`] means
    /// that the reply to the commit was lost: the caller settles it by looking whether its change is there.
    pub async fn write<T, E, F>(&self, priority: Priority, closure: F) -> Result<T, E>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        let work = named(closure);
        let mut tries = 1;
        loop {
            let result = match &self.0.engine {
                Engine::Sqlite(engine) => engine.write(priority, work.clone()).await,
                Engine::Postgres(engine) => engine.write(priority, work.clone()).await,
            };
            self.0.health.after_write(&result);
            if tries == TRIES || !is_conflict(&result) {
                return result;
            }
            tokio::time::sleep(Duration::from_millis(1 << tries).mul_f64(Entropy.fraction())).await;
            tries += 1;
        }
    }

    /// Runs `closure` on one snapshot of the data; it cannot write.
    pub async fn read<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        self.read_as(Priority::Normal, closure).await
    }

    /// Runs `closure` like [`Store::read`], before what is not urgent.
    pub async fn read_urgent<T, E, F>(&self, closure: F) -> Result<T, E>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        self.read_as(Priority::Urgent, closure).await
    }

    async fn read_as<T, E, F>(&self, priority: Priority, closure: F) -> Result<T, E>
    where
        F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
        T: Send + 'static,
        E: WriteError + Send + 'static,
    {
        let result = match &self.0.engine {
            Engine::Sqlite(engine) => engine.read(priority, named(closure)).await,
            Engine::Postgres(engine) => engine.read(priority, named(closure)).await,
        };
        self.0.health.after_read(&result);
        result
    }

    /// Says whether the database answers: with a row, for a statement without one reads no page. When the last change
    /// did not reach it, whether it takes one. A database that was found damaged is not ready until the server starts
    /// anew, which looks at all of it.
    pub async fn check(&self) -> Result<(), StoreError> {
        match self.0.health.trouble() {
            Some(damaged @ StoreError::Damaged { .. }) => Err(damaged),
            Some(_) => self.write(Priority::Normal, |tx| tx.schema_touch()).await,
            None => self.read(|tx| tx.migrations_applied().map(drop)).await,
        }
    }

    /// Says how many commits were made durable since the store was opened, and for how many transactions.
    pub fn committed(&self) -> Committed {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.committed(),
            Engine::Postgres(engine) => engine.committed(),
        }
    }

    /// Refuses new work, finishes what was accepted and lets go of the database.
    pub async fn close(&self) {
        match &self.0.engine {
            Engine::Sqlite(engine) => engine.close().await,
            Engine::Postgres(engine) => engine.close().await,
        }
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0.engine {
            Engine::Sqlite(_) => "Store(Sqlite)",
            Engine::Postgres(_) => "Store(Postgres)",
        })
    }
}

fn named<T, E, F>(closure: F) -> Work<T, E>
where
    F: Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync + 'static,
{
    let closure: Closure<T, E> = Arc::new(closure);
    Work { name: std::any::type_name::<F>(), closure }
}

fn is_conflict<T, E: WriteError>(result: &Result<T, E>) -> bool {
    result.as_ref().is_err_and(|error| matches!(error.as_store(), Some(StoreError::Conflict)))
}

#[cfg(test)]
mod tests;
