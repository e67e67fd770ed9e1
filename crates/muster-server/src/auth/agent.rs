//! Hosts: a proof over exactly this request by the host's key, or its agent key.

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode};
use muster_http::{Problem, RawJson};
use muster_ids::{AgentKeyId, BearerKind, HostId, KeyName, TeamId, Timestamp};
use muster_proof::ProofError;
use muster_proof::dpop::{Expected, Proof, VerifiedProof};
use muster_store::rows::AgentRow;
use muster_store::{Lock, LockKey};
use muster_wire::host::HostState;
use serde::de::DeserializeOwned;

use super::actor::{bearer, source};
use super::proof::{DPOP, NotTaken, accepted_urls, refused_proof};
use crate::app::App;
use crate::channel::revoked_statement;
use crate::failure::Failure;
use crate::unit::{Author, Unit};

/// What the signed statement says of a key that ended before its agent asked.
const KEY_ENDED: &str = "this key was revoked or replaced";
const SUSPENDED_RETRY: std::time::Duration = std::time::Duration::from_secs(30);

/// An active host with its proved, active key.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The host.
    pub host_id: HostId,
    /// Its team.
    pub team_id: TeamId,
    /// The key it proved.
    pub key: KeyName,
    /// SEC 1 point of a key pair, or the verifier of an agent key.
    pub material: Vec<u8>,
    /// Its integer key in the presence table.
    pub seq: i64,
    /// The address it came from.
    pub source: String,
}

impl Agent {
    /// Names the key for the audit trail.
    pub fn author(&self) -> Author {
        Author { actor: self.key.to_string(), source: self.source.clone() }
    }

    /// Checks, in the transaction that relies on it, that the key is still its host's and the host still active:
    /// whatever is written after a revocation was answered is refused here.
    pub fn still_may(&self, unit: &mut Unit<'_, '_>) -> Result<(), Failure> {
        unit.tx.lock(&[Lock::shared(LockKey::Host(self.host_id)), Lock::shared(LockKey::Key(self.key))])?;
        let found = unit.tx.agent_by_key(&self.key)?;
        let may = found.is_some_and(|row| row.key_is_active && row.host_state == HostState::Active);
        if may { Ok(()) } else { Err(KEY_NOT_ACTIVE) }
    }
}

/// The key ended, or its host was suspended, while its channel was open.
pub(crate) const KEY_NOT_ACTIVE: Failure =
    Failure::Forbidden { code: "key_not_active", detail: "the key or its host is no longer active" };

impl<S: Send + Sync> FromRequestParts<S> for Agent
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        admit(&App::from_ref(state), parts, None).await
    }
}

/// A host with the body it sent: the proof covers both.
#[derive(Debug)]
pub struct AgentJson<T, const LIMIT: usize> {
    /// Who sent it.
    pub agent: Agent,
    /// What.
    pub body: T,
}

impl<T: DeserializeOwned, const LIMIT: usize, S: Send + Sync> FromRequest<S> for AgentJson<T, LIMIT>
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let (parts, body) = request.into_parts();
        let head = parts.clone();
        let request = Request::from_parts(parts, body);
        // Who shows no proof is refused before a byte of the body is read.
        if !head.headers.contains_key(DPOP) {
            let agent = admit(&app, &head, None).await?;
            let raw: RawJson<T, LIMIT> = RawJson::from_request(request, state).await?;
            return Ok(Self { agent, body: raw.parse()? });
        }
        let raw: RawJson<T, LIMIT> = RawJson::from_request(request, state).await?;
        let agent = admit(&app, &head, Some(raw.bytes())).await?;
        Ok(Self { agent, body: raw.parse()? })
    }
}

async fn admit(app: &App, parts: &Parts, body: Option<&[u8]>) -> Result<Agent, Problem> {
    let now = app.clock.now();
    let (key, row) = match parts.headers.get_all(DPOP).iter().count() {
        0 => by_agent_key(app, &parts.headers, now).await?,
        _ => by_key_pair(app, parts, body, now).await?,
    };
    if !row.key_is_active || row.host_state == HostState::Retired {
        return Err(key_revoked(app, &key, &row, now));
    }
    match row.host_state {
        HostState::Active => {}
        HostState::Suspended => {
            let problem = Problem::new(StatusCode::FORBIDDEN, "host_suspended", "the host is suspended");
            return Err(problem.retry_after(SUSPENDED_RETRY));
        }
        HostState::Invited | HostState::Retired => return Err(unauthorized(app, now)),
    }
    let AgentRow { team_id, host_id, material, seq, .. } = row;
    Ok(Agent { host_id, team_id, key, material, seq, source: source(parts) })
}

