//! Storage: one SQL text for SQLite and PostgreSQL behind a closure contract (DESIGN §9).
//!
//! A unit of work is a closure over [`Tx`], given to [`Store::write`] or [`Store::read`]. It runs at least once and
//! at most as often as a conflict asks for, so it must hold everything it needs as values: ids, randomness, `now`,
//! hashes. It never awaits, never touches the [`Store`], never computes a KDF or a signature.
//!
//! SQL is a plain string literal in `src/methods`, in the portable subset, with `$1`-style parameters. `UUID_T` and
//! `BYTES_T` stand for the column types in casts: `CAST($2 AS UUID_T) IS NULL OR host_id = $2`. Where the two
//! databases differ, [`sql2!`] holds both texts. A test prepares every literal on both databases.
//!
//! To add a method: an `impl Tx<'_>` block in `src/methods`, and a contract test that runs on both databases.
//! To add a migration: see [`MIGRATIONS`].

mod engine;
mod error;
mod lock;
mod methods;
mod migrate;
mod row;
mod sql;
mod store;
mod tables;
mod tx;
mod value;
mod words;

pub use engine::Committed;
pub use error::{StoreError, WriteError};
pub use lock::{Lock, LockKey};
/// Rows as the store's methods take and return them.
pub mod rows {
    pub use crate::methods::rows::*;
}

pub use migrate::{MIGRATIONS, Migration};
pub use row::Row;
pub use sql::Sql;
pub use store::{InvalidLocation, Limits, Location, Priority, Store, StoreConfig};
pub use tables::{Table, migrations_to};
pub use tx::Tx;
pub use value::{FromValue, Json, ToValue, Value};
pub use words::Word;
