//! Hosts: a proof over exactly this request by the host's key, or its agent key.

use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use muster_http::{Problem, RawJson};
use muster_ids::{AgentKeyId, BearerKind, HostId, KeyName, TeamId, Timestamp};
use muster_proof::ProofError;
use muster_proof::dpop::{Expected, JudgedProof, Proof};
use muster_store::rows::AgentRow;
use muster_store::{Lock, LockKey};
use muster_wire::host::HostState;
use serde::de::DeserializeOwned;

use super::actor::{bearer, source};
use super::failed::{bucket, failed};
use super::proof::{DPOP, accepted_urls, refused_proof, the_one_proof, use_nonce};
use super::used_proofs::NotTaken;
use crate::app::App;
use crate::channel::revoked_statement;
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::problems::too_many_proofs;
use crate::unit::{Author, Unit};
use crate::uses::Used;

/// What the signed statement says of a key that ended before its agent asked.
const KEY_ENDED: &str = "this key was revoked or replaced";
const SUSPENDED_RETRY: Duration = Duration::from_secs(30);
const FULL_RETRY: Duration = Duration::from_secs(5);

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
        Author { actor: self.key.to_string(), role: None, source: self.source.clone() }
    }

    /// Notes that its agent key is in use; a key pair shows in the host's signs of life alone.
    pub fn note_use(&self, app: &App, now: Timestamp) {
        if let KeyName::Agent(id) = self.key {
            app.uses.note(Used::AgentKey(id), now, &self.source);
        }
    }

    /// Checks, in the transaction that relies on it, that the key is still its host's and the host still active:
    /// whatever is written after a revocation was answered is refused here.
    pub fn still_may(&self, unit: &mut Unit<'_, '_>) -> Result<(), Failure> {
        unit.tx.lock(&[Lock::shared(LockKey::Host(self.host_id)), Lock::shared(LockKey::Key(self.key))])?;
        let found = unit.tx.agent_by_key(&self.key)?;
        if found.is_some_and(|row| row.may_act()) { Ok(()) } else { Err(Failure::KeyNotActive) }
    }

    /// Checks that a path names this very host.
    pub fn speaks_for(&self, host_id: HostId) -> Result<(), Failure> {
        if self.host_id == host_id { Ok(()) } else { Err(Failure::ForeignHost) }
    }
}

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
        0 => by_agent_key(app, parts, now).await?,
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
    let agent = Agent { host_id, team_id, key, material, seq, source: source(parts) };
    agent.note_use(app, now);
    Ok(agent)
}

async fn find(app: &App, key: KeyName) -> Result<Option<AgentRow>, Failure> {
    let _place = app.budgets.agents.take().await?;
    app.look(move |tx| tx.agent_by_key(&key)).await
}

async fn by_agent_key(app: &App, parts: &Parts, now: Timestamp) -> Result<(KeyName, AgentRow), Problem> {
    if !parts.headers.contains_key(AUTHORIZATION) {
        return Err(unauthorized(app, now));
    }
    let bearer = bearer(&parts.headers);
    let presented = bearer.as_ref().map(|bearer| bearer.id);
    let refuse = || failed(app, AttemptKind::Agent, bucket(parts), presented, unauthorized(app, now));
    let Some(bearer) = bearer.filter(|bearer| bearer.kind == BearerKind::AgentKey) else {
        return Err(refuse());
    };
    let key = KeyName::Agent(AgentKeyId::new(bearer.id));
    let found = find(app, key).await?;
    let proved = app.keyring.verify(&bearer, found.as_ref().map(|row| row.material.as_slice()));
    found.filter(|_| proved).map(|row| (key, row)).ok_or_else(refuse)
}

/// Judges form, method, URL, body and nonce first; then looks for the key; the signature last. Only a proof by a key
/// that is known is remembered as used: keys that are thrown away fill nothing and cost no signature.
async fn by_key_pair(
    app: &App,
    parts: &Parts,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Result<(KeyName, AgentRow), Problem> {
    let refuse = |error| match error {
        ProofError::UseNonce => use_nonce(app, now),
        error => failed(app, AttemptKind::Agent, bucket(parts), None, refused_proof(app, error, now)),
    };
    let judged = judged(app, parts, body, now).map_err(refuse)?;
    let key = KeyName::Pair(judged.thumbprint());
    let Some(row) = find(app, key).await? else {
        return Err(failed(app, AttemptKind::Agent, bucket(parts), None, unauthorized(app, now)));
    };
    let proof = judged.verify_signature().map_err(refuse)?;
    if proof.claims.sub != Some(row.host_id) {
        return Err(refuse(ProofError::Invalid("sub is not the host of this key")));
    }
    match app.used_proofs.take_of_host(&proof, app.clock.monotonic()) {
        Ok(()) => Ok((key, row)),
        Err(NotTaken::Used) => Err(refuse(ProofError::Invalid("used before"))),
        Err(NotTaken::TooMany) => Err(too_many_proofs()),
        Err(NotTaken::Full) => Err(Problem::unavailable(FULL_RETRY)),
    }
}

fn judged(app: &App, parts: &Parts, body: Option<&[u8]>, now: Timestamp) -> Result<JudgedProof, ProofError> {
    let proof = Proof::parse(the_one_proof(&parts.headers)?)?;
    if parts.headers.contains_key(AUTHORIZATION) {
        return Err(ProofError::Invalid("a host's key pair goes without a bearer string"));
    }
    let urls = accepted_urls(app, parts.uri.path());
    proof.judge_request(&Expected {
        method: parts.method.as_str(),
        accepted_urls: &urls,
        body_sha256: body.map(muster_proof::digest::sha256),
        bearer: None,
        now,
        nonce_is_valid: |nonce: &str| app.keyring.nonce_is_valid(nonce, now),
        nonce_required: true,
    })
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
