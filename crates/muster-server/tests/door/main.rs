//! The doors: tickets, enrolment, hosts and claims, through the real accept loop on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../harness/mod.rs"]
mod harness;

mod enrolment;
mod hosts;
mod claims;
mod tickets;