async fn by_agent_key(
    app: &App,
    headers: &HeaderMap,
    now: Timestamp,
) -> Result<(KeyName, AgentRow), Problem> {
    let bearer = bearer(headers).filter(|bearer| bearer.kind == BearerKind::AgentKey);
    let Some(bearer) = bearer else { return Err(unauthorized(app, now)) };
    let key = KeyName::Agent(AgentKeyId::new(bearer.id));
    let found = app.look(move |tx| tx.agent_by_key(&key)).await?;
    let proved = app.keyring.verify(&bearer, found.as_ref().map(|row| row.material.as_slice()));
    found.filter(|_| proved).map(|row| (key, row)).ok_or_else(|| unauthorized(app, now))
}

async fn by_key_pair(
    app: &App,
    parts: &Parts,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Result<(KeyName, AgentRow), Problem> {
    let proof = proved(app, parts, body, now)?;
    let key = KeyName::Pair(proof.thumbprint);
    let found = app.look(move |tx| tx.agent_by_key(&key)).await?;
    let Some(row) = found else { return Err(unauthorized(app, now)) };
    if proof.claims.sub != Some(row.host_id) {
        return Err(refused_proof(app, ProofError::Invalid("sub is not the host of this key"), now));
    }
    Ok((key, row))
}

/// Judges form, method, URL, body and nonce first, the signature last; then remembers the proof as used.
fn proved(app: &App, parts: &Parts, body: Option<&[u8]>, now: Timestamp) -> Result<VerifiedProof, Problem> {
    let refuse = |error| refused_proof(app, error, now);
    let mut values = parts.headers.get_all(DPOP).iter();
    let one = match (values.next(), values.next()) {
        (Some(value), None) => value.to_str().ok(),
        _ => None,
    };
    let one = one.ok_or_else(|| refuse(ProofError::Invalid("not exactly one proof")))?;
    if parts.headers.contains_key(AUTHORIZATION) {
        return Err(refuse(ProofError::Invalid("a host's key pair goes without a bearer string")));
    }
    let urls = accepted_urls(app, parts.uri.path());
    let expected = Expected {
        method: parts.method.as_str(),
        accepted_urls: &urls,
        body_sha256: body.map(muster_proof::digest::sha256),
        bearer: None,
        now,
        nonce_is_valid: |nonce: &str| app.keyring.nonce_is_valid(nonce, now),
        nonce_required: true,
    };
    let judged = Proof::parse(one).and_then(|proof| proof.judge_request(&expected)).map_err(refuse)?;
    let verified = judged.verify_signature().map_err(refuse)?;
    match app.used_proofs.take(verified.thumbprint, &verified.claims.jti, now) {
        Ok(()) => Ok(verified),
        Err(NotTaken::Used) => Err(refuse(ProofError::Invalid("used before"))),
        Err(NotTaken::Full) => Err(Problem::unavailable(std::time::Duration::from_secs(5))),
    }
}

/// The 401 that makes an agent give up its key: only with the signed statement, only to who proved the key.
fn key_revoked(app: &App, key: &KeyName, row: &AgentRow, now: Timestamp) -> Problem {
    let ended_at = row.ended_at.unwrap_or(now);
    let statement = revoked_statement(app, row.host_id, *key, KEY_ENDED, ended_at);
    Problem::new(StatusCode::UNAUTHORIZED, "key_revoked", KEY_ENDED)
        .header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"DPoP algs="ES256""#))
        .extension("revoked", statement)
}

/// The one 401 of everything else; it offers a nonce, so that a machine with a wrong clock can prove itself next.
fn unauthorized(app: &App, now: Timestamp) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "the host's own key is needed")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static(r#"DPoP algs="ES256""#))
        .append_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    match HeaderValue::from_str(&app.keyring.nonce(now)) {
        Ok(nonce) => problem.header(super::proof::DPOP_NONCE, nonce),
        Err(error) => Problem::internal(error),
    }
}

fn document(operation: &mut Operation) {
    for scheme in ["dpop", "agent_key"] {
        operation.security.push([(scheme.to_owned(), Vec::new())].into_iter().collect());
    }
    operation.extensions.insert("x-muster-permission".to_owned(), "agent".into());
}

impl aide::OperationInput for Agent {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        document(operation);
    }
}

impl<T: schemars::JsonSchema, const LIMIT: usize> aide::OperationInput for AgentJson<T, LIMIT> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<T, LIMIT>::operation_input(ctx, operation);
        document(operation);
    }
}
