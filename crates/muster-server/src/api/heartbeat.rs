//! `POST /v1/hosts/{host_id}/heartbeat`: a sign of life of a machine without a channel.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictPath};
use muster_wire::enroll::{Heartbeat, HeartbeatReply};

use super::hosts::HostPath;
use crate::app::App;
use crate::auth::BeatJson;
use crate::channel::HEARTBEAT_SECS;
use crate::failure::Failure;
use crate::presence::Sign;
use crate::vitals::Told;

const LIMIT: usize = 4 * 1024;

/// `POST /v1/hosts/{host_id}/heartbeat`
pub async fn create(
    State(app): State<App>,
    StrictPath(path): StrictPath<HostPath>,
    BeatJson { beat, body }: BeatJson<Heartbeat, LIMIT>,
) -> Result<Reply<HeartbeatReply>, Problem> {
    if beat.host_id != path.host_id {
        return Err(Failure::ForeignHost.into());
    }
    let now = app.clock.now();
    let sign = Sign { seq: beat.seq, seen_at: now, said_goodbye: false };
    app.presences.told(beat.host_id, sign, Told::of(&body, now));
    app.metrics.heartbeats.inc();
    Ok(Reply::new(HeartbeatReply { heartbeat_secs: HEARTBEAT_SECS, server_time: now }))
}
