//! The server whole, asked over real sockets, on both databases: one program of tests, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

mod world;

mod backup;
mod channel;
mod clones;
mod door;
mod events;
mod fleet;
mod keys;
mod limits;
mod many;
mod notify;
mod oidc;
mod openapi;
mod people;
mod permissions;
mod revoke;
mod sign_in;
mod tickets;
mod tls;
mod trail;
