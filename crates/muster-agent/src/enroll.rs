//! One enrolment: what is asked, and what the answer means (DESIGN §4).

use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use muster_ids::{Bearer, HostId, KeyName, KeyThumbprint};
use muster_proof::HostKey;
use muster_proof::instruction::{self, Revoked};
use muster_wire::enroll::{EnrollReply, EnrollRequest, EnrollWaiting, Facts};
use muster_wire::text::Hostname;

use crate::error::AgentError;
use crate::server::{self, Answer, Server};
use crate::state::{IdentityState, StateDir, StateView};

const PATH: &str = "v1/enroll";

/// What the server decided.
#[derive(Debug)]
pub enum Decision {
    /// The machine is a host.
    Admitted(EnrollReply),
    /// A person must decide.
    Waiting(EnrollWaiting),
    /// The key is void, and the statement that says so is genuine.
    Revoked(Revoked),
}

/// Presents `ticket` once, as `identity`.
pub async fn enroll(
    server: &Server,
    identity: &IdentityState,
    ticket: &Bearer,
    hostname: Hostname,
    facts: Facts,
) -> Result<Decision, AgentError> {
    let request = EnrollRequest {
        hostname,
        machine_uid: identity.machine_uid,
        facts,
        labels: identity.labels.clone(),
        agent_secret: None,
    };
    let body = serde_json::to_vec(&request).expect("a request has string keys and no failing field");
    let answer = server.post(PATH, Some(body.into()), Some(ticket), None).await?;
    judge(&answer, identity, server.key(), ticket)
}

fn judge(
    answer: &Answer,
    identity: &IdentityState,
    key: &HostKey,
    ticket: &Bearer,
) -> Result<Decision, AgentError> {
    let Answer { response, .. } = answer;
    let unintelligible =
        || AgentError::Unintelligible { authority: answer.authority(), status: response.status };
    match response.status {
        StatusCode::OK | StatusCode::CREATED => {
            let reply: EnrollReply = serde_json::from_slice(&response.body).map_err(|_| unintelligible())?;
            same_installation(identity, &reply.instruction_key)?;
            Ok(Decision::Admitted(reply))
        }
        StatusCode::ACCEPTED => {
            let reply: EnrollWaiting =
                serde_json::from_slice(&response.body).map_err(|_| unintelligible())?;
            same_installation(identity, &reply.instruction_key)?;
            Ok(Decision::Waiting(reply))
        }
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => Err(busy(answer)),
        status if status.is_server_error() => Err(busy(answer)),
        status if status.is_client_error() => {
            let statement = server::revoked_statement(response);
            let genuine = statement.and_then(|text| genuine(&text, identity, key, None));
            if let Some(revoked) = genuine {
                return Ok(Decision::Revoked(revoked));
            }
            let refusal = server::refusal(response, Some(ticket)).ok_or_else(unintelligible)?;
            Err(refusal.into())
        }
        _ => Err(unintelligible()),
    }
}

fn busy(answer: &Answer) -> AgentError {
    AgentError::Busy {
        status: answer.response.status,
        retry_after: server::retry_after(&answer.response.headers),
    }
}

fn same_installation(identity: &IdentityState, answered: &KeyThumbprint) -> Result<(), AgentError> {
    if *answered == identity.instruction_key { Ok(()) } else { Err(AgentError::ForeignServer) }
}

/// Verifies a `revoked`: signed by the pinned instruction key, and about this key and host. Nothing else counts.
pub fn genuine(
    statement: &str,
    identity: &IdentityState,
    key: &HostKey,
    host_id: Option<HostId>,
) -> Option<Revoked> {
    let revoked = instruction::verify_revoked(statement, &identity.instruction_key);
    let is_ours = |revoked: &Revoked| {
        revoked.key == KeyName::Pair(key.thumbprint())
            && host_id.is_none_or(|host_id| revoked.host_id == host_id)
    };
    match revoked {
        Ok(revoked) if is_ours(&revoked) => Some(revoked),
        Ok(_) => {
            tracing::warn!("ignored a signed statement that another key is void");
            None
        }
        Err(cause) => {
            tracing::warn!(%cause, "ignored a statement that this machine's key is void: it is not genuine");
            None
        }
    }
}

/// Gives up a key that is void: first the record of why, then key and secrets, whatever the disk says.
pub fn give_up(state: &StateDir, identity: IdentityState, revoked: &Revoked) -> AgentError {
    let reason =
        crate::visible::line::<256>(&revoked.reason).map_or_else(String::new, |line| line.to_string());
    let identity = IdentityState {
        membership: crate::state::Membership::Revoked {
            host_id: revoked.host_id,
            reason: reason.clone(),
            revoked_at: revoked.at,
        },
        ..identity
    };
    let stored = state.store_identity(&identity);
    if let Err(cause) = stored.and(state.forget_credentials()) {
        // The key is void all the same; what is left on disk opens nothing.
        tracing::error!("{cause}");
        let _ = state.forget_credentials();
    }
    AgentError::Revoked { reason }
}

/// Makes the host key of a machine that begins to join; on disk before it is used. One that was never used is kept.
pub fn make_key(state: &StateDir) -> Result<Rc<HostKey>, AgentError> {
    if state.host_key()?.is_some() {
        return kept_key(state);
    }
    let key = HostKey::generate();
    state.store_host_key(&key.to_pkcs8())?;
    Ok(Rc::new(key))
}

/// Reads the host key of a machine that presented it already: without it, it is nobody.
pub fn kept_key(state: &StateView) -> Result<Rc<HostKey>, AgentError> {
    let Some(document) = state.host_key()? else {
        return Err(AgentError::KeyMissing { folder: state.path().to_owned() });
    };
    let key = HostKey::from_pkcs8(&document).map_err(|_| state.host_key_damaged())?;
    Ok(Rc::new(key))
}

/// How long a machine that waits for a person should wait before it asks again.
pub fn ask_again_after(waiting: &EnrollWaiting) -> Duration {
    Duration::from_secs(u64::from(waiting.retry_after_secs.clamp(1, 3600)))
}
