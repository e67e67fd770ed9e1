//! `muster-agent join`: from a join string to a host, safe to repeat at every step.
//!
//! Key and ticket are on disk before the first byte is sent, so that a lost reply is asked for again with the same key.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use muster_channel::backoff::Backoff;
use muster_edge::Entropy;
use muster_ids::{Bearer, BearerKind, HostId};
use muster_proof::HostKey;
use muster_wire::JoinString;
use muster_wire::enroll::{Disposition, Labels};
use muster_wire::host::HostState;
use muster_wire::text::Hostname;

use crate::enroll::{self, Decision};
use crate::error::AgentError;
use crate::fork;
use crate::keys::{Keys, Remaining};
use crate::machine::Machine;
use crate::server::Server;
use crate::state::{IdentityState, Membership, StateDir};

/// What the owner of the machine says about it.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What identifies the hardware, instead of what the machine finds out itself.
    pub machine_uid: Option<String>,
    /// The name to report, instead of the machine's own.
    pub hostname: Option<Hostname>,
    /// What is written on it; empty: as before.
    pub labels: Labels,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// The machine is a host.
    Admitted {
        /// The identity.
        host_id: HostId,
        /// How it came to be.
        disposition: Disposition,
        /// The state of the host.
        state: HostState,
        /// Whether an earlier answer was repeated.
        replayed: bool,
        /// Whether the ticket of the join string was left unspent: an earlier one was answered.
        by_earlier_ticket: bool,
    },
    /// It was one already: addresses and pins are new, key and host are the same, the ticket is unspent.
    Moved {
        /// The identity.
        host_id: HostId,
    },
}

/// Joins, goes on joining, or takes new addresses on a machine that is a host.
pub async fn join(
    machine: &Machine,
    folder: &Path,
    join: &JoinString,
    options: Options,
) -> Result<Joined, AgentError> {
    if !matches!(
        join.ticket.kind,
        BearerKind::EnrolmentToken | BearerKind::RegistrationToken | BearerKind::SiteKey
    ) {
        let said =
            "the join string carries no ticket: take one from the operator (`muster ticket mint-token`)";
        return Err(AgentError::Usage(said.to_owned()));
    }
    machine.dialer(&join.pins)?;
    let state = StateDir::open(folder)?;
    state.probe_writable()?;
    let known = state.identity()?;
    // Before a key is used: a copied state folder must not speak for the machine it was copied from.
    let known = known.map(|identity| fork::at_start(machine, &state, identity)).transpose()?;
    let same_server = known.as_ref().is_some_and(|identity| identity.obeys(&join.instruction_key));
    match known {
        Some(IdentityState { membership: Membership::Forking { .. }, .. }) => Err(AgentError::Copied),
        Some(IdentityState { membership: Membership::Joined { .. }, .. }) if !same_server => {
            Err(AgentError::ForeignJoinString)
        }
        Some(identity) if identity.host_id().is_some() => {
            again(machine, &state, identity, join, options).await
        }
        Some(identity) if same_server && matches!(identity.membership, Membership::Joining { .. }) => {
            go_on(machine, &state, identity, join, options).await
        }
        Some(_) => {
            // Revoked, or never admitted by another installation: no key serves twice, no job is told to a stranger.
            state.forget_everything()?;
            anew(machine, &state, join, options).await
        }
        None => anew(machine, &state, join, options).await,
    }
}

async fn anew(
    machine: &Machine,
    state: &StateDir,
    join: &JoinString,
    options: Options,
) -> Result<Joined, AgentError> {
    let uid = machine.uid(state, options.machine_uid.as_deref())?;
    let made_on = Some(machine.settled(state)?);
    let joining = IdentityState { made_on, ..IdentityState::joining(join, uid) };
    let identity = described(machine, state, joining, options)?;
    let key = enroll::make_key(state)?;
    present(machine, state, identity, key, &join.ticket).await
}

/// Goes on with a ticket that was presented before; the one of the join string is presented only once that is refused.
async fn go_on(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    join: &JoinString,
    options: Options,
) -> Result<Joined, AgentError> {
    let identity = described(machine, state, identity.moved(join), options)?;
    let Membership::Joining { ticket, .. } = identity.membership.clone() else {
        return Ok(Joined::Moved { host_id: identity.host_id().ok_or(AgentError::NotJoined)? });
    };
    let key = enroll::kept_key(state)?;
    if ticket.id == join.ticket.id {
        return present(machine, state, identity, key, &join.ticket).await;
    }
    tracing::info!(ticket = %ticket.id, "going on with the ticket this machine presented before");
    match present(machine, state, identity.clone(), Rc::clone(&key), &ticket).await {
        Ok(Joined::Admitted { host_id, disposition, state, replayed, .. }) => {
            Ok(Joined::Admitted { host_id, disposition, state, replayed, by_earlier_ticket: true })
        }
        Err(AgentError::Refused(refusal)) if refusal.code == "enrollment_rejected" => {
            tracing::info!(ticket = %join.ticket.id, "the earlier ticket is refused, presenting the new one");
            let membership = Membership::Joining { ticket: join.ticket.clone(), waiting: None };
            present(machine, state, IdentityState { membership, ..identity }, key, &join.ticket).await
        }
        outcome => outcome,
    }
}

