//! Signing in with a real provider of OpenID Connect: the way of a browser, and the ways of those who would like to be
//! somebody else.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

#[path = "../world/mod.rs"]
mod world;

mod attacks;
mod browser;
mod chromium;
mod flow;
mod forgeries;
mod providers;
mod removal;
mod scene;
