//! What each store method promises, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../backends/mod.rs"]
mod backends;

mod claims;
mod hosts;
mod keys;
mod logs;
mod rows;
mod tickets;