/// Joins a machine that is a host: a site key is presented again with the same key, any other ticket is left unspent.
async fn again(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    join: &JoinString,
    options: Options,
) -> Result<Joined, AgentError> {
    let host_id = identity.host_id().ok_or(AgentError::NotJoined)?;
    let moved = described(machine, state, identity.moved(join), options)?;
    if join.ticket.kind == BearerKind::SiteKey {
        let key = Keys::of(state, &moved)?.current();
        return present(machine, state, moved, key, &join.ticket).await;
    }
    state.store_identity(&moved)?;
    Ok(Joined::Moved { host_id })
}

/// Writes down what the owner says about the machine.
fn described(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    options: Options,
) -> Result<IdentityState, AgentError> {
    let machine_uid = match &options.machine_uid {
        Some(given) => machine.uid(state, Some(given))?,
        None => identity.machine_uid,
    };
    let labels = if options.labels.is_empty() { identity.labels } else { options.labels };
    let hostname = options.hostname.or(identity.hostname);
    Ok(IdentityState { machine_uid, hostname, labels, ..identity })
}

/// Presents a ticket and stores what comes of it.
async fn present(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    key: Rc<HostKey>,
    ticket: &Bearer,
) -> Result<Joined, AgentError> {
    if identity.host_id().is_none() {
        state.store_identity(&identity)?;
    }
    let mut decision = ask(machine, state, &identity, key, ticket).await?;
    if let (Some(host_id), Decision::Revoked(revoked)) = (identity.host_id(), &decision) {
        let mut keys = Keys::of(state, &identity)?;
        if keys.void(state, Some(host_id), revoked)? == Remaining::Next {
            decision = ask(machine, state, &identity, keys.current(), ticket).await?;
        }
    }
    let answered = match &decision {
        Decision::Admitted(reply) => Some((reply.disposition, reply.state, reply.replayed)),
        Decision::Waiting(_) | Decision::Revoked(_) => None,
    };
    let identity = settle(state, identity, decision)?;
    let (host_id, (disposition, state, replayed)) =
        identity.host_id().zip(answered).ok_or(AgentError::NotJoined)?;
    Ok(Joined::Admitted { host_id, disposition, state, replayed, by_earlier_ticket: false })
}

/// Asks until there is an answer: a lost reply is asked for again with the same key.
async fn ask(
    machine: &Machine,
    state: &StateDir,
    identity: &IdentityState,
    key: Rc<HostKey>,
    ticket: &Bearer,
) -> Result<Decision, AgentError> {
    let server = Server::of(identity, key, machine)?;
    let facts = machine.facts(state).await;
    let pace = machine.pace;
    let mut backoff = Backoff::default();
    let mut may_have_arrived = false;
    let mut tries_left = pace.tries;
    loop {
        let asked = enroll::enroll(&server, identity, ticket, machine.hostname(identity), facts.clone());
        let mut error = match asked.await {
            Ok(decision) => return Ok(decision),
            Err(error) => error,
        };
        if let AgentError::Unanswered(unanswered) = &mut error {
            may_have_arrived |= unanswered.may_have_arrived;
            unanswered.may_have_arrived = may_have_arrived;
        }
        let hint = match &error {
            AgentError::Unanswered(unanswered) if may_have_arrived && !unanswered.is_foreign() => None,
            AgentError::Busy { retry_after, .. } if retry_after.is_none_or(|wait| wait <= pace.patience) => {
                *retry_after
            }
            _ => return Err(error),
        };
        tries_left = tries_left.saturating_sub(1);
        if tries_left == 0 {
            return Err(error);
        }
        tracing::info!(tries_left, "asking again with the same key: {error}");
        backoff.ended(Duration::ZERO);
        pace.wait(backoff.delay(Entropy.fraction(), hint)).await;
    }
}

/// Stores what the server decided; the ticket is forgotten once the machine is a host.
pub(crate) fn settle(
    state: &StateDir,
    identity: IdentityState,
    decision: Decision,
) -> Result<IdentityState, AgentError> {
    match decision {
        Decision::Admitted(reply) => {
            let identity = match identity.host_id() {
                None => identity.joined(&reply, reply.server_time),
                Some(expected) if expected == reply.host_id => identity,
                Some(expected) => return Err(AgentError::OtherHost { expected, got: reply.host_id }),
            };
            state.store_identity(&identity)?;
            Ok(identity)
        }
        Decision::Waiting(reply) => {
            if identity.host_id().is_none() {
                state.store_identity(&identity.waiting(&reply))?;
            }
            Err(AgentError::Waiting { claim_id: reply.claim_id, reason: reply.reason })
        }
        Decision::Revoked(revoked) => Err(enroll::give_up(state, identity, &revoked)),
    }
}
