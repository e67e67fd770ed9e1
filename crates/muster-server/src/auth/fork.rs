//! Copies of hosts at the door: no ticket, but a proof by the key they made and a statement by the one they were copied
//! with.

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, Request};
use http::header::AUTHORIZATION;
use muster_http::{AddressBucket, Problem, RawJson};
use muster_proof::ProofError;
use muster_proof::dpop::JudgedProof;
use muster_wire::enroll::ForkRequest;

use super::actor::source;
use super::door::judged_at;
use super::failed::{bucket, failed_proof};
use crate::app::App;
use crate::failed_attempts::AttemptKind;

/// Largest body of a fork, in bytes.
const FORK_LIMIT: usize = 16 * 1024;
const PATH: &str = "/v1/enroll/fork";

/// A copy at the door: the body was parsed, the proof fits the request; no signature was looked at yet.
#[derive(Debug)]
pub struct Fork {
    /// What it says.
    pub request: ForkRequest,
    /// The proof by the key it made.
    pub proof: JudgedProof,
    /// The address it came from.
    pub source: String,
    /// What its failures are counted by.
    pub bucket: AddressBucket,
}

impl<S: Send + Sync> FromRequest<S> for Fork
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let (source, bucket) = (source(&parts), bucket(&parts));
        let headers = parts.headers.clone();
        let body: RawJson<ForkRequest, FORK_LIMIT> =
            RawJson::from_request(Request::from_parts(parts, body), state).await?;
        let request = body.parse()?;
        let now = app.clock.now();
        let judged = match headers.contains_key(AUTHORIZATION) {
            true => Err(ProofError::Invalid("a copy goes without a bearer string")),
            false => judged_at(&app, PATH, &headers, None, body.bytes(), now),
        };
        match judged {
            Ok(proof) => Ok(Self { request, proof, source, bucket }),
            Err(error) => Err(failed_proof(&app, AttemptKind::Agent, bucket, None, error, now)),
        }
    }
}

impl aide::OperationInput for Fork {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<ForkRequest, FORK_LIMIT>::operation_input(ctx, operation);
    }
}
