//! What each store method promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../backends/mod.rs"]
mod backends;

mod audit;
mod channel;
mod claims;
mod endpoints;
mod events;
mod expiry;
mod hosts;
mod invitations;
mod jobs;
mod keys;
mod logs;
mod members;
mod oidc;
mod operator_tokens;
mod postponed;
mod presence;
mod rows;
mod secrets;
mod settings;
mod sign_in;
mod tickets;
mod tickets_in_full;
mod web_sessions;
