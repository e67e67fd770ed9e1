//! What each store method promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../backends/mod.rs"]
mod backends;

mod audit;
mod channel;
mod claims;
mod expiry;
mod hosts;
mod jobs;
mod keys;
mod logs;
mod presence;
mod rows;
mod secrets;
mod tickets;
