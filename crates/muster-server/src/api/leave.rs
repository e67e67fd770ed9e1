//! `POST /v1/hosts/{host_id}/leave`: the machine itself retires its host.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictPath};
use muster_ids::HostId;
use muster_store::Priority;
use muster_wire::host::HostState;
use schemars::JsonSchema;
use serde::Serialize;

use super::hosts::HostPath;
use crate::app::App;
use crate::auth::Agent;
use crate::enrol::retire;
use crate::failure::Failure;

/// What became of the host.
#[derive(Debug, Serialize, JsonSchema)]
pub struct LeaveReply {
    /// The host.
    pub host_id: HostId,
    /// Always `retired`.
    pub state: HostState,
}

/// `POST /v1/hosts/{host_id}/leave`
pub async fn create(
    State(app): State<App>,
    StrictPath(path): StrictPath<HostPath>,
    agent: Agent,
) -> Result<Reply<LeaveReply>, Problem> {
    agent.speaks_for(path.host_id)?;
    let host_id = agent.host_id;
    app.change(Priority::Urgent, app.clock.now(), move |unit| {
        let host = retire::locked(unit, agent.team_id, agent.host_id)?;
        if !unit.tx.agent_by_key(&agent.key)?.is_some_and(|row| row.may_act()) {
            return Err(Failure::KeyNotActive);
        }
        retire::retire_locked(unit, &[&host], &agent.author(), retire::Why::Machine)
    })
    .await?;
    Ok(Reply::new(LeaveReply { host_id, state: HostState::Retired }))
}
