//! The store's methods: SQL, once, as plain string literals. One file a family.

mod attention;
mod audit;
mod audit_pages;
mod channel;
mod claims;
mod copies;
mod deliveries;
mod endpoints;
mod ephemeral;
mod events;
mod expiry;
mod fleet;
mod host_changes;
mod hosts;
mod idempotency;
mod installation;
mod invitations;
mod jobs;
mod key_rotation;
mod keys;
mod leaks;
mod members;
mod oidc;
mod operator_tokens;
mod people;
mod pins;
mod presence;
mod refusals;
mod reported;
mod restored;
mod retention;
mod revocations;
mod saved_views;
mod sealing;
mod secrets;
mod settings;
mod shown_hosts;
mod sign_in;
mod sites;
mod tables;
mod tickets;
mod uses;
mod vitals;
mod web_sessions;

use std::fmt::Display;

use muster_ids::Timestamp;
use muster_wire::page::Order;

/// Rows as the methods take and return them.
pub(crate) mod rows {
    pub use super::attention::Found;
    pub use super::audit::{AuditRow, OutboxRow, SealedAuditRow};
    pub use super::audit_pages::AuditFilter;
    pub use super::channel::{AgentRow, HostConfigRow};
    pub use super::claims::{ClaimEnd, ClaimFilter, ClaimRow, WaitingClaim};
    pub use super::copies::ForkedClaim;
    pub use super::deliveries::{DueRow, EventDeliveryRow, NOT_ITS_TURN, ShownDelivery, Tried};
    pub use super::endpoints::EndpointRow;
    pub use super::ephemeral::EphemeralRow;
    pub use super::events::{EventFilter, EventRow};
    pub use super::expiry::LapsedClaimRow;
    pub use super::fleet::{CountedHost, PresenceChange};
    pub use super::host_changes::{InHandRow, LossRow, StandingRow};
    pub use super::hosts::{Arrival, HostRow, LastSign};
    pub use super::idempotency::IdempotentReplyRow;
    pub use super::invitations::InvitationRow;
    pub use super::jobs::{JOBS_LOOKED_AT, JobFilter, JobRow, LapsedJobRow};
    pub use super::key_rotation::AgedKeyRow;
    pub use super::keys::{HostKeyRow, KeyState};
    pub use super::leaks::{AdmittedRow, LeakRow};
    pub use super::members::MemberRow;
    pub use super::oidc::{IssuerSignOutRow, OidcPersonRow, OidcProviderRow};
    pub use super::operator_tokens::ShownOperatorToken;
    pub use super::people::{CredentialRow, OperatorRow, OperatorTokenRow, PersonRow, TeamRow};
    pub use super::pins::{PinsKeptRow, TrustRow};
    pub use super::presence::{PresenceRow, WatchedRow};
    pub use super::refusals::{FoundRefusal, REQUESTS_KEPT, RefusalRow, RefusedRequestRow};
    pub use super::reported::FACT_CHANGES_KEPT;
    pub use super::revocations::RevocationRow;
    pub use super::saved_views::SavedViewRow;
    pub use super::sealing::{ChainHead, ChainedAuditRow, UnsealedAuditRow};
    pub use super::secrets::{DeliveryRow, ExposedSecret, SecretRow, ShownSecret};
    pub use super::settings::SettingRow;
    pub use super::shown_hosts::{HOSTS_LOOKED_AT, HostFilter, ShownHost};
    pub use super::sign_in::{SecondFactorRow, SignInRow};
    pub use super::sites::{DEFAULT_SITE, SiteRow};
    pub use super::tickets::{KnockRow, ShownTicket, TicketFilter, TicketRow};
    pub use super::vitals::VitalsRow;
    pub use super::web_sessions::WebSessionRow;
}

/// Returns the moment and the id behind which a page begins, of a list in the order in which things were made.
fn page_begins<I: Display>(order: Order, after: Option<(Timestamp, I)>) -> (i64, String) {
    match (after, order) {
        (Some((at, id)), _) => (at.as_millis(), id.to_string()),
        (None, Order::Asc) => (i64::MIN, String::new()),
        (None, Order::Desc) => (i64::MAX, String::new()),
    }
}

/// Takes apart a list of words that the database joined with spaces, in order.
fn words_in_order(joined: Option<String>) -> Vec<String> {
    let mut words: Vec<String> = joined.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    words.sort_unstable();
    words
}
