#![allow(dead_code, unused_imports, unused_macros, clippy::unwrap_used)]
#[path = "../blackbox/harness/mod.rs"]
mod harness;
#[path = "../blackbox/cli.rs"]
mod cli;
#[path = "../blackbox/tickets.rs"]
mod tickets;
