//! The store's methods: SQL, once, as plain string literals. One file a family.

mod audit;
mod installation;
mod people;
mod sites;

/// Rows as the methods take and return them.
pub mod rows {
    pub use super::audit::{AuditRow, ChainHead, OutboxRow, SealedAuditRow};
    pub use super::people::{OperatorRow, OperatorTokenRow, PersonRow, TeamRow};
    pub use super::sites::{DEFAULT_SITE, SiteRow};
}
