//! What follows a transaction: run once, after the durable commit, before the reply.

use std::fmt;
use std::str::FromStr;

use muster_ids::{
    EndpointId, HostId, InvitationId, KeyName, ParseIdError, TicketId, Timestamp, TokenId, UserId,
    WebSessionId,
};
use muster_wire::parting::RevokedReason;
use url::Url;

/// Why a host's sockets are cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CutReason {
    /// The key is void: the agent gets the signed statement first.
    Revoked {
        /// Why, as the statement says it.
        reason: RevokedReason,
    },
    /// The host is suspended: the agent keeps its key and comes back later.
    Suspended,
    /// The host is held: it may be the copy, and a person is asked.
    Held,
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

/// Whose right ended or shrank: their place in the log of revocations. What they have open is cut, and what is cached of
/// them is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ended {
    /// Everything a person has open.
    Person(UserId),
    /// What was opened with a token.
    Token(TokenId),
    /// What was opened in a signed-in session.
    WebSession(WebSessionId),
    /// An invitation.
    Invitation(InvitationId),
    /// A key of a host; its channel is cut by a [`Cut`].
    Key(KeyName),
    /// Whatever a host may do; its channel is cut by a [`Cut`] for each of its keys.
    Host(HostId),
    /// What a ticket admits.
    Ticket(TicketId),
    /// What an endpoint is sent, or signed with.
    Endpoint(EndpointId),
}

impl Ended {
    /// Whether somebody may have something open, or cached, on the ground of it.
    pub fn may_hold_something(self) -> bool {
        match self {
            Self::Person(_) | Self::Token(_) | Self::WebSession(_) | Self::Key(_) | Self::Host(_) => true,
            Self::Invitation(_) | Self::Ticket(_) | Self::Endpoint(_) => false,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(user_id) => write!(f, "{user_id}"),
            Self::Token(id) => write!(f, "token:{id}"),
            Self::WebSession(id) => write!(f, "web_session:{id}"),
            Self::Invitation(id) => write!(f, "invitation:{id}"),
            Self::Key(key) => write!(f, "{key}"),
            Self::Host(host_id) => write!(f, "{host_id}"),
            Self::Ticket(id) => write!(f, "ticket:{id}"),
            Self::Endpoint(id) => write!(f, "{id}"),
        }
    }
}

impl FromStr for Ended {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if let Some(id) = text.strip_prefix("token:") {
            return id.parse().map(Self::Token);
        }
        if let Some(id) = text.strip_prefix("web_session:") {
            return id.parse().map(Self::WebSession);
        }
        if let Some(id) = text.strip_prefix("invitation:") {
            return id.parse().map(Self::Invitation);
        }
        if let Some(id) = text.strip_prefix("ticket:") {
            return id.parse().map(Self::Ticket);
        }
        let person = text.parse().map(Self::Person);
        let host = || text.parse().map(Self::Host);
        let endpoint = || text.parse().map(Self::Endpoint);
        person.or_else(|_| host()).or_else(|_| endpoint()).or_else(|_| text.parse().map(Self::Key))
    }
}

/// Everything that follows one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Effects {
    /// Sockets to cut.
    pub cuts: Vec<Cut>,
    /// Whose rights ended.
    pub ended: Vec<Ended>,
    /// The numbers of their rows in the log of revocations.
    pub logged: Vec<i64>,
    /// Hosts that are no more.
    pub retired: Vec<HostId>,
    /// Hosts whose configuration changed.
    pub config_changed: Vec<HostId>,
    /// Hosts that have work waiting.
    pub work_waiting: Vec<HostId>,
    /// Hosts that are to make their next key.
    pub rotation_asked: Vec<HostId>,
    /// The server's own keys are other ones, or more or less is said of them.
    pub server_keys_changed: bool,
    /// The first admin was made, with these public URLs; none when they keep their default.
    pub set_up: Option<Vec<Url>>,
}

impl Effects {
    /// Whether somebody may have lost what they had open, or what was cached of them.
    pub fn take_away(&self) -> bool {
        !self.cuts.is_empty() || self.ended.iter().any(|ended| ended.may_hold_something())
    }

    /// What follows a transaction of which nobody knows whether it was committed: who may have lost a right is cut off
    /// and comes back, if they still have it. Nothing is signed, forgotten or closed that may still stand.
    #[must_use]
    pub fn if_unsure(self) -> Self {
        let cuts = self.cuts.into_iter().map(|cut| Cut { reason: CutReason::Unsure, ..cut }).collect();
        Self { cuts, logged: Vec::new(), retired: Vec::new(), set_up: None, ..self }
    }
}

#[cfg(test)]
mod tests;
