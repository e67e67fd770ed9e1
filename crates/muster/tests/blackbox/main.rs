//! Black-box tests: the real `muster serve` and `muster-agent`, real restic and rclone, both databases, real kill -9.
//!
//! Tests are named after the rows of the threat and fault tables they hold (`b15_…`, `c02_…`). A program that is not
//! installed or not built fails a test; nothing is skipped. `MUSTER_SOAK=1` makes the fault loops longer.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod harness;

mod account;
#[cfg(feature = "acme")]
mod acme;
mod agent_words;
mod audit;
mod bad_input;
mod browser;
mod channel;
mod cli;
mod cli_audit;
mod cli_events;
mod cli_people;
mod contract;
mod copies;
mod demo;
mod doctor;
mod door;
mod faults;
mod faults_clock;
mod faults_database;
mod faults_disk;
mod faults_idle;
mod faults_memory;
mod faults_migration;
mod faults_process;
mod imposters;
mod key_rotation;
mod people;
mod proxied;
mod resources;
mod restore;
mod revoke;
mod secrets;
mod support;
mod tickets;
mod tls;
mod twins;
