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
    judge(&answer, identity, &[server.key()], Some(ticket))
}

/// Says what an answer means to a machine that holds these keys.
pub(crate) fn judge(
    answer: &Answer,
    identity: &IdentityState,
    keys: &[&HostKey],
    ticket: Option<&Bearer>,
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
            let genuine = statement.and_then(|text| {
                let revoked = signed(&text, identity)?;
                keys.iter().any(|key| revoked.key == KeyName::Pair(key.thumbprint())).then_some(revoked)
            });
            if let Some(revoked) = genuine {
                return Ok(Decision::Revoked(revoked));
            }
            let refusal = server::refusal(response, ticket).ok_or_else(unintelligible)?;
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
    if identity.obeys(answered) { Ok(()) } else { Err(AgentError::ForeignServer) }
}

/// Verifies that a `revoked` is signed by a key whose instructions count; whose key it names is for the caller to see.
pub fn signed(statement: &str, identity: &IdentityState) -> Option<Revoked> {
    let mut refused = None;
    for key in identity.instruction_keys() {
        match instruction::verify_revoked(statement, key) {
            Ok(revoked) => return Some(revoked),
            Err(cause) => refused = Some(cause),
        }
    }
    let cause = refused.map(tracing::field::display);
    tracing::warn!(cause, "ignored a statement that this machine's key is void: it is not genuine");
    None
}

/// Verifies a `revoked`: signed by a key whose instructions count, and about this key and host. Nothing else counts.
pub fn genuine(
    statement: &str,
    identity: &IdentityState,
    key: &HostKey,
    host_id: Option<HostId>,
) -> Option<Revoked> {
    let revoked = signed(statement, identity)?;
    let is_ours = revoked.key == KeyName::Pair(key.thumbprint())
        && host_id.is_none_or(|host_id| revoked.host_id == host_id);
    if !is_ours {
        ignored();
    }
    is_ours.then_some(revoked)
}

/// Tells that a genuine statement names a key of somebody else.
pub(crate) fn ignored() {
    tracing::warn!("ignored a signed statement that another key is void");
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

/// Makes the key of a copy, which takes nothing along from the key it was copied with; on disk before it is used.
pub fn fork_key(state: &StateDir) -> Result<Rc<HostKey>, AgentError> {
    if let Some(document) = state.fork_key()? {
        return Ok(Rc::new(HostKey::from_pkcs8(&document).map_err(|_| state.fork_key_damaged())?));
    }
    let key = HostKey::generate();
    state.store_fork_key(&key.to_pkcs8())?;
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
