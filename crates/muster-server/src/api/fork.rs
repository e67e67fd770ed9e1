//! `/v1/enroll/fork`: copies of hosts, which made themselves a key of their own.

use axum::extract::State;
use muster_domain::admission::Refusal;
use muster_http::Problem;
use muster_wire::enroll::{Disposition, EnrollReply};

use super::enroll::{Enrolled, counted, refused, waiting};
use crate::app::App;
use crate::auth::{Fork, failed, failed_proof};
use crate::channel::HEARTBEAT_SECS;
use crate::enrol::Outcome;
use crate::enrol::fork::answer;
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::problems::too_many_proofs;
use crate::server_keys::told_with;

/// `POST /v1/enroll/fork`
pub async fn create(State(app): State<App>, fork: Fork) -> Result<Enrolled, Problem> {
    let now = app.clock.now();
    let (address, source) = (fork.source.clone(), fork.bucket);
    let refuse = |problem| failed(&app, AttemptKind::Agent, source, None, problem);
    let outcome = answer(&app, fork, now).await?;
    app.metrics.count_enrolment(counted(&outcome));
    match outcome {
        Outcome::Admitted { host_id, disposition, state, replayed, .. } => {
            let reply = EnrollReply {
                host_id,
                disposition,
                state,
                heartbeat_secs: HEARTBEAT_SECS,
                server_time: now,
                instruction_key: told_with(&app, None).await?,
                agent_key_id: None,
                replayed,
            };
            let is_new = disposition == Disposition::New;
            Ok(if is_new { Enrolled::Created(reply) } else { Enrolled::Same(reply) })
        }
        Outcome::Waiting { claim_id, reason } => {
            let instruction_key = told_with(&app, None).await?;
            Ok(Enrolled::Waiting(waiting(instruction_key, claim_id, reason, now)))
        }
        Outcome::Refused { refusal: refusal @ Refusal::Rejected(_), .. } => {
            Err(refuse(Failure::Admission(refusal).into()))
        }
        Outcome::Refused { refusal, revoked } => Err(refused(&app, refusal, revoked, address, now).await),
        Outcome::Unproved(error) => Err(failed_proof(&app, AttemptKind::Agent, source, None, error, now)),
        Outcome::TooManyProofs => Err(too_many_proofs()),
    }
}
