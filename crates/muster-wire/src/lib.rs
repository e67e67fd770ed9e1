//! The JSON that crosses the network.
//!
//! Every type here parses strictly: a value that exists is a value that holds its bounds. A refusal is a
//! code (`too_long`, `malformed`, …), never an echo of the input. Pure: no socket, no clock, no randomness.
//! To add a body, add a struct with `deny_unknown_fields` to the module of its route and build it from the
//! bounded types of [`text`] and [`bounds`].

pub mod audit;
pub mod bounds;
pub mod channel;
pub mod claim;
pub mod enroll;
pub mod fault;
pub mod host;
pub mod job;
pub mod join_string;
pub mod object;
pub mod page;
pub mod people;
pub mod problem;
pub mod secret;
pub mod site;
pub mod text;
pub mod ticket;

pub use join_string::JoinString;
pub use object::Object;
