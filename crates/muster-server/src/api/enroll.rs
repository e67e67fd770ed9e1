//! `/v1/enroll`: the one door for machines.

use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::{Operation, Response as DocumentedResponse, StatusCode as DocumentedStatus};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use muster_domain::admission::Refusal;
use muster_http::{Accepted, Created, CurrentRequest, Problem, Reply};
use muster_ids::{KeyName, KeyThumbprint, Timestamp};
use muster_wire::claim::ClaimReason;
use muster_wire::enroll::{Disposition, EnrollReply, EnrollWaiting};

use crate::app::App;
use crate::auth::{Door, failed, failed_proof};
use crate::channel::{HEARTBEAT_SECS, revoked_statement};
use crate::enrol::{self, Outcome};
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::former_uses::FormerUse;
use crate::metrics::DoorAnswer;
use crate::problems::too_many_proofs;
use crate::server_keys::told_with;

/// Seconds a machine that waits for a person should stay away.
const ASK_AGAIN_AFTER: u32 = 30;

/// The replies of the door that are not problems.
#[derive(Debug)]
pub enum Enrolled {
    /// A host came to be.
    Created(EnrollReply),
    /// A host that was there, with the same key or a new one.
    Same(EnrollReply),
    /// A person must decide.
    Waiting(EnrollWaiting),
}

/// `POST /v1/enroll`
pub async fn create(
    State(app): State<App>,
    CurrentRequest(request_id): CurrentRequest,
    door: Door,
) -> Result<Enrolled, Problem> {
    let now = app.clock.now();
    let request_id = request_id.map(|id| id.to_string()).unwrap_or_default();
    let address = door.source.clone();
    let (source, presented) = (door.bucket, door.bearer.as_ref().map(|bearer| bearer.id));
    let refuse = |problem| failed(&app, AttemptKind::Ticket, source, presented, problem);
    let outcome = enrol::answer(&app, door, request_id, now).await?;
    app.metrics.count_enrolment(counted(&outcome));
    match outcome {
        Outcome::Admitted { host_id, key, disposition, state, replayed } => {
            let reply = EnrollReply {
                host_id,
                disposition,
                state,
                heartbeat_secs: HEARTBEAT_SECS,
                server_time: now,
                instruction_key: told_with(&app, presented).await?,
                agent_key_id: match key {
                    KeyName::Agent(id) => Some(id),
                    KeyName::Pair(_) => None,
                },
                replayed,
            };
            let came_to_be = matches!(disposition, Disposition::New | Disposition::Registered) && !replayed;
            Ok(if came_to_be { Enrolled::Created(reply) } else { Enrolled::Same(reply) })
        }
        Outcome::Waiting { reason: ClaimReason::SiteConflict, .. } => Err(site_conflict()),
        Outcome::Waiting { claim_id, reason } => {
            let instruction_key = told_with(&app, presented).await?;
            Ok(Enrolled::Waiting(waiting(instruction_key, claim_id, reason, now)))
        }
        // Whatever was wrong with the ticket counts alike, so that a 429 says no more than the 401.
        Outcome::Refused { refusal: refusal @ Refusal::Rejected(_), .. } => {
            Err(refuse(Failure::Admission(refusal).into()))
        }
        Outcome::Refused { refusal, revoked } => Err(refused(&app, refusal, revoked, address, now).await),
        Outcome::Unproved(error) => {
            Err(failed_proof(&app, AttemptKind::Ticket, source, presented, error, now))
        }
        Outcome::TooManyProofs => Err(too_many_proofs()),
    }
}

pub(super) fn waiting(
    instruction_key: KeyThumbprint,
    claim_id: muster_ids::ClaimId,
    reason: ClaimReason,
    now: Timestamp,
) -> EnrollWaiting {
    EnrollWaiting { claim_id, reason, retry_after_secs: ASK_AGAIN_AFTER, server_time: now, instruction_key }
}

/// Names nothing: whoever holds a key of one site must learn nothing of another.
fn site_conflict() -> Problem {
    let detail = "this machine cannot be admitted at this site before a person decides";
    Problem::new(StatusCode::CONFLICT, "site_conflict", detail)
        .retry_after(Duration::from_secs(ASK_AGAIN_AFTER.into()))
}

/// Refuses a machine. Who proved a key that ended is refused with the signed statement, and told of.
pub(super) async fn refused(
    app: &App,
    refusal: Refusal,
    revoked: Option<enrol::Revoked>,
    source: String,
    now: Timestamp,
) -> Problem {
    let problem = Problem::from(Failure::Admission(refusal));
    match (refusal, revoked) {
        (Refusal::KeyRevoked { host_id, key }, Some(revoked)) => {
            app.former_uses.note(FormerUse { key, host_id, team_id: revoked.team_id }, source, now);
            let statement = revoked_statement(app, host_id, key, revoked.reason, revoked.at).await;
            problem.extension("revoked", statement)
        }
        _ => problem,
    }
}

pub(super) fn counted(outcome: &Outcome) -> DoorAnswer {
    match outcome {
        Outcome::Admitted { replayed: true, .. }
        | Outcome::Admitted { disposition: Disposition::Reuse, .. } => DoorAnswer::Repeated,
        Outcome::Admitted { .. } => DoorAnswer::Admitted,
        Outcome::Waiting { .. } => DoorAnswer::Waiting,
        Outcome::Refused { .. } | Outcome::Unproved(_) | Outcome::TooManyProofs => DoorAnswer::Refused,
    }
}

impl IntoResponse for Enrolled {
    fn into_response(self) -> Response {
        match self {
            Self::Created(reply) => Created::new(reply).into_response(),
            Self::Same(reply) => Reply::<_, 200>::new(reply).into_response(),
            Self::Waiting(waiting) => {
                let after = HeaderValue::from(waiting.retry_after_secs);
                Accepted::new(waiting).header(RETRY_AFTER, after).into_response()
            }
        }
    }
}

impl aide::OperationOutput for Enrolled {
    type Inner = EnrollReply;

    fn inferred_responses(
        ctx: &mut GenContext,
        operation: &mut Operation,
    ) -> Vec<(Option<DocumentedStatus>, DocumentedResponse)> {
        let mut responses = Reply::<EnrollReply>::inferred_responses(ctx, operation);
        responses.extend(Created::<EnrollReply>::inferred_responses(ctx, operation));
        responses.extend(Accepted::<EnrollWaiting>::inferred_responses(ctx, operation));
        responses
    }
}
