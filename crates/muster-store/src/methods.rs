//! The store's methods: SQL, once, as plain string literals. One file a family.

mod audit;
mod channel;
mod claims;
mod expiry;
mod hosts;
mod idempotency;
mod installation;
mod jobs;
mod keys;
mod people;
mod presence;
mod refusals;
mod revocations;
mod sealing;
mod secrets;
mod sites;
mod tickets;

/// Rows as the methods take and return them.
pub(crate) mod rows {
    pub use super::audit::{AuditFilter, AuditRow, OutboxRow, SealedAuditRow};
    pub use super::channel::{AgentRow, HostConfigRow};
    pub use super::claims::{ClaimEnd, ClaimFilter, ClaimRow, WaitingClaim};
    pub use super::expiry::LapsedClaimRow;
    pub use super::hosts::{Arrival, HostFilter, HostRow, LastSign, ShownHost};
    pub use super::idempotency::IdempotentReplyRow;
    pub use super::jobs::{JobFilter, JobRow, LapsedJobRow};
    pub use super::keys::{HostKeyRow, KeyState};
    pub use super::people::{OperatorRow, OperatorTokenRow, PersonRow, TeamRow};
    pub use super::presence::{PresenceRow, WatchedRow};
    pub use super::refusals::RefusalRow;
    pub use super::revocations::RevocationRow;
    pub use super::sealing::ChainHead;
    pub use super::secrets::{DeliveryRow, SecretRow, ShownSecret};
    pub use super::sites::{DEFAULT_SITE, SiteRow};
    pub use super::tickets::{ShownTicket, TicketFilter, TicketRow};
}

/// Takes apart a list of words that the database joined with spaces, in order.
fn words_in_order(joined: Option<String>) -> Vec<String> {
    let mut words: Vec<String> = joined.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    words.sort_unstable();
    words
}
