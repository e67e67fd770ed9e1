//! The one place where a failure becomes a status and a problem.

use std::time::Duration;

use http::StatusCode;
use muster_domain::admission::Refusal;
use muster_domain::server_keys::NotKnown;
use muster_http::Problem;
use muster_ids::HostId;
use muster_store::StoreError;

use crate::event_stream::COME_BACK_AFTER;
use crate::failure::{Failure, Named};

/// Seconds a suspended host is asked to wait, at whatever door.
pub(crate) const SUSPENDED_RETRY_SECS: u32 = 30;
const HELD_RETRY: Duration = Duration::from_secs(60);
const OVER_BUDGET_RETRY: Duration = Duration::from_secs(2);
const UNSEEN_RETRY: Duration = Duration::from_secs(5);

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound => Self::not_found(),
            Failure::Invalid { pointer, code } => Self::validation().field(pointer, code),
            Failure::Of { because, .. } => (*because).into(),
            Failure::Conflict { code, detail } => Self::new(StatusCode::CONFLICT, code, detail),
            Failure::Unprocessable { code, detail } => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail)
            }
            Failure::Gone { code, detail } => Self::new(StatusCode::GONE, code, detail),
            Failure::Forbidden { code, detail } => forbidden(code, detail),
            Failure::HostsNotInformed(NotKnown { missing, hosts }) => {
                let detail = "hosts that do not know the next key would be lost; wait until they have connected, or \
                              force it and give them a new join string";
                Self::new(StatusCode::CONFLICT, "hosts_not_informed", detail)
                    .extension("not_informed", missing)
                    .extension("hosts", hosts)
            }
            Failure::Unauthorized => unauthorized(),
            Failure::HostHeld => host_held(),
            Failure::KeyNotActive => forbidden("key_not_active", "the key or its host is no longer active"),
            Failure::ForeignJob => forbidden("foreign_job", "the job was never given to this host"),
            Failure::ForeignHost => forbidden("foreign_host", "a host speaks for itself only"),
            Failure::Admission(refusal) => at_the_door(&refusal),
            Failure::OverBudget => Self::unavailable(OVER_BUDGET_RETRY),
            Failure::RevocationsUnseen => revocations_unseen(),
            Failure::Store(error) => of_the_store(error),
            failure @ Failure::SecretUnreadable { .. } => Self::internal(failure),
            Failure::Internal(cause) => {
                Self::internal(Box::<dyn std::error::Error + Send + Sync>::from(cause.to_string()))
            }
        }
    }
}

/// The problem of a request for many hosts: it points at the one, or at the site, that stands in the way of all. `hosts`
/// are in the order of the body.
pub fn of_many(failure: Failure, hosts: &[HostId]) -> Problem {
    let Failure::Of { named, because } = failure else { return failure.into() };
    let pointer = match named {
        Named::Host(host_id) => match hosts.iter().position(|id| *id == host_id) {
            Some(place) => format!("/hosts/{place}"),
            None => "/hosts".to_owned(),
        },
        Named::Site(_) => "/change/site_id".to_owned(),
    };
    let code = match &*because {
        Failure::Invalid { code, .. } => code.to_string(),
        Failure::Conflict { code, .. } => (*code).to_owned(),
        _ => "not_found".to_owned(),
    };
    Problem::from(*because).field(pointer, code)
}

/// The 503 of who would begin something while this node cannot see what was revoked: it changes nothing for them.
fn revocations_unseen() -> Problem {
    let detail = "the server cannot see at the moment what was revoked; come back later";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "revocations_unseen", detail).retry_after(UNSEEN_RETRY)
}

/// A 401 of whoever shows a bearer string, or should.
fn bearer_wanted(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, code, detail)
        .header(http::header::WWW_AUTHENTICATE, http::HeaderValue::from_static("Bearer"))
}

/// The one 401 of people: the same bytes whatever was wrong with the token or the session.
pub fn unauthorized() -> Problem {
    bearer_wanted("unauthorized", "a valid operator token, or a signed-in session, is needed")
}

/// The one 401 of invitations: the same bytes whatever was wrong.
pub fn invitation_rejected() -> Problem {
    bearer_wanted("invitation_rejected", "the invitation was not accepted")
}

/// The one 401 of the sign-in: the same bytes whatever was wrong.
pub fn sign_in_refused() -> Problem {
    bearer_wanted("unauthorized", "the login, the password or the code is wrong")
}

/// The 401 of who has the right password and showed no code.
pub fn second_factor_required() -> Problem {
    bearer_wanted("second_factor_required", "a code of the second factor is needed")
}

fn forbidden(code: &'static str, detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, code, detail)
}

/// The 403 of both sides of a copied host, until a person answered.
pub fn host_held() -> Problem {
    forbidden(
        "host_held",
        "the host was copied, and is held until a person answered which machine is genuine",
    )
    .retry_after(HELD_RETRY)
}

/// The 403 of a suspended host.
pub fn host_suspended() -> Problem {
    forbidden("host_suspended", "the host is suspended")
        .retry_after(Duration::from_secs(SUSPENDED_RETRY_SECS.into()))
}

fn of_the_store(error: StoreError) -> Problem {
    if error.is_unavailable() {
        return Problem::unavailable(Duration::from_secs(1)).caused_by(error);
    }
    Problem::internal(error)
}

/// Turns a refusal of the door into its reply. `key_revoked` gets its signed statement from the handler.
fn at_the_door(refusal: &Refusal) -> Problem {
    match refusal {
        Refusal::Rejected(_) => enrolment_rejected(),
        Refusal::KeyRevoked { .. } => {
            Problem::new(StatusCode::UNAUTHORIZED, "key_revoked", "this key was revoked or replaced")
        }
        Refusal::KeyInUse => {
            Problem::new(StatusCode::CONFLICT, "key_in_use", "this key belongs to another host")
        }
        Refusal::HostSuspended => host_suspended(),
        Refusal::HostHeld => host_held(),
        Refusal::ClaimRejected => {
            Problem::new(StatusCode::FORBIDDEN, "claim_rejected", "a person refused this machine")
        }
        Refusal::NotACopy => Problem::new(
            StatusCode::CONFLICT,
            "not_a_copy",
            "this state is the host's own: come back with its key",
        ),
        Refusal::KeyRequired => Problem::validation().field("/agent_secret", "key_pair_required"),
        Refusal::TooManyClaims => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too_many_claims",
            "too many machines wait for a decision",
        )
        .retry_after(Duration::from_secs(300)),
        Refusal::VerdictNotPossible => {
            Problem::new(StatusCode::CONFLICT, "verdict_not_possible", "the claim cannot be decided this way")
        }
    }
}

/// The 429 of a failure after too many others; the credential was judged and does not hold.
pub fn too_many_failures(wait: Duration) -> Problem {
    Problem::of_status(StatusCode::TOO_MANY_REQUESTS).retry_after(wait)
}

/// The 429 of a key, or a ticket, with more proofs than are remembered of one.
pub fn too_many_proofs() -> Problem {
    Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_proofs", "this key asks too often; come back later")
        .retry_after(Duration::from_secs(30))
}

/// The 503 of a person with as many streams open as may be.
pub fn too_many_streams() -> Problem {
    let detail = "you have as many streams open as may be";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_streams", detail).retry_after(COME_BACK_AFTER)
}

/// The one 401 of the door: the same bytes whatever was wrong with the ticket.
pub fn enrolment_rejected() -> Problem {
    bearer_wanted("enrollment_rejected", "the ticket was not accepted")
}
