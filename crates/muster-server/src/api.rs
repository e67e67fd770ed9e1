//! The HTTP API: one file an endpoint family. All routes are in [`crate::router`].

pub mod audit;
pub mod claims;
pub mod connect;
pub mod enroll;
pub mod enrolment_tokens;
pub mod heartbeat;
pub mod hosts;
pub mod jobs;
pub mod leave;
pub mod me;
pub mod meta;
pub mod page;
pub mod registration_tokens;
pub mod secrets;
pub mod setup;
pub mod site_keys;
pub mod sites;
pub mod teams;
pub mod tickets;
