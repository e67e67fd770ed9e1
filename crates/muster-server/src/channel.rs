//! The shell around `muster_channel::server`: sockets, deadlines, the database.
//!
//! [`Hub`] knows the open channels of this node; a channel's task owns its socket. Nothing of a host is sent before
//! its hello is verified.

mod hub;

pub use hub::{Command, Hub, Registration, revoked_statement};
