//! The two databases behind [`Session`]: the only modules that know a driver.

mod commits;
mod job;
mod postgres;
mod queue;
mod sqlite;
mod watch;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use muster_edge::Clock;

pub use commits::Committed;
pub(crate) use postgres::Postgres;
pub(crate) use sqlite::Sqlite;

use crate::migrate::Migration;
use crate::tx::Session;
use crate::{Limits, StoreError, Tx, WriteError};

/// Whether another server may have the database open, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Alone,
    WithOthers,
    /// Beside others, and only to read what is there: nothing is made.
    Reading,
}

/// How to open a database.
pub(crate) struct Opening {
    pub(crate) clock: Clock,
    pub(crate) limits: Limits,
    pub(crate) sharing: Sharing,
    /// `None`: the schema stays as it is.
    pub(crate) migrations: Option<&'static [Migration]>,
}

/// A unit of work, re-runnable.
pub(crate) type Closure<T, E> = Arc<dyn Fn(&mut Tx<'_>) -> Result<T, E> + Send + Sync>;

/// A unit of work with the name that a log line gives it.
pub(crate) struct Work<T, E> {
    pub(crate) name: &'static str,
    pub(crate) closure: Closure<T, E>,
}

impl<T, E> Clone for Work<T, E> {
    fn clone(&self) -> Self {
        Self { name: self.name, closure: Arc::clone(&self.closure) }
    }
}

impl<T, E: WriteError> Work<T, E> {
    /// Runs the closure once. Only `Ok` may be committed.
    fn run(&self, session: &mut dyn Session) -> Result<T, E> {
        let mut tx = Tx::new(session);
        let result = catch_unwind(AssertUnwindSafe(|| (self.closure)(&mut tx)));
        let failure = tx.into_failure();
        match (result, failure) {
            (Err(_), _) => Err(StoreError::database("finish a transaction", "the closure panicked").into()),
            (Ok(Err(error)), Some(_)) if error.as_store().is_some() => Err(error),
            (Ok(_), Some(failure)) => Err(failure.into()),
            (Ok(result), None) => result,
        }
    }
}
