//! What follows a transaction: run once, after the durable commit, before the reply.

use muster_ids::{HostId, KeyName, Timestamp, TokenId, UserId, WebSessionId};
use url::Url;

/// Why a host's sockets are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutReason {
    /// The key is void: the agent gets the signed statement first.
    Revoked {
        /// Why, as the statement says it.
        reason: &'static str,
    },
    /// The host is suspended: the agent keeps its key and comes back later.
    Suspended,
    /// Nobody knows whether the transaction was committed: the agent comes back and is judged anew.
    Unsure,
}

/// Sockets of one host's key to be cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The host.
    pub host_id: HostId,
    /// The key whose sockets are cut.
    pub key: KeyName,
    /// Why.
    pub reason: CutReason,
    /// When the transaction decided it.
    pub decided_at: Timestamp,
}

/// Whose right to act ended or shrank: their open streams are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Everything a person has open.
    Person(UserId),
    /// What was opened with a token.
    Token(TokenId),
    /// What was opened in a signed-in session.
    WebSession(WebSessionId),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Person(user_id) => write!(f, "{user_id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::WebSession(id) => write!(f, "web_session:{id}"),
        }
    }
}

/// Everything that follows one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Sockets to cut.
    pub cuts: Vec<Cut>,
    /// People and credentials whose streams are cut.
    pub ended: Vec<Ended>,
    /// Hosts that are no more.
    pub retired: Vec<HostId>,
    /// Hosts whose configuration changed.
    pub config_changed: Vec<HostId>,
    /// Hosts that have work waiting.
    pub work_waiting: Vec<HostId>,
    /// The first admin was made, with these public URLs; none when they keep their default.
    pub set_up: Option<Vec<Url>>,
}

impl Effects {
    /// What follows a transaction of which nobody knows whether it was committed: who may have lost a right is cut off
    /// and comes back, if they still have it. Nothing is signed, forgotten or closed that may still stand.
    #[must_use]
    pub fn if_unsure(self) -> Self {
        let cuts = self.cuts.into_iter().map(|cut| Cut { reason: CutReason::Unsure, ..cut }).collect();
        Self { cuts, retired: Vec::new(), set_up: None, ..self }
    }
}

#[cfg(test)]
mod tests;
