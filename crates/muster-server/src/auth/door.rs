//! Machines at the door: a ticket, and a proof over exactly this request.

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, Request};
use http::{HeaderMap, Method};
use muster_http::{AddressBucket, Problem, RawJson};
use muster_ids::{Bearer, Timestamp};
use muster_proof::ProofError;
use muster_proof::dpop::{Expected, JudgedProof, Proof};
use muster_wire::enroll::EnrollRequest;

use super::actor::{bearer, source};
use super::failed::{bucket, failed_proof};
use super::proof::{DPOP, accepted_urls, the_one_proof};
use crate::app::App;
use crate::failed_attempts::AttemptKind;

/// Largest body of an enrolment, in bytes.
const ENROLL_LIMIT: usize = 16 * 1024;
const PATH: &str = "/v1/enroll";

/// A machine at the door: the body was parsed, the proof fits the request; neither its signature nor the ticket was
/// looked at yet.
#[derive(Debug)]
pub struct Door {
    /// What the machine reports.
    pub request: EnrollRequest,
    /// The bearer string it presents; `None` when there is none of any known form.
    pub bearer: Option<Bearer>,
    /// Its proof, if it holds a key pair.
    pub proof: Option<JudgedProof>,
    /// The address it came from.
    pub source: String,
    /// What its failures are counted by.
    pub bucket: AddressBucket,
}

impl<S: Send + Sync> FromRequest<S> for Door
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let (source, bucket) = (source(&parts), bucket(&parts));
        let headers = parts.headers.clone();
        let body: RawJson<EnrollRequest, ENROLL_LIMIT> =
            RawJson::from_request(Request::from_parts(parts, body), state).await?;
        let request = body.parse()?;
        let bearer = bearer(&headers);
        let now = app.clock.now();
        let proof = match headers.get_all(DPOP).iter().count() {
            0 => None,
            _ => match judged(&app, &headers, body.bytes(), now) {
                Ok(proof) => Some(proof),
                Err(error) => {
                    let presented = bearer.map(|bearer| bearer.id);
                    return Err(failed_proof(&app, AttemptKind::Ticket, bucket, presented, error, now));
                }
            },
        };
        Ok(Self { request, bearer, proof, source, bucket })
    }
}

/// Judges form, method, URL, body and time, independently of the ticket.
fn judged(app: &App, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Result<JudgedProof, ProofError> {
    let shown = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' ')).map(|(_, token)| token);
    judged_at(app, PATH, headers, shown, body, now)
}

/// Judges a proof over a request to `path` that shows this bearer string.
pub(super) fn judged_at(
    app: &App,
    path: &str,
    headers: &HeaderMap,
    shown: Option<&str>,
    body: &[u8],
    now: Timestamp,
) -> Result<JudgedProof, ProofError> {
    let urls = accepted_urls(app, path);
    let expected = Expected {
        method: Method::POST.as_str(),
        accepted_urls: &urls,
        body_sha256: Some(muster_proof::digest::sha256(body)),
        bearer: shown,
        now,
        nonce_is_valid: |nonce: &str| app.keyring.nonce_is_valid(nonce, now),
        nonce_required: false,
    };
    Proof::parse(the_one_proof(headers)?)?.judge_request(&expected)
}

impl aide::OperationInput for Door {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<EnrollRequest, ENROLL_LIMIT>::operation_input(ctx, operation);
        operation
            .security
            .push([("ticket".to_owned(), Vec::new()), ("dpop".to_owned(), Vec::new())].into_iter().collect());
        operation.security.push([("ticket".to_owned(), Vec::new())].into_iter().collect());
        operation.extensions.insert("x-muster-permission".to_owned(), "ticket".into());
    }
}
