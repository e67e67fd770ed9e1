//! The one error of the storage layer; it knows nothing of transports.

use std::error::Error;
use std::sync::Arc;

/// What a transaction ended with. Unless it says otherwise, nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A bounded queue or pool is full, or the store is closing; the transaction did not start.
    #[error("the store is busy")]
    Busy,
    /// Another transaction won; the engine has already re-run the closure as often as it may.
    #[error("the transaction conflicted with another one")]
    Conflict,
    /// The transaction ran longer than its limit and was stopped.
    #[error("the transaction took too long and was interrupted")]
    Interrupted,
    /// The disk, or the database's share of it, is full.
    #[error("the database is full")]
    Full,
    /// Another server has the database to itself.
    #[error("another server uses this database")]
    Occupied,
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unreachable {
        /// What the driver said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The reply to COMMIT was lost: the changes are durable or they are gone, and the caller must look to know.
    #[error("the outcome of the commit is unknown")]
    CommitUnknown,
    /// A statement failed: a broken constraint or a defect of the program.
    #[error("the database refused to {action}")]
    Database {
        /// What was being done.
        action: &'static str,
        /// What the driver said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The database itself says that pages of it are damaged. The server goes on with what it can read.
    #[error("the database is damaged: {what}; restore a backup")]
    Damaged {
        /// Where, and what was found.
        what: String,
    },
    /// A stored value is not what the program wrote.
    #[error("stored data is corrupt: {what}")]
    Corrupt {
        /// Which value.
        what: String,
    },
    /// The schema does not fit this program.
    #[error("the database schema does not fit this program: {what}")]
    Schema {
        /// In which way.
        what: String,
    },
}

impl StoreError {
    /// Wraps a driver's error with the action that failed.
    pub(crate) fn database(
        action: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync + 'static>>,
    ) -> Self {
        Self::Database { action, source: Arc::from(source.into()) }
    }

    /// Says that the database is damaged.
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }

    /// Says that a stored value is not what the program wrote.
    pub fn corrupt(what: impl Into<String>) -> Self {
        Self::Corrupt { what: what.into() }
    }

    /// Whether the caller may try again later: a 503, not a defect.
    pub fn is_unavailable(&self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Conflict
                | Self::Interrupted
                | Self::Full
                | Self::Unreachable { .. }
                | Self::Damaged { .. }
                | Self::CommitUnknown
        )
    }
}

/// An error that a closure may return: it can be made from a [`StoreError`] and shows the one inside.
pub trait WriteError: From<StoreError> {
    /// Returns the store's error when that is what this is, so that the engine can re-run a conflict.
    fn as_store(&self) -> Option<&StoreError>;
}

impl WriteError for StoreError {
    fn as_store(&self) -> Option<&StoreError> {
        Some(self)
    }
}
