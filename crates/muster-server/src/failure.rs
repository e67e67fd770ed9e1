//! The one error of the server's inner layer; it knows nothing of HTTP. `problems` maps it.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use muster_domain::admission::Refusal;
use muster_domain::server_keys::NotKnown;
use muster_ids::{HostId, SiteId, TeamId};
use muster_store::{StoreError, WriteError};

/// Why something could not be done.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Failure {
    /// It does not exist, or belongs to another team, which is the same to the one who asks.
    #[error("not found")]
    NotFound,
    /// A field is well-formed but not acceptable.
    #[error("field {pointer} is {code}")]
    Invalid {
        /// JSON Pointer into the body.
        pointer: Cow<'static, str>,
        /// A stable code.
        code: Cow<'static, str>,
    },
    /// One of several things that the request names stands in the way of all.
    #[error("{because}, of one of several")]
    Of {
        /// Which one.
        named: Named,
        /// Why it does.
        because: Box<Failure>,
    },
    /// The state of things does not allow it.
    #[error("conflict: {code}")]
    Conflict {
        /// A stable code.
        code: &'static str,
        /// What the client is told.
        detail: &'static str,
    },
    /// The request is understood and cannot be what was meant.
    #[error("unprocessable: {code}")]
    Unprocessable {
        /// A stable code.
        code: &'static str,
        /// What the client is told.
        detail: &'static str,
    },
    /// It was there and is closed for good.
    #[error("gone: {code}")]
    Gone {
        /// A stable code.
        code: &'static str,
        /// What the client is told.
        detail: &'static str,
    },
    /// The person may not do it.
    #[error("forbidden: {code}")]
    Forbidden {
        /// A stable code.
        code: &'static str,
        /// What the client is told.
        detail: &'static str,
    },
    /// A key of the server would come into use that not every host knows.
    #[error(transparent)]
    HostsNotInformed(#[from] NotKnown),
    /// The person's credential ended, or never was one.
    #[error("the credential does not hold")]
    Unauthorized,
    /// The key ended, or its host is not active any more.
    #[error("the key or its host is no longer active")]
    KeyNotActive,
    /// The key's host is held until a person answered which of two machines is genuine.
    #[error("the host is held")]
    HostHeld,
    /// The agent told of an attempt it was never given: its channel ends.
    #[error("the job was never given to this host")]
    ForeignJob,
    /// The path names another host than the key does.
    #[error("a host speaks for itself only")]
    ForeignHost,
    /// The door refused a machine.
    #[error(transparent)]
    Admission(#[from] Refusal),
    /// This node cannot see whether the right to act still holds.
    #[error("the log of revocations is not read")]
    RevocationsUnseen,
    /// More is being done than may be done at once.
    #[error("over the work budget")]
    OverBudget,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sealed row does not open at its place: changed, swapped, or sealed under another key.
    #[error("{what} does not open at its place")]
    SecretUnreadable {
        /// The team it belongs to.
        team_id: TeamId,
        /// Names the secret, or the key that would open it.
        what: String,
    },
    /// Something that must not happen happened.
    #[error("internal failure")]
    Internal(#[source] Arc<dyn Error + Send + Sync>),
}

/// A thing that a request names beside others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Named {
    /// One of its hosts.
    Host(HostId),
    /// The site its hosts move to.
    Site(SiteId),
}

impl Failure {
    /// Says which of the things that the request names this is about; what is no refusal stays as it is.
    #[must_use]
    pub fn of(self, named: Named) -> Self {
        match self {
            Self::NotFound | Self::Invalid { .. } | Self::Conflict { .. } => {
                Self::Of { named, because: Box::new(self) }
            }
            other => other,
        }
    }

    /// Wraps something that must not happen.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Internal(Arc::from(cause.into()))
    }

    /// Says that a field is well-formed but not acceptable.
    pub fn invalid(pointer: impl Into<Cow<'static, str>>, code: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { pointer: pointer.into(), code: code.into() }
    }

    /// Says that the state of things does not allow it.
    pub const fn conflict(code: &'static str, detail: &'static str) -> Self {
        Self::Conflict { code, detail }
    }
}

impl WriteError for Failure {
    fn as_store(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) => Some(error),
            _ => None,
        }
    }
}
