//! One transaction on one pooled connection.

use std::error::Error as _;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use deadpool_postgres::Object;
use futures_util::future::try_join_all;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_postgres::error::{DbError, Severity, SqlState};
use tokio_postgres::types::{IsNull, ToSql, Type, WrongType, to_sql_checked};
use tokio_postgres::{Error, Statement};
use uuid::Uuid;

use crate::lock::{as_asked, in_order};
use crate::row::{Columns, Row};
use crate::sql::{Dialect, Texts, for_rows, rewrite};
use crate::tx::{EachOf, EachRow, Session};
use crate::{Lock, Sql, StoreError, Value, WriteError};

/// What the client waits beyond the server's own limit before it gives the connection up.
const GRACE: Duration = Duration::from_secs(2);
const MIGRATE_FOR: Duration = Duration::from_secs(3600);

/// Rows of a stream that are held at a time.
const FETCH: &str = "FETCH FORWARD 200 FROM streamed";

/// Rows in one statement, and queries that are on their way at once.
const AT_ONCE: usize = 64;

const LOCK_ALL: &str = "SELECT CASE WHEN exclusive THEN pg_advisory_xact_lock(key) \
     ELSE pg_advisory_xact_lock_shared(key) END \
     FROM unnest($1::BIGINT[], $2::BOOL[]) AS asked (key, exclusive)";

const LOCK_FREE: &str = "SELECT CASE WHEN exclusive THEN pg_try_advisory_xact_lock(key) \
     ELSE pg_try_advisory_xact_lock_shared(key) END \
     FROM unnest($1::BIGINT[], $2::BOOL[]) WITH ORDINALITY AS asked (key, exclusive, place) ORDER BY place";

/// What a transaction is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    Read,
    Write,
    Migrate,
}

impl Mode {
    fn begin(self, statement_for: Duration) -> String {
        let how = match self {
            Self::Read => "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
            Self::Write | Self::Migrate => "ISOLATION LEVEL READ COMMITTED, READ WRITE",
        };
        // `SET LOCAL`, so that a pooler in transaction mode may sit between.
        format!("BEGIN {how}; SET LOCAL statement_timeout = {}", statement_for.as_millis())
    }
}

/// A connection inside a transaction. When it is not finished in order, the connection is thrown away.
pub(super) struct PooledSession {
    client: Option<Object>,
    runtime: Handle,
    texts: Arc<Texts>,
    statement_for: Duration,
}

impl PooledSession {
    pub(super) fn begin(
        client: Object,
        runtime: Handle,
        texts: Arc<Texts>,
        mode: Mode,
        statement_for: Duration,
    ) -> Result<Self, StoreError> {
        let statement_for = if mode == Mode::Migrate { MIGRATE_FOR } else { statement_for };
        let session = Self { client: Some(client), runtime, texts, statement_for };
        session.wait("begin", session.client().batch_execute(&mode.begin(statement_for)))?;
        Ok(session)
    }

    /// Commits `Ok` and rolls `Err` back.
    pub(super) fn finish<T, E: WriteError>(mut self, result: Result<T, E>) -> Result<T, E> {
        match result {
            Ok(value) => self.commit().map(|()| value).map_err(E::from),
            Err(error) => {
                self.roll_back();
                Err(error)
            }
        }
    }

    fn roll_back(&mut self) {
        match self.wait("roll back", self.client().batch_execute("ROLLBACK")) {
            Ok(()) => self.give_back(),
            Err(failure) => tracing::warn!(error = %failure, "a transaction could not be rolled back"),
        }
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let limit = self.statement_for + GRACE;
        let reply =
            self.runtime.block_on(async { timeout(limit, self.client().batch_execute("COMMIT")).await });
        match reply {
            Ok(Ok(())) => {
                self.give_back();
                Ok(())
            }
            // Only an ordinary error says for sure that nothing was committed.
            Ok(Err(error)) if is_ordinary(&error) => Err(classify("commit", error)),
            Ok(Err(error)) => {
                tracing::error!(%error, "the reply to a commit was lost");
                Err(StoreError::CommitUnknown)
            }
            Err(_) => {
                tracing::error!("the reply to a commit did not come");
                Err(StoreError::CommitUnknown)
            }
        }
    }

    fn give_back(&mut self) {
        drop(self.client.take());
    }

    fn client(&self) -> &Object {
        self.client.as_ref().expect("the connection leaves the session when it ends")
    }

    fn wait<T>(
        &self,
        action: &'static str,
        reply: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        let limit = self.statement_for + GRACE;
        match self.runtime.block_on(async { timeout(limit, reply).await }) {
            Ok(reply) => reply.map_err(|error| self.refused(action, error)),
            Err(elapsed) => Err(StoreError::Unreachable { source: Arc::new(elapsed) }),
        }
    }

