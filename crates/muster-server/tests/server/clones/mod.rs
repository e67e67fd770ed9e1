//! Copies of hosts, as an operator, an agent and a thief with a disk image see them; on both databases.

mod alarms;
mod bounds;
mod decisions;
mod forged;
mod forty;
mod held;
mod questions;
mod scene;
