//! `muster-agent leave` and `reset`: how a machine stops being a host.

use std::path::Path;

use http::StatusCode;
use muster_ids::HostId;

use crate::error::AgentError;
use crate::keys::{Keys, Remaining};
use crate::machine::Machine;
use crate::server::{self, Server};
use crate::state::{IdentityState, StateDir};
use crate::{enroll, fork};

/// What became of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// The server retired the host.
    Retired(HostId),
    /// The key was void already.
    AlreadyRevoked(HostId),
    /// The server was not told; a person must retire the host.
    Untold(HostId),
    /// Its identity could not be read and was removed: nobody knows here which host it was, or whether it was one.
    Unreadable,
    /// It was no host.
    NoHost,
}

/// Retires this machine's host and removes key, secrets and identity; `force` removes them whatever the server says.
pub async fn leave(machine: &Machine, folder: &Path, force: bool) -> Result<Left, AgentError> {
    let state = StateDir::open(folder)?;
    // A copied state folder must not retire the machine it was copied from.
    let known = match state.identity() {
        Ok(Some(identity)) => fork::at_start(machine, &state, identity).map(Some),
        Ok(None) => Ok(None),
        Err(cause) => Err(cause.into()),
    };
    let left = match known {
        Ok(Some(identity)) => match identity.host_id() {
            Some(host_id) => match retire(machine, &state, &identity, host_id).await {
                Ok(left) => left,
                Err(cause) if force => {
                    tracing::warn!("{cause}");
                    Left::Untold(host_id)
                }
                Err(cause) => return Err(cause),
            },
            None => Left::NoHost,
        },
        Ok(None) => Left::NoHost,
        Err(cause) if force => {
            tracing::warn!("{cause}");
            Left::Unreadable
        }
        Err(cause) => return Err(cause),
    };
    state.forget_everything()?;
    Ok(left)
}

/// Removes key, secrets and identity without telling anyone: the host stays known to the server.
pub fn reset(folder: &Path) -> Result<(), AgentError> {
    Ok(StateDir::open(folder)?.forget_everything()?)
}

async fn retire(
    machine: &Machine,
    state: &StateDir,
    identity: &IdentityState,
    host_id: HostId,
) -> Result<Left, AgentError> {
    let mut keys = Keys::of(state, identity)?;
    let answer = loop {
        let server = Server::of(identity, keys.current(), machine)?;
        let answer = server.post(&format!("v1/hosts/{host_id}/leave"), None, None, Some(host_id)).await?;
        let statement = server::revoked_statement(&answer.response);
        match statement.and_then(|text| enroll::genuine(&text, identity, &keys.current(), Some(host_id))) {
            None => break answer,
            Some(revoked) if keys.void(state, Some(host_id), &revoked)? == Remaining::Next => {}
            Some(_) => return Ok(Left::AlreadyRevoked(host_id)),
        }
    };
    let status = answer.response.status;
    if status.is_success() {
        return Ok(Left::Retired(host_id));
    }
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        let retry_after = server::retry_after(&answer.response.headers);
        return Err(AgentError::Busy { status, retry_after });
    }
    match server::refusal(&answer.response, None) {
        Some(refusal) => Err(refusal.into()),
        None => Err(AgentError::Unintelligible { authority: answer.authority(), status }),
    }
}