    fn refused(&self, action: &'static str, error: Error) -> StoreError {
        // A migration by a newer server changed a table under a prepared statement: prepare again and re-run.
        let stale = error.as_db_error().is_some_and(|refusal| {
            *refusal.code() == SqlState::FEATURE_NOT_SUPPORTED && refusal.message().contains("cached plan")
        });
        if stale {
            self.client().statement_cache.clear();
            return StoreError::Conflict;
        }
        classify(action, error)
    }

    fn statement(&self, sql: Sql) -> Result<Statement, StoreError> {
        let text = self.texts.text(sql);
        self.wait("prepare a statement", self.client().prepare_cached(&text))
    }
}

impl Drop for PooledSession {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }
}

impl Session for PooledSession {
    fn execute(&mut self, sql: Sql, params: &[Value]) -> Result<u64, StoreError> {
        let statement = self.statement(sql)?;
        self.wait("run a statement", self.client().execute(&statement, &borrowed(params)))
    }

    fn execute_columns(&mut self, sql: Sql, columns: &[Vec<i64>]) -> Result<u64, StoreError> {
        let statement = self.statement(sql)?;
        let arrays: Vec<&(dyn ToSql + Sync)> = columns.iter().map(|column| column as _).collect();
        self.wait("run a statement", self.client().execute(&statement, &arrays))
    }

