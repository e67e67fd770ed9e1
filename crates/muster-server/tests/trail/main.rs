//! What operators rely on: that they get in, and that the audit trail tells them what was done, in its order.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod attempts;
mod effects;
mod export;
mod flood;
mod list;
mod retention;
mod sealing;
mod upgrade;
mod verify;
