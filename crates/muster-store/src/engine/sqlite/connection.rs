//! One connection to the file.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use muster_edge::Clock;
use rusqlite::config::DbConfig;
use rusqlite::ffi::SQLITE_READONLY;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{ErrorCode, OpenFlags, params_from_iter};
use uuid::Uuid;

use crate::engine::watch::Watch;
use crate::row::{Columns, Row};
use crate::sql::{Dialect, Texts, rewrite};
use crate::tx::{EachOf, EachRow, Session};
use crate::{Limits, Lock, Sql, StoreError, Value};

const LOG_TRIES: u32 = 50;
const LOG_PAUSE: Duration = Duration::from_millis(20);
const CACHED_STATEMENTS: usize = 512;
/// Steps of SQLite's machine between two looks at the clock: well below a millisecond.
const STEPS_PER_LOOK: i32 = 1000;
const MAPPED_BYTES: i64 = 256 << 20;
const CHECKPOINT_PAGES: i64 = 4000;
const LOG_BYTES_KEPT: i64 = 64 << 20;

/// A connection, with the deadline of what runs on it.
pub(super) struct Connection {
    inner: rusqlite::Connection,
    file: PathBuf,
    texts: Arc<Texts>,
    watch: Watch,
    lost_by: Option<StoreError>,
    only_reads: bool,
}

impl Connection {
    /// Opens the connection that writes; makes the file when it is absent.
    pub(super) fn writer(
        file: &Path,
        texts: &Arc<Texts>,
        clock: Clock,
        limits: &Limits,
    ) -> Result<Self, StoreError> {
        make_file(file)?;
        let connection = Self::open(file, texts, clock, limits)?;
        connection.begin_log()?;
        connection.pragma("synchronous", "full")?;
        connection.pragma("foreign_keys", true)?;
        connection.pragma("wal_autocheckpoint", CHECKPOINT_PAGES)?;
        connection.pragma("journal_size_limit", LOG_BYTES_KEPT)?;
        Ok(connection)
    }

    /// Opens a connection that cannot write.
    pub(super) fn reader(
        file: &Path,
        texts: &Arc<Texts>,
        clock: Clock,
        limits: &Limits,
    ) -> Result<Self, StoreError> {
        let connection = Self { only_reads: true, ..Self::open(file, texts, clock, limits)? };
        connection.pragma("query_only", true)?;
        connection.pragma("mmap_size", MAPPED_BYTES)?;
        Ok(connection)
    }