    fn insert_rows(&mut self, sql: Sql, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        let text = self.texts.text(sql);
        let (mut made, mut rest) = (0, rows);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rows_at_once(rest));
            let params: Vec<&(dyn ToSql + Sync)> =
                now.iter().flatten().map(|value| value as &(dyn ToSql + Sync)).collect();
            let statement =
                self.wait("prepare a statement", self.client().prepare_cached(&for_rows(&text, now.len())))?;
            made += self.wait("run a statement", self.client().execute(&statement, &params))?;
            rest = later;
        }
        Ok(made)
    }

    fn execute_each(&mut self, sql: Sql, sets: &[Vec<Value>]) -> Result<Vec<u64>, StoreError> {
        let statement = self.statement(sql)?;
        let mut changed = Vec::with_capacity(sets.len());
        for sets in sets.chunks(AT_ONCE) {
            // Polled together, they are sent together: the answers of all take one way there and back.
            let told = sets.iter().map(|set| {
                let (client, statement) = (self.client(), &statement);
                async move { client.execute(statement, &borrowed(set)).await }
            });
            changed.extend(self.wait("run a statement", try_join_all(told))?);
        }
        Ok(changed)
    }

    fn query_each(&mut self, sql: Sql, sets: &[Vec<Value>], each: &mut EachOf<'_>) -> Result<(), StoreError> {
        let statement = self.statement(sql)?;
        for (nth, sets) in sets.chunks(AT_ONCE).enumerate() {
            let asked = sets.iter().map(|set| {
                let (client, statement) = (self.client(), &statement);
                async move { client.query(statement, &borrowed(set)).await }
            });
            let found = self.wait("run a query", try_join_all(asked))?;
            for (place, rows) in found.iter().enumerate() {
                rows.iter().try_for_each(|row| each(nth * AT_ONCE + place, &Row::new(row)))?;
            }
        }
        Ok(())
    }

    fn query(&mut self, sql: Sql, params: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError> {
        let statement = self.statement(sql)?;
        let rows = self.wait("run a query", self.client().query(&statement, &borrowed(params)))?;
        rows.iter().try_for_each(|row| each(&Row::new(row)))
    }

    fn prepare(&mut self, sql: Sql) -> Result<(), StoreError> {
        self.statement(sql).map(drop)
    }

    fn lock(&mut self, locks: &[Lock]) -> Result<(), StoreError> {
        if locks.is_empty() {
            return Ok(());
        }
        let (keys, exclusive) = in_order(locks);
        let statement = self.wait("prepare a lock", self.client().prepare_cached(LOCK_ALL))?;
        self.wait("take a lock", self.client().execute(&statement, &[&keys, &exclusive])).map(drop)
    }

    fn lock_if_free(&mut self, locks: &[Lock]) -> Result<Vec<bool>, StoreError> {
        let (keys, exclusive) = as_asked(locks);
        let statement = self.wait("prepare a lock", self.client().prepare_cached(LOCK_FREE))?;
        let rows = self.wait("take a lock", self.client().query(&statement, &[&keys, &exclusive]))?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    fn script(&mut self, source: &str) -> Result<(), StoreError> {
        self.wait("run a script", self.client().batch_execute(&rewrite(source, Dialect::Postgres)))
    }

    fn execute_built(&mut self, text: &str, params: &[Value]) -> Result<u64, StoreError> {
        let statement = self.wait("prepare a statement", self.client().prepare_cached(text))?;
        self.wait("run a statement", self.client().execute(&statement, &borrowed(params)))
    }

    fn stream_built(&mut self, text: &str, each: &mut EachRow<'_>) -> Result<(), StoreError> {
        let declare = format!("DECLARE streamed NO SCROLL CURSOR FOR {text}");
        self.wait("open a cursor", self.client().batch_execute(&declare))?;
        loop {
            let rows = self.wait("read rows", self.client().query(FETCH, &[]))?;
            if rows.is_empty() {
                return self.wait("close a cursor", self.client().batch_execute("CLOSE streamed"));
            }
            rows.iter().try_for_each(|row| each(&Row::new(row)))?;
        }
    }
}

/// A power of two, so that few statements are kept of one text.
fn rows_at_once(rows: &[Vec<Value>]) -> usize {
    1 << rows.len().min(AT_ONCE).ilog2()
}

fn borrowed(params: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}

impl ToSql for Value {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match (self, ty) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(number), &Type::INT8) => number.to_sql(ty, out),
            (Self::Integer(number), &Type::INT4) => i32::try_from(*number)?.to_sql(ty, out),
            (Self::Integer(number @ (0 | 1)), &Type::BOOL) => (*number == 1).to_sql(ty, out),
            (Self::Text(text), &Type::TEXT | &Type::VARCHAR) => text.to_sql(ty, out),
            (Self::Bytes(bytes), &Type::BYTEA) => bytes.to_sql(ty, out),
            (Self::Uuid(uuid), &Type::UUID) => uuid.to_sql(ty, out),
            _ => Err(Box::new(WrongType::new::<Self>(ty.clone()))),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl Columns for tokio_postgres::Row {
    fn value(&self, index: usize) -> Result<Value, StoreError> {
        let Some(column) = self.columns().get(index) else {
            return Err(StoreError::corrupt(format!("no column {index}")));
        };
        let value = match *column.type_() {
            Type::INT8 => self.try_get::<_, Option<i64>>(index).map(|v| v.map(Value::Integer)),
            Type::INT4 => self.try_get::<_, Option<i32>>(index).map(|v| v.map(|n| Value::Integer(n.into()))),
            Type::BOOL => self.try_get::<_, Option<bool>>(index).map(|v| v.map(|b| Value::Integer(b.into()))),
            Type::TEXT | Type::VARCHAR => {
                self.try_get::<_, Option<String>>(index).map(|v| v.map(Value::Text))
            }
            Type::BYTEA => self.try_get::<_, Option<Vec<u8>>>(index).map(|v| v.map(Value::Bytes)),
            Type::UUID => self.try_get::<_, Option<Uuid>>(index).map(|v| v.map(Value::Uuid)),
            ref other => {
                return Err(StoreError::corrupt(format!("column {index} has the type {other}: cast it")));
            }
        };
        Ok(value.map_err(|error| classify("read a column", error))?.unwrap_or(Value::Null))
    }
}

/// Whether the server refused one statement and lives on.
fn is_ordinary(error: &Error) -> bool {
    error.as_db_error().is_some_and(|refusal| refusal.parsed_severity() == Some(Severity::Error))
}

/// Sorts a driver's error by what the caller can do about it.
pub(super) fn classify(action: &'static str, error: Error) -> StoreError {
    let Some(code) = error.code() else {
        let cut = error.is_closed() || error.source().is_some_and(<dyn std::error::Error>::is::<io::Error>);
        return if cut {
            StoreError::Unreachable { source: Arc::new(error) }
        } else {
            StoreError::database(action, error)
        };
    };
    match *code {
        SqlState::T_R_SERIALIZATION_FAILURE | SqlState::T_R_DEADLOCK_DETECTED => StoreError::Conflict,
        SqlState::QUERY_CANCELED => StoreError::Interrupted,
        SqlState::DISK_FULL => StoreError::Full,
        SqlState::DATA_CORRUPTED | SqlState::INDEX_CORRUPTED => {
            StoreError::damaged(error.as_db_error().map_or_else(|| error.to_string(), DbError::to_string))
        }
        ref other if is_outage(other.code()) => StoreError::Unreachable { source: Arc::new(error) },
        _ => StoreError::database(action, error),
    }
}

/// Connection exceptions, too many connections or out of memory, and a server that stops or starts.
fn is_outage(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("53") || code.starts_with("57P0")
}
