//! The transaction a closure works in.

use crate::row::Row;
use crate::{Lock, Sql, StoreError, Value};

/// Takes one row of a result.
pub(crate) type EachRow<'a> = dyn FnMut(&Row<'_>) -> Result<(), StoreError> + 'a;

/// Takes one row of the result of the set of parameters at a place.
pub(crate) type EachOf<'a> = dyn FnMut(usize, &Row<'_>) -> Result<(), StoreError> + 'a;

/// What a database connection does inside a transaction.
pub(crate) trait Session {
    fn execute(&mut self, sql: Sql, params: &[Value]) -> Result<u64, StoreError>;
    /// Runs a statement for each place of columns of integers: in a loop of one prepared statement (SQLite), or once
    /// with an array for each column (PostgreSQL).
    fn execute_columns(&mut self, sql: Sql, columns: &[Vec<i64>]) -> Result<u64, StoreError>;
    /// Makes many rows by an `INSERT` of one: in a loop of one prepared statement (SQLite), or many rows at a time
    /// (PostgreSQL).
    fn insert_rows(&mut self, sql: Sql, rows: &[Vec<Value>]) -> Result<u64, StoreError>;
    /// Runs a statement for each set of parameters, as [`Session::query_each`] does, and returns how many rows each changed.
    fn execute_each(&mut self, sql: Sql, sets: &[Vec<Value>]) -> Result<Vec<u64>, StoreError>;
    fn query(&mut self, sql: Sql, params: &[Value], each: &mut EachRow<'_>) -> Result<(), StoreError>;
    /// Runs a query for each set of parameters: one after the other (SQLite), or all on their way at once (PostgreSQL).
    fn query_each(&mut self, sql: Sql, sets: &[Vec<Value>], each: &mut EachOf<'_>) -> Result<(), StoreError>;
    fn prepare(&mut self, sql: Sql) -> Result<(), StoreError>;
    fn lock(&mut self, locks: &[Lock]) -> Result<(), StoreError>;
    fn lock_if_free(&mut self, locks: &[Lock]) -> Result<Vec<bool>, StoreError>;
    /// Runs a script of several statements without parameters.
    fn script(&mut self, source: &str) -> Result<(), StoreError>;
    /// Runs a statement that was built at run time.
    fn execute_built(&mut self, text: &str, params: &[Value]) -> Result<u64, StoreError>;
    /// Runs a query that was built at run time, and holds only a few of its rows at a time.
    fn stream_built(&mut self, text: &str, each: &mut EachRow<'_>) -> Result<(), StoreError>;
}

/// One transaction. A failed statement ends it: what follows fails too, and it can only be rolled back.
pub struct Tx<'a> {
    session: &'a mut dyn Session,
    failure: Option<StoreError>,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(session: &'a mut dyn Session) -> Self {
        Self { session, failure: None }
    }

    /// Returns the error that ended this transaction, whatever the closure made of it.
    pub(crate) fn into_failure(self) -> Option<StoreError> {
        self.failure
    }

    /// Takes advisory locks until the end of the transaction, in the order of [`LockKey`](crate::LockKey); first
    /// thing in a write transaction. SQLite has one writer and needs none.
    pub fn lock(&mut self, locks: &[Lock]) -> Result<(), StoreError> {
        self.attempt(|session| session.lock(locks))
    }

    /// Takes those of these advisory locks that nobody holds, until the end of the transaction, and tells of each whether
    /// it has it. Waits for nobody. On SQLite all are free.
    pub fn lock_if_free(&mut self, locks: &[Lock]) -> Result<Vec<bool>, StoreError> {
        self.attempt(|session| session.lock_if_free(locks))
    }

    /// Runs a statement and returns the number of rows it changed.
    pub fn execute(&mut self, sql: impl Into<Sql>, params: &[Value]) -> Result<u64, StoreError> {
        let sql = sql.into();
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        self.attempt(|session| session.execute(sql, params))
    }

    /// Runs a statement over many rows of integers, given as columns of one length, and returns how many rows it changed.
    ///
    /// SQLite runs its text once for each row, `$1` being the row's value of the first column; PostgreSQL runs its text
    /// once, `$1` being the first column as `BIGINT[]`. Measured: the fastest way of each.
    pub fn execute_columns(&mut self, sql: Sql, columns: &[Vec<i64>]) -> Result<u64, StoreError> {
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        debug_assert!(columns.windows(2).all(|pair| pair[0].len() == pair[1].len()), "columns of one length");
        self.attempt(|session| session.execute_columns(sql, columns))
    }

    /// Returns every row, in order.
    pub fn query<T>(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let sql = sql.into();
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        let mut rows = Vec::new();
        self.attempt(|session| {
            session.query(sql, params, &mut |row| {
                rows.push(read(row)?);
                Ok(())
            })
        })?;
        Ok(rows)
    }

    /// Makes rows by an `INSERT` whose text has the values of one, `VALUES ($1, $2, ..)`, and returns how many it made.
    pub fn insert_rows(&mut self, sql: impl Into<Sql>, rows: &[Vec<Value>]) -> Result<u64, StoreError> {
        let sql = sql.into();
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        self.attempt(|session| session.insert_rows(sql, rows))
    }

    /// Runs a statement for each of many sets of parameters, in order, and returns how many rows each changed.
    pub fn execute_each(&mut self, sql: impl Into<Sql>, sets: &[Vec<Value>]) -> Result<Vec<u64>, StoreError> {
        let sql = sql.into();
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        self.attempt(|session| session.execute_each(sql, sets))
    }

    /// Runs a query for each of many sets of parameters, and returns the rows of each, in order.
    pub fn query_each<T>(
        &mut self,
        sql: impl Into<Sql>,
        sets: &[Vec<Value>],
        mut read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Vec<Vec<T>>, StoreError> {
        let sql = sql.into();
        debug_assert!(sql.is_found_by_the_prepare_test(), "begin with an upper-case verb: {sql:?}");
        let mut found: Vec<Vec<T>> = sets.iter().map(|_| Vec::new()).collect();
        self.attempt(|session| {
            session.query_each(sql, sets, &mut |place, row| {
                found[place].push(read(row)?);
                Ok(())
            })
        })?;
        Ok(found)
    }

    /// Returns the row, if there is one; a second row is [`StoreError::Corrupt`].
    pub fn query_opt<T>(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut rows = self.query(sql, params, read)?;
        let row = rows.pop();
        if rows.is_empty() { Ok(row) } else { Err(StoreError::corrupt("more than one row where one may be")) }
    }

    /// Returns the one row; none or two are [`StoreError::Corrupt`].
    pub fn query_one<T>(
        &mut self,
        sql: impl Into<Sql>,
        params: &[Value],
        read: impl FnMut(&Row<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.query_opt(sql, params, read)?.ok_or_else(|| StoreError::corrupt("no row where one must be"))
    }

    /// Compiles a statement without running it.
    pub fn prepare(&mut self, sql: impl Into<Sql>) -> Result<(), StoreError> {
        let sql = sql.into();
        self.attempt(|session| session.prepare(sql))
    }

    pub(crate) fn script(&mut self, source: &str) -> Result<(), StoreError> {
        self.attempt(|session| session.script(source))
    }

    pub(crate) fn execute_built(&mut self, text: &str, params: &[Value]) -> Result<u64, StoreError> {
        self.attempt(|session| session.execute_built(text, params))
    }

    pub(crate) fn stream_built(&mut self, text: &str, each: &mut EachRow<'_>) -> Result<(), StoreError> {
        self.attempt(|session| session.stream_built(text, each))
    }

    fn attempt<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        // PostgreSQL answers COMMIT of a failed transaction with a silent rollback: the failure must be kept here.
        act(self.session).inspect_err(|failure| self.failure = Some(failure.clone()))
    }
}
