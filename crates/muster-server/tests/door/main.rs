//! The doors: tickets, enrolment, hosts and claims, through the real accept loop on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

mod claims;
mod enrolment;
mod enrolment_revocation;
mod hosts;
mod races;
mod scene;
mod tickets;
