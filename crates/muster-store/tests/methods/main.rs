//! What each store method promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../backends/mod.rs"]
mod backends;

mod attention;
mod audit;
mod channel;
mod claims;
mod copies;
mod endpoints;
mod ephemeral;
mod events;
mod expiry;
mod fleet;
mod host_changes;
mod hosts;
mod invitations;
mod jobs;
mod key_rotation;
mod keys;
mod leaks;
mod logs;
mod members;
mod oidc;
mod operator_tokens;
mod presence;
mod reported;
mod restored;
mod retention;
mod rows;
mod saved_views;
mod secrets;
mod settings;
mod sign_in;
mod tables;
mod tickets;
mod vitals;
mod web_sessions;
