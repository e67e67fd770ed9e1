//! The shell around `muster_channel::server`: sockets, deadlines, the database.
//!
//! [`Hub`] knows the open channels of this node; a channel's task owns its socket. Nothing of a host is sent before
//! its hello is verified.

mod connect;
mod conversation;
mod hub;
mod next_key;
mod notebook;
mod open;
mod task;
mod wire;

use axum::extract::ws::WebSocket;
use muster_wire::channel::Protocol;

use crate::app::App;
use crate::auth::Agent;

pub(crate) use connect::FIRST_ANSWERS_WITHIN;
pub use connect::PATH;
pub use hub::{Command, Hub, Registration, Waiting, revoked_statement};
pub use task::HEARTBEAT_SECS;

/// Runs a channel over an accepted upgrade to its end.
pub async fn run(app: App, agent: Agent, protocol: Protocol, socket: WebSocket, waiting: Waiting) {
    task::run(app, agent, protocol, wire::Wire::new(socket), waiting).await;
}
