//! The HTTP API: one file an endpoint family. All routes are in [`crate::router`].

pub mod audit;
pub mod me;
pub mod meta;
pub mod page;
pub mod setup;
pub mod sites;
pub mod teams;
