//! Backup and restore of the server (DESIGN §6): one portable file, whichever database it was or will be.
//!
//! A backup is one snapshot of every table, and the TLS keys of the data folder, sealed. It holds no master key: what is
//! secret in it is as closed as in the database. A restore goes into nothing, and ends what a person or a machine may have
//! used since: see [`restore`](mod@restore).
//!
//! The file: 16 bytes that say what it is, then parts (a byte for the kind, the length, the content), then the SHA-256 of
//! all of it, then a MAC of that by the master key. The first part is the [`Header`], the last one says that nothing is
//! missing. Nothing of a file is believed before its SHA-256 was compared.

mod anew;
mod container;
mod create;
mod file;
pub mod key;
mod left;
mod restore;
mod rows;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use muster_ids::Timestamp;
use muster_store::{Location, StoreError, WriteError};
use serde::{Deserialize, Serialize};

use crate::serve::{DATABASE_FILE, MASTER_KEY_FILE};

pub use anew::Voided;
pub use create::{Created, Target, create};
pub use restore::{Restoration, Restored, restore};

pub(crate) use left::{UNFINISHED, refuse_unfinished};

/// The layout of the file.
const FORMAT: u32 = 1;

/// Where a server keeps its state.
#[derive(Debug, Clone)]
pub struct Place {
    /// Its data folder.
    pub data_dir: PathBuf,
    /// Another database than the embedded one.
    pub database: Option<Location>,
    /// Another place of the master key.
    pub master_key_file: Option<PathBuf>,
}

impl Place {
    /// Its database: the embedded one, unless another is named.
    pub fn location(&self) -> Location {
        self.database.clone().unwrap_or_else(|| Location::Sqlite(self.data_dir.join(DATABASE_FILE)))
    }

    /// The file of its master key: in the data folder, unless another is named.
    pub fn key_file(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data_dir.join(MASTER_KEY_FILE))
    }
}

/// Hears how much is done, of how much.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Header {
    /// The layout of the file.
    format: u32,
    /// The program that made it.
    program: String,
    /// When the snapshot was taken.
    created_at: Timestamp,
    /// The epoch it was taken in.
    epoch: u32,
    /// What tells a wrong master key.
    master_key_check: String,
    /// The migrations of its schema: versions and digests.
    schema: Vec<(u32, String)>,
    /// Its tables, in the order in which they are filled.
    tables: Vec<TableHeader>,
}

/// What a backup says of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct TableHeader {
    name: String,
    columns: Vec<String>,
    rows: u64,
}

/// A file of the data folder, sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct SealedFile {
    /// Its name below the data folder.
    name: String,
    sealed: String,
}

/// Why a backup cannot be written or read.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the file cannot be read or written")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Content(String),
}

impl CopyError {
    fn content(what: impl Into<String>) -> Self {
        Self::Content(what.into())
    }
}

impl WriteError for CopyError {
    fn as_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            Self::Io(_) | Self::Content(_) => None,
        }
    }
}
