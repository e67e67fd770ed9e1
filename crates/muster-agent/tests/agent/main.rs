//! The agent against a scripted server: what it keeps, what it sends, and what it never does.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod channel;
mod copies;
mod fake;
mod imposter;
mod join;
mod outages;
mod pinned;
mod replay;
mod rotation;
mod work;