    fn open(file: &Path, texts: &Arc<Texts>, clock: Clock, limits: &Limits) -> Result<Self, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let refused = |error| classify("open the database", error, file);
        let mut inner = rusqlite::Connection::open_with_flags(file, flags).map_err(refused)?;
        inner.busy_timeout(limits.busy_for).map_err(refused)?;
        inner.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        // Plans are made for a statement, never for the values bound to it: otherwise whatever could use a partial index is
        // parsed and planned anew for each value.
        inner.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true).map_err(refused)?;
        let watch = Watch::new(clock);
        let deadline = watch.clone();
        inner.progress_handler(STEPS_PER_LOOK, Some(move || deadline.passed())).map_err(refused)?;
        let (file, texts) = (file.to_owned(), Arc::clone(texts));
        let connection = Self { inner, file, texts, watch, lost_by: None, only_reads: false };
        connection.pragma("temp_store", "memory")?;
        connection.pragma("trusted_schema", false)?;
        Ok(connection)
    }

    /// Turns the write-ahead log on. SQLite answers busy at once, whatever the timeout says, when another process that
    /// opens the file does the same in this moment.
    fn begin_log(&self) -> Result<(), StoreError> {
        for _ in 0..LOG_TRIES {
            match self.pragma("journal_mode", "wal") {
                Err(StoreError::Busy) => std::thread::sleep(LOG_PAUSE),
                settled => return settled,
            }
        }
        self.pragma("journal_mode", "wal")
    }

    /// Looks at every page for damage that SQLite can see.
    pub(super) fn must_be_whole(&self) -> Result<(), StoreError> {
        let looked = self.inner.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
        match looked.map_err(|error| self.classified("look for damage", error))? {
            found if found == "ok" => Ok(()),
            found => Err(StoreError::damaged(format!("{}: {found}", self.file.display()))),
        }
    }

    fn pragma(&self, name: &str, value: impl rusqlite::ToSql) -> Result<(), StoreError> {
        let set = self.inner.pragma_update_and_check(None, name, value, |_| Ok(()));
        match set {
            // A pragma that answers nothing was set all the same.
            Ok(()) | Err(rusqlite::Error::QueryReturnedNoRows) => Ok(()),
            Err(error) => Err(self.classified("configure the database", error)),
        }
    }

    pub(super) fn watch(&self) -> &Watch {
        &self.watch
    }

    pub(super) fn begin_write(&self) -> Result<(), StoreError> {
        self.control("BEGIN IMMEDIATE")
    }

    pub(super) fn begin_read(&self) -> Result<(), StoreError> {
        self.control("BEGIN DEFERRED")
    }

    pub(super) fn save(&self) -> Result<(), StoreError> {
        self.control("SAVEPOINT job")
    }

    pub(super) fn keep(&self) -> Result<(), StoreError> {
        self.control("RELEASE job")
    }

    pub(super) fn undo(&self) -> Result<(), StoreError> {
        self.control("ROLLBACK TO job")?;
        self.keep()
    }

    /// Commits, or leaves no transaction behind.
    pub(super) fn commit(&self) -> Result<(), StoreError> {
        let committed = self.inner.prepare_cached("COMMIT").and_then(|mut statement| statement.execute([]));
        let Err(error) = committed else {
            return Ok(());
        };
        self.roll_back();
        // The log may hold the commit although its sync failed: a restart could bring it back.
        if error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure) {
            tracing::error!(%error, "the commit could not be made durable");
            return Err(StoreError::CommitUnknown);
        }
        Err(self.classified("commit", error))
    }

    pub(super) fn roll_back(&self) {
        if self.is_in_transaction()
            && let Err(error) = self.control("ROLLBACK")
        {
            tracing::error!(%error, "a transaction could not be rolled back");
        }
    }

    /// `false` also after a full disk or an I/O error: SQLite then rolls everything back by itself.
    pub(super) fn is_in_transaction(&self) -> bool {
        !self.inner.is_autocommit()
    }

    /// Returns the error by which SQLite rolled the transaction back.
    pub(super) fn take_lost_by(&mut self) -> Option<StoreError> {
        self.lost_by.take()
    }

    /// Empties the log into the file, when the store closes.
    pub(super) fn checkpoint(&self) {
        if let Err(error) = self.inner.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())) {
            tracing::warn!(%error, "the log could not be emptied into the database file");
        }
    }

    fn control(&self, text: &'static str) -> Result<(), StoreError> {
        let done = self.inner.prepare_cached(text).and_then(|mut statement| statement.execute([]));
        done.map(drop).map_err(|error| self.classified("control a transaction", error))
    }

    fn failed(&mut self, action: &'static str, error: rusqlite::Error) -> StoreError {
        let error = self.classified(action, error);
        if !self.is_in_transaction() {
            self.lost_by.get_or_insert_with(|| error.clone());
        }
        error
    }

    fn classified(&self, action: &'static str, error: rusqlite::Error) -> StoreError {
        let is_refused_change = |error: &rusqlite::ffi::Error| error.extended_code == SQLITE_READONLY;
        if self.only_reads && error.sqlite_error().is_some_and(is_refused_change) {
            return StoreError::database(action, error);
        }
        classify(action, error, &self.file)
    }

    fn in_time(&self) -> Result<(), StoreError> {
        if self.watch.passed() { Err(StoreError::Interrupted) } else { Ok(()) }
    }
}

/// Makes the file, for its owner alone, when it is absent.
pub(super) fn make_file(file: &Path) -> Result<(), StoreError> {
    let made = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(file);
    made.map(drop).map_err(|error| StoreError::database("open the database file", error))
}

impl Session for Connection {
    fn execute(&mut self, sql: Sql, params: &[Value]) -> Result<u64, StoreError> {
        self.in_time()?;
        let run = || -> rusqlite::Result<usize> {
            self.inner.prepare_cached(&self.texts.text(sql))?.execute(params_from_iter(params))
        };
        match run() {
            Ok(changed) => Ok(changed as u64),
            Err(error) => Err(self.failed("run a statement", error)),
        }
    }

