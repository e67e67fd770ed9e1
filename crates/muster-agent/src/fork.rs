//! Fork: a machine whose state is a copy, or an older one, stops using its key and asks for an identity of its own
//! (DESIGN §4).
//!
//! On disk in this order, so that a crash anywhere goes on where it was: the membership `forking`; the new key; the
//! answer; what the server signed to the new key. The former key is kept until then, to vouch for the new one, and opens no
//! channel any more. Nothing of the former host goes along: its secrets are removed when the fork begins.
//!
//! Only the last of these is signed. Whoever stands in for the server can call a state a copy and admit it: the server
//! then says that it is no copy, and the machine goes back to the channel with the key it had.

use std::rc::Rc;

use http::StatusCode;
use muster_ids::{KeyThumbprint, UidSource};
use muster_proof::{HostKey, successor};
use muster_wire::claim::CopyCause;
use muster_wire::enroll::{ForkClaims, ForkRequest};
use muster_wire::text::Line;

use crate::asking::Asking;
use crate::enroll::{self, Decision};
use crate::error::AgentError;
use crate::keys::{Keys, Remaining};
use crate::machine::Machine;
use crate::origin::{self, Comparison, Place};
use crate::server::Server;
use crate::state::{IdentityState, Membership, StateDir};
use crate::visible;

const PATH: &str = "v1/enroll/fork";

/// Finds out whether this machine is where its state was made, before a key of that state is used.
///
/// A host becomes a forking one; a machine that still joins makes itself a key of its own and goes on with its ticket.
pub(crate) fn at_start(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
) -> Result<IdentityState, AgentError> {
    let identity = settled(state, identity)?;
    if matches!(identity.membership, Membership::Revoked { .. }) {
        return Ok(identity);
    }
    let Some(made_on) = &identity.made_on else {
        let made_on = Some(machine.settled(state)?);
        return stored(state, IdentityState { made_on, ..identity });
    };
    let here = machine.place(state)?;
    let kept = match origin::compare(made_on, &here) {
        Comparison::Elsewhere(cause) => return elsewhere(machine, state, identity, cause),
        Comparison::Learned(place) => place,
        Comparison::Same => made_on.clone(),
    };
    let install = match here.install {
        Some(_) => kept.install,
        // A package that was removed and installed again is no copy.
        None => machine.settled(state)?.install.or(kept.install),
    };
    let kept = Place { install, ..kept };
    if kept == *made_on {
        return Ok(identity);
    }
    stored(state, IdentityState { made_on: Some(kept), ..identity })
}

/// Goes on where a machine stopped that was putting the key it made itself in the place of the one it was copied with.
fn settled(state: &StateDir, identity: IdentityState) -> Result<IdentityState, AgentError> {
    if !matches!(identity.membership, Membership::Joined { .. }) {
        return Ok(identity);
    }
    match (identity.copy_of(), state.fork_key()?) {
        (Some(_), None) => {
            state.forget_fork_key()?;
            stored(state, identity.proved())
        }
        (None, Some(_)) => {
            // An older agent's: what it left there was the former host's.
            state.forget_config()?;
            state.promote_fork_key()?;
            Ok(identity)
        }
        (Some(_), Some(_)) | (None, None) => Ok(identity),
    }
}

/// Asks once more, with the same key, as the host the state was made for: the server does not take that key.
pub(crate) fn again(state: &StateDir, identity: IdentityState) -> Result<IdentityState, AgentError> {
    let Some(cause) = identity.copy_of().map(|copied| copied.cause) else { return Ok(identity) };
    stored(state, identity.forking(cause))
}

