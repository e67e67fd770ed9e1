//! What follows from what happens: pages and streams of events, endpoints, and deliveries that arrive.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod deliveries;
mod endpoints;
mod pages;
mod receiver;
mod retention;
mod scene;
mod shares;
mod signatures;
mod stream;
mod stream_rights;
mod walls;
