//! `POST /v1/hosts/{host_id}/heartbeat`: a sign of life of a machine without a channel.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictPath};
use muster_wire::enroll::{Heartbeat, HeartbeatReply};

use super::hosts::HostPath;
use crate::app::App;
use crate::auth::AgentJson;
use crate::channel::HEARTBEAT_SECS;
use crate::presence::Sign;

const LIMIT: usize = 4 * 1024;

/// `POST /v1/hosts/{host_id}/heartbeat`
pub async fn create(
    State(app): State<App>,
    StrictPath(path): StrictPath<HostPath>,
    AgentJson { agent, .. }: AgentJson<Heartbeat, LIMIT>,
) -> Result<Reply<HeartbeatReply>, Problem> {
    agent.speaks_for(path.host_id)?;
    let now = app.clock.now();
    let sign = Sign { seq: agent.seq, seen_at: now, said_goodbye: false };
    app.presences.heard(agent.host_id, sign);
    app.metrics.heartbeats.inc();
    Ok(Reply::new(HeartbeatReply { heartbeat_secs: HEARTBEAT_SECS, server_time: now }))
}
