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
pub mod endpoint;
pub mod enroll;
pub mod event;
pub mod explanation;
pub mod fault;
pub mod happening;
pub mod hidden;
pub mod host;
pub mod host_change;
pub mod host_key;
pub mod invitation;
pub mod job;
pub mod join_string;
pub mod leak;
pub mod notification;
pub mod object;
pub mod oidc;
pub mod overview;
pub mod page;
pub mod parting;
pub mod people;
pub mod permission;
pub mod problem;
pub mod refusal;
pub mod saved_view;
pub mod secret;
pub mod server_keys;
pub mod settings;
pub mod sign_in;
pub mod site;
pub mod text;
pub mod ticket;
pub mod token;
pub mod when;

pub use join_string::JoinString;
pub use object::Object;
