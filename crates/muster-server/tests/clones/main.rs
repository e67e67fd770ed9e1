//! Copies of hosts, as an operator, an agent and a thief with a disk image see them; on both databases.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod alarms;
mod bounds;
mod decisions;
mod forged;
mod forty;
mod held;
mod questions;
mod scene;