fn elsewhere(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    cause: CopyCause,
) -> Result<IdentityState, AgentError> {
    if !matches!(identity.membership, Membership::Joining { .. }) {
        // A copy of a state that was forking holds a key that another machine made for itself.
        state.forget_fork_key()?;
        return begin(machine, state, identity, cause);
    }
    tracing::warn!("this state folder was made on another machine: joining with a key of its own");
    state.forget_host_key()?;
    let identity = described(machine, state, identity, cause)?;
    let Membership::Joining { ticket, .. } = identity.membership else { return Ok(identity) };
    let membership = Membership::Joining { ticket, waiting: None };
    let identity = stored(state, IdentityState { membership, ..identity })?;
    enroll::make_key(state)?;
    Ok(identity)
}

/// Begins the fork of a host; from then on its key only vouches for the new one.
pub(crate) fn begin(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    cause: CopyCause,
) -> Result<IdentityState, AgentError> {
    tracing::warn!(
        cause = visible::word(&cause),
        "{}: its key is not used any more, asking the server for an identity of its own",
        in_words(cause)
    );
    let identity = described(machine, state, identity, cause)?.forking(cause);
    let identity = stored(state, identity)?;
    state.forget_config()?;
    Ok(identity)
}

/// Describes the machine the state is on now, where that is another one than it was made on.
fn described(
    machine: &Machine,
    state: &StateDir,
    identity: IdentityState,
    cause: CopyCause,
) -> Result<IdentityState, AgentError> {
    let is_elsewhere = matches!(cause, CopyCause::MachineUidDiffers | CopyCause::InstallIdDiffers);
    if is_elsewhere && machine.place(state)?.hardware.source() == UidSource::Random {
        state.forget_uid_random()?;
    }
    let place = machine.settled(state)?;
    let machine_uid = if is_elsewhere { place.hardware } else { identity.machine_uid };
    Ok(IdentityState { machine_uid, made_on: Some(place), ..identity })
}

fn stored(state: &StateDir, identity: IdentityState) -> Result<IdentityState, AgentError> {
    state.store_identity(&identity)?;
    Ok(identity)
}

/// Says what a machine found out about its state.
pub(crate) fn in_words(cause: CopyCause) -> &'static str {
    match cause {
        CopyCause::GenerationStale => {
            "the server knows a newer state of this host than this machine holds: its state folder is a copy, or was \
             restored from an older one"
        }
        CopyCause::Fenced => {
            "another agent is connected as this host and answers: one of both state folders is a copy"
        }
        CopyCause::MachineUidDiffers => {
            "this state folder was made on another machine, or this machine's hardware was exchanged"
        }
        CopyCause::InstallIdDiffers => "this state folder was made in another installation",
    }
}

/// Asks, with the same new key, until a person decided; returns the identity of the host this machine is then.
pub(crate) async fn until_decided(
    machine: &Machine,
    state: &StateDir,
    mut identity: IdentityState,
) -> Result<IdentityState, AgentError> {
    // A crash may have left them.
    state.forget_config()?;
    let mut keys = Keys::load(state)?;
    let mut asking = Asking::default();
    let mut key = enroll::fork_key(state)?;
    let mut server = Server::of(&identity, Rc::clone(&key), machine)?;
    loop {
        let asked = ask(machine, state, &server, &identity, &keys.current()).await;
        let hint = match &asked {
            Ok(Decision::Waiting(waiting)) => Some(enroll::ask_again_after(waiting)),
            _ => None,
        };
        let cause = match asked {
            Ok(Decision::Admitted(reply)) => {
                tracing::info!(host.id = %reply.host_id, "admitted with a key of its own");
                return adopt(state, identity, &reply);
            }
            Ok(Decision::Waiting(reply)) => {
                let is_told = matches!(
                    &identity.membership,
                    Membership::Forking { waiting: Some(waiting), refused: false, .. }
                        if waiting.claim_id == reply.claim_id
                );
                if !is_told {
                    identity = stored(state, identity.waiting(&reply))?;
                }
                AgentError::Waiting { claim_id: reply.claim_id, reason: reply.reason }
            }
            Ok(Decision::Revoked(revoked)) => match keys.void(state, None, &revoked)? {
                // The key that took the place of the former one vouches as well.
                Remaining::Next => continue,
                Remaining::Both | Remaining::Current | Remaining::Nothing => {
                    return Err(enroll::give_up(state, identity, &revoked));
                }
            },
            Err(AgentError::Refused(refusal)) if refusal.code == "claim_rejected" => {
                let refused = stored(state, identity.refused())?;
                let Membership::Forking { waiting, .. } = refused.membership else {
                    return Err(AgentError::NotJoined);
                };
                return Err(AgentError::CopyRefused { claim: waiting.map(|waiting| waiting.claim_id) });
            }
            Err(cause @ AgentError::Refused(_)) if is_no_copy(&identity, &cause) => {
                // Whoever said that it is a copy may say so again: it is asked no faster than anybody who is refused.
                asking.pause(&machine.pace, &cause, None).await;
                state.forget_fork_key()?;
                return stored(state, identity.no_copy(machine.clock.now()));
            }
            Err(AgentError::Refused(refusal))
                if refusal.status == StatusCode::CONFLICT && refusal.code == "key_in_use" =>
            {
                // Another copy brought the same new key along: this one is its.
                state.forget_fork_key()?;
                key = enroll::fork_key(state)?;
                server = Server::of(&identity, Rc::clone(&key), machine)?;
                AgentError::Refused(refusal)
            }
            Err(cause @ AgentError::State(_)) => return Err(cause),
            Err(cause) => cause,
        };
        asking.pause(&machine.pace, &cause, hint).await;
    }
}

