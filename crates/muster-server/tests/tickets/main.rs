//! Tickets in full: rotation, bounds, refusals, explanations, ephemeral hosts and leaks, on both databases.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../world/mod.rs"]
mod world;

#[path = "../door/scene.rs"]
#[allow(dead_code, reason = "the doors' tests use the rest")]
mod scene;

mod bounds;
mod ephemeral;
mod explain;
mod keys;
mod leak;
mod rotation;
mod why;
