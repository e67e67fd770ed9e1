//! Notifications: what reaches people by mail and chat, when, and what never does.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod canaries;
mod desk;
mod flow;
mod hostile;
mod senders;
