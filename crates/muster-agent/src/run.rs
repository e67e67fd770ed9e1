//! `muster-agent run`: joins to the end, then keeps one channel for as long as the process lives.
//!
//! Whatever the server answers, the credential is kept, with one exception: a `revoked` signed by an instruction key
//! this machine knows, about this very key.

use std::path::Path;
use std::rc::Rc;

use muster_proof::HostKey;
use tokio::task::LocalSet;
use tokio_util::sync::CancellationToken;

use crate::agent::{Agent, Parted};
use crate::asking::Asking;
use crate::enroll::{self, Decision};
use crate::error::AgentError;
use crate::machine::Machine;
use crate::server::Server;
use crate::state::{IdentityState, Membership, StateDir};
use crate::{fork, join};

/// Runs until `stop`, or until the key is void.
pub async fn run(machine: &Machine, folder: &Path, stop: &CancellationToken) -> Result<(), AgentError> {
    LocalSet::new().run_until(serve(machine, folder, stop)).await
}

async fn serve(machine: &Machine, folder: &Path, stop: &CancellationToken) -> Result<(), AgentError> {
    let state = Rc::new(StateDir::open(folder)?);
    let identity = state.identity()?.ok_or(AgentError::NotJoined)?;
    if !matches!(identity.membership, Membership::Revoked { .. }) {
        state.probe_writable()?;
    }
    let mut identity = fork::at_start(machine, &state, identity)?;
    loop {
        identity = match &identity.membership {
            Membership::Joining { .. } => {
                let key = enroll::kept_key(&state)?;
                let admitted = stop.run_until_cancelled(admitted(machine, &state, identity, &key)).await;
                let Some(identity) = admitted.transpose()? else { return Ok(()) };
                identity
            }
            Membership::Forking { .. } => {
                let decided = stop.run_until_cancelled(fork::until_decided(machine, &state, identity)).await;
                let Some(identity) = decided.transpose()? else { return Ok(()) };
                identity
            }
            Membership::Joined { host_id, .. } => {
                let agent = Agent::start(machine, &state, *host_id, identity)?;
                match agent.keep_channel(stop).await? {
                    Parted::Stopped => return Ok(()),
                    Parted::Copied(cause) => fork::begin(machine, &state, agent.into_identity(), cause)?,
                    Parted::NotAdmitted => fork::again(&state, agent.into_identity())?,
                }
            }
            Membership::Revoked { reason, .. } => {
                return Err(AgentError::Revoked { reason: reason.clone() });
            }
        };
    }
}

/// Asks, with the same key, until the machine is a host.
async fn admitted(
    machine: &Machine,
    state: &StateDir,
    mut identity: IdentityState,
    key: &Rc<HostKey>,
) -> Result<IdentityState, AgentError> {
    let server = Server::of(&identity, Rc::clone(key), machine)?;
    let mut asking = Asking::default();
    loop {
        let Membership::Joining { ticket, .. } = &identity.membership else { return Ok(identity) };
        let facts = machine.facts(state).await;
        let asked = enroll::enroll(&server, &identity, ticket, machine.hostname(&identity), facts).await;
        let hint = match &asked {
            Ok(Decision::Waiting(waiting)) => Some(enroll::ask_again_after(waiting)),
            _ => None,
        };
        let outcome = asked.and_then(|decision| join::settle(state, identity.clone(), decision));
        let cause = match outcome {
            Ok(admitted) => {
                tracing::info!(host.id = admitted.host_id().map(tracing::field::display), "admitted");
                return Ok(admitted);
            }
            Err(cause @ (AgentError::Revoked { .. } | AgentError::State(_))) => return Err(cause),
            Err(cause) => cause,
        };
        identity = state.identity()?.unwrap_or(identity);
        asking.pause(&machine.pace, &cause, hint).await;
    }
}
