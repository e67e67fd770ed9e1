//! Members, invitations and API tokens: who may make, change and remove whom.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod canaries;
mod invitations;
mod members;
mod neighbours;
mod races;
mod reach;
mod removal;
mod scene;
mod tokens;