    fn execute_columns(&mut self, sql: Sql, columns: &[Vec<i64>]) -> Result<u64, StoreError> {
        self.in_time()?;
        let run = || -> rusqlite::Result<usize> {
            let mut statement = self.inner.prepare_cached(&self.texts.text(sql))?;
            let mut changed = 0;
            for place in 0..columns.first().map_or(0, Vec::len) {
                changed += statement.execute(params_from_iter(columns.iter().map(|column| column[place])))?;
            }
            Ok(changed)
        };
        match run() {
            Ok(changed) => Ok(changed as u64),
            Err(error) => Err(self.failed("run a statement", error)),
        }
    }

    fn insert_rows(&mut self, sql: Sql, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        rows.iter().map(|row| self.execute(sql, row)).sum()
    }

    fn execute_each(&mut self, sql: Sql, sets: &[Vec<Value>]) -> Result<Vec<u64>, StoreError> {
        sets.iter().map(|set| self.execute(sql, set)).collect()
    }

    fn query_each(&mut self, sql: Sql, sets: &[Vec<Value>], each: &mut EachOf<'_>) -> Result<(), StoreError> {
        sets.iter().enumerate().try_for_each(|(place, set)| self.query(sql, set, &mut |row| each(place, row)))
    }

    fn query(&mut self, sql: Sql, params: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.in_time()?;
        let mut run = || -> rusqlite::Result<Result<(), StoreError>> {
            let mut statement = self.inner.prepare_cached(&self.texts.text(sql))?;
            let mut rows = statement.query(params_from_iter(params))?;
            while let Some(row) = rows.next()? {
                if let Err(error) = each(&Row::new(row)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        let ran = run();
        ran.unwrap_or_else(|error| Err(self.failed("run a query", error)))
    }

    fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        let prepared = self.inner.prepare_cached(&self.texts.text(sql));
        prepared.map(drop).map_err(|error| self.classified("prepare a statement", error))
    }

    fn lock(&mut self, _: &[Lock]) -> Result<(), StoreError> {
        Ok(())
    }

    fn lock_if_free(&mut self, locks: &[Lock]) -> Result<Vec<bool>, StoreError> {
        Ok(vec![true; locks.len()])
    }

    fn script(&mut self, source: &str) -> Result<(), StoreError> {
        let done = self.inner.execute_batch(&rewrite(source, Dialect::Sqlite));
        done.map_err(|error| self.classified("run a script", error))
    }

    fn execute_built(&mut self, text: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.in_time()?;
        let text = rewrite(text, Dialect::Sqlite);
        let run = || -> rusqlite::Result<usize> {
            self.inner.prepare_cached(&text)?.execute(params_from_iter(params))
        };
        run().map(|changed| changed as u64).map_err(|error| self.failed("run a statement", error))
    }

    fn stream_built(&mut self, text: &str, each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.in_time()?;
        let mut run = || -> rusqlite::Result<Result<(), StoreError>> {
            let mut statement = self.inner.prepare(text)?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                if let Err(error) = each(&Row::new(row)) {
                    return Ok(Err(error));
                }
            }
            Ok(Ok(()))
        };
        let ran = run();
        ran.unwrap_or_else(|error| Err(self.failed("run a query", error)))
    }
}

impl rusqlite::ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Uuid(uuid) => ValueRef::Blob(Uuid::as_bytes(uuid)),
        }))
    }
}

impl Columns for rusqlite::Row<'_> {
    fn value(&self, index: usize) -> Result<Value, StoreError> {
        match self.get_ref(index).map_err(|error| StoreError::database("read a column", error))? {
            ValueRef::Null => Ok(Value::Null),
            ValueRef::Integer(number) => Ok(Value::Integer(number)),
            ValueRef::Text(text) => match std::str::from_utf8(text) {
                Ok(text) => Ok(Value::Text(text.to_owned())),
                Err(_) => Err(StoreError::corrupt(format!("column {index} is not UTF-8"))),
            },
            ValueRef::Blob(bytes) => Ok(Value::Bytes(bytes.to_vec())),
            ValueRef::Real(_) => Err(StoreError::corrupt(format!("column {index} holds a fraction"))),
        }
    }
}

fn classify(action: &'static str, error: rusqlite::Error, file: &Path) -> StoreError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::OperationInterrupted) => StoreError::Interrupted,
        // A disk that went away or read-only may come back; what was sent to it can be sent again.
        Some(ErrorCode::SystemIoFailure | ErrorCode::ReadOnly | ErrorCode::CannotOpen) => {
            StoreError::Unreachable { source: Arc::new(error) }
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            StoreError::damaged(format!("{}: {error}", file.display()))
        }
        _ => StoreError::database(action, error),
    }
}

#[cfg(test)]
mod tests;
