//! Machines at the door: a ticket, and a proof over exactly this request.

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, Request};
use http::{HeaderMap, Method};
use muster_http::{Problem, RawJson};
use muster_ids::Bearer;
use muster_proof::PublicKey;
use muster_proof::dpop::{Expected, Proof};
use muster_wire::enroll::EnrollRequest;

use super::actor::{bearer, source};
use super::proof::{DPOP, NotTaken, accepted_urls, refused_proof};
use crate::app::App;

/// Largest body of an enrolment, in bytes.
const ENROLL_LIMIT: usize = 16 * 1024;
const PATH: &str = "/v1/enroll";

/// A machine at the door: the body was parsed, the proof verified; the ticket was not looked at yet.
#[derive(Debug)]
pub struct Door {
    /// What the machine reports.
    pub request: EnrollRequest,
    /// The bearer string it presents; `None` when there is none of any known form.
    pub bearer: Option<Bearer>,
    /// The key it proved, if it holds a key pair.
    pub key: Option<PublicKey>,
    /// The address it came from.
    pub source: String,
}

impl<S: Send + Sync> FromRequest<S> for Door
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let source = source(&parts);
        let headers = parts.headers.clone();
        let body: RawJson<EnrollRequest, ENROLL_LIMIT> =
            RawJson::from_request(Request::from_parts(parts, body), state).await?;
        let request = body.parse()?;
        let key = match headers.get_all(DPOP).iter().count() {
            0 => None,
            _ => Some(proved_key(&app, &headers, body.bytes())?),
        };
        Ok(Self { request, bearer: bearer(&headers), key, source })
    }
}

/// Judges form, method, URL and time first, the signature last; then remembers the proof as used.
fn proved_key(app: &App, headers: &HeaderMap, body: &[u8]) -> Result<PublicKey, Problem> {
    let now = app.clock.now();
    let refuse = |error| refused_proof(app, error, now);
    let mut values = headers.get_all(DPOP).iter();
    let one = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let Some(one) = one else {
        return Err(refuse(muster_proof::ProofError::Invalid("not exactly one proof")));
    };
    let shown = headers.get(http::header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' ')).map(|(_, token)| token);
    let urls = accepted_urls(app, PATH);
    let expected = Expected {
        method: Method::POST.as_str(),
        accepted_urls: &urls,
        body_sha256: Some(muster_proof::digest::sha256(body)),
        bearer: shown,
        now,
        nonce_is_valid: |nonce: &str| app.keyring.nonce_is_valid(nonce, now),
        nonce_required: false,
    };
    let judged = Proof::parse(one).and_then(|proof| proof.judge_request(&expected)).map_err(refuse)?;
    let verified = judged.verify_signature().map_err(refuse)?;
    match app.used_proofs.take(verified.thumbprint, &verified.claims.jti, now) {
        Ok(()) => Ok(verified.key),
        Err(NotTaken::Used) => Err(refuse(muster_proof::ProofError::Invalid("used before"))),
        Err(NotTaken::Full) => Err(Problem::unavailable(std::time::Duration::from_secs(5))),
    }
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