async fn ask(
    machine: &Machine,
    state: &StateDir,
    server: &Server,
    identity: &IdentityState,
    former: &HostKey,
) -> Result<Decision, AgentError> {
    let Membership::Forking { host_id, cause, .. } = identity.membership else {
        return Err(AgentError::NotJoined);
    };
    let claims = ForkClaims {
        host_id,
        key: server.key().thumbprint(),
        cause,
        generation: generation_of(state, former.thumbprint())?,
        boot_id: machine.boot_id(),
    };
    let statement = successor::sign_fork(former, &claims);
    let request = ForkRequest {
        host_id,
        statement: Line::parse(&statement).map_err(|_| AgentError::Copied)?,
        hostname: machine.hostname(identity),
        machine_uid: identity.machine_uid,
        facts: machine.facts(state).await,
        labels: identity.labels.clone(),
    };
    let body = serde_json::to_vec(&request).expect("a request has string keys and no failing field");
    let answer = server.post(PATH, Some(body.into()), None, None).await?;
    enroll::judge(&answer, identity, &[server.key(), former], None)
}

/// A generation of the key that vouches, whether or not it took the place of another one.
fn generation_of(state: &StateDir, key: KeyThumbprint) -> Result<Option<String>, AgentError> {
    Ok(state.generation_of_unproved(key)?.or(state.generation_of(key)?))
}

/// Whether the server says that it never called this state a copy. A machine that found out by itself knows better.
fn is_no_copy(identity: &IdentityState, cause: &AgentError) -> bool {
    let was_told = matches!(
        identity.membership,
        Membership::Forking { cause: CopyCause::GenerationStale | CopyCause::Fenced, .. }
    );
    let AgentError::Refused(refusal) = cause else { return false };
    was_told && refusal.status == StatusCode::CONFLICT && refusal.code == "not_a_copy"
}

/// Becomes the host of the answer, which nobody signed: the key it was copied with stays beside its own until something
/// that is signed shows that the server took that.
fn adopt(
    state: &StateDir,
    identity: IdentityState,
    reply: &muster_wire::enroll::EnrollReply,
) -> Result<IdentityState, AgentError> {
    let is_same_host = matches!(
        identity.membership,
        Membership::Forking { host_id, .. } if host_id == reply.host_id
    );
    if !is_same_host {
        state.forget_attempts()?;
    }
    stored(state, identity.joined(reply, reply.server_time))
}
