//! Hosts: a proof over exactly this request by the host's key, or its agent key.

use std::sync::Arc;
use std::time::Duration;

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequest, FromRequestParts, Request};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use muster_http::{ClientAddress, Problem, RawJson};
use muster_ids::{AgentKeyId, BearerKind, HostId, KeyName, TeamId, Timestamp};
use muster_proof::ProofError;
use muster_proof::dpop::{Expected, JudgedProof, Proof};
use muster_store::rows::AgentRow;
use muster_store::{Lock, LockKey};
use muster_wire::host::HostState;
use muster_wire::parting::RevokedReason;
use serde::de::DeserializeOwned;

use super::actor::bearer;
use super::credentials::Known;
use super::failed::{bucket, failed, failed_proof};
use super::proof::{DPOP, accepted_urls, the_one_proof};
use super::used_proofs::NotTaken;
use crate::app::App;
use crate::channel::revoked_statement;
use crate::failed_attempts::AttemptKind;
use crate::failure::Failure;
use crate::former_uses::FormerUse;
use crate::problems::{host_held, host_suspended, too_many_proofs};
use crate::revocations::must_be_seen;
use crate::unit::{Author, Unit};
use crate::uses::Used;

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
    /// Whether that key is to take the place of the active one: so it was when it was proved.
    pub is_next: bool,
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

    /// Notes that its agent key is in use.
    pub fn note_use(&self, app: &App, now: Timestamp) {
        if let KeyName::Agent(id) = self.key {
            app.uses.note(Used::AgentKey(id), now, &self.source);
        }
    }

    /// Checks, in the transaction that relies on it, that the key is still its host's and the host still active:
    /// whatever is written after a revocation was answered is refused here.
    pub fn still_may(&self, unit: &mut Unit<'_, '_>) -> Result<(), Failure> {
        unit.tx.lock(&self.held())?;
        self.still_may_locked(unit)
    }

    /// Checks the same in a transaction that holds these locks, or stronger ones.
    pub fn still_may_locked(&self, unit: &mut Unit<'_, '_>) -> Result<(), Failure> {
        may_act(unit.tx.agent_by_key(&self.key)?.as_ref())
    }

    /// The locks of who relies on its right to act.
    pub(crate) fn held(&self) -> [Lock; 2] {
        [Lock::shared(LockKey::Host(self.host_id)), Lock::shared(LockKey::Key(self.key))]
    }

    /// Checks that a path names this very host.
    pub fn speaks_for(&self, host_id: HostId) -> Result<(), Failure> {
        if self.host_id == host_id { Ok(()) } else { Err(Failure::ForeignHost) }
    }
}

/// Refuses whose key may not act, as it is stored.
pub(crate) fn may_act(row: Option<&AgentRow>) -> Result<(), Failure> {
    match row {
        Some(row) if row.may_act() => Ok(()),
        Some(row) if row.is_of_active_host() => Err(Failure::HostHeld),
        _ => Err(Failure::KeyNotActive),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Agent
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let now = app.clock.now();
        let proved = prove(&app, parts, None, now).await?;
        admit(&app, proved, Source::of(parts), now).await
    }
}

/// A host that asks for its channel: with its active key, or with the one that takes its place once it is proved there.
#[derive(Debug, Clone)]
pub struct Connecting(pub Agent);

impl<S: Send + Sync> FromRequestParts<S> for Connecting
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let now = app.clock.now();
        let (proved, source) = (prove(&app, parts, None, now).await?, Source::of(parts));
        // Who is held learns on the channel whether its state is an older one: then it is the copy, and says so.
        if proved.known.row.may_knock() && !proved.known.row.may_act() {
            return Ok(Self(proved.agent(source)));
        }
        admit(&app, proved, source, now).await.map(Self)
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
        let now = app.clock.now();
        let (proved, source, raw) = proved_body::<T, LIMIT, S>(&app, request, state, now).await?;
        let agent = admit(&app, proved, source, now).await?;
        Ok(Self { agent, body: raw.parse()? })
    }
}

/// A host that gives a sign of life, and nothing more is asked of it: all there is to know of it is in memory.
#[derive(Debug, Clone, Copy)]
pub struct Beat {
    /// The host.
    pub host_id: HostId,
    /// Its integer key in the presence table.
    pub seq: i64,
}

/// A sign of life with what was said in it.
#[derive(Debug)]
pub struct BeatJson<T, const LIMIT: usize> {
    /// Who lives.
    pub beat: Beat,
    /// What it said.
    pub body: T,
}

impl<T: DeserializeOwned, const LIMIT: usize, S: Send + Sync> FromRequest<S> for BeatJson<T, LIMIT>
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let now = app.clock.now();
        let (proved, source, raw) = proved_body::<T, LIMIT, S>(&app, request, state, now).await?;
        proved.judge(&app, source, now).await?;
        proved.note_use(&app, now, source);
        let beat = Beat { host_id: proved.known.row.host_id, seq: proved.known.row.seq };
        Ok(Self { beat, body: raw.parse()? })
    }
}

/// Returns the key a request proves with its body.
async fn proved_body<T, const LIMIT: usize, S: Send + Sync>(
    app: &App,
    request: Request,
    state: &S,
    now: Timestamp,
) -> Result<(Proved, Source, RawJson<T, LIMIT>), Problem> {
    let (parts, body) = request.into_parts();
    let source = Source::of(&parts);
    // Who shows no proof is refused before a byte of the body is read.
    if !parts.headers.contains_key(DPOP) {
        let proved = prove(app, &parts, None, now).await?;
        let raw: RawJson<T, LIMIT> = RawJson::from_request(Request::from_parts(parts, body), state).await?;
        return Ok((proved, source, raw));
    }
    let head = parts.clone();
    let raw: RawJson<T, LIMIT> = RawJson::from_request(Request::from_parts(parts, body), state).await?;
    let proved = prove(app, &head, Some(raw.bytes()), now).await?;
    Ok((proved, source, raw))
}

/// Where a request came from; its text is made when it is needed.
#[derive(Debug, Clone, Copy)]
struct Source(Option<ClientAddress>);

impl Source {
    fn of(parts: &Parts) -> Self {
        Self(parts.extensions.get::<ClientAddress>().copied())
    }

    fn text(self) -> String {
        self.0.map_or_else(|| "-".to_owned(), |address| address.to_string())
    }
}

/// A key that a request proved, whatever became of it.
struct Proved {
    key: KeyName,
    known: Arc<Known>,
}

impl Proved {
    /// Says what becomes of the request.
    async fn judge(&self, app: &App, source: Source, now: Timestamp) -> Result<(), Problem> {
        let row = &self.known.row;
        if row.key_is_next {
            let detail = "the next key of a host opens its channel, and nothing else before it has done so";
            return Err(Problem::new(StatusCode::FORBIDDEN, "next_key", detail));
        }
        if !row.key_is_active || row.host_state == HostState::Retired {
            let used = FormerUse { key: self.key, host_id: row.host_id, team_id: row.team_id };
            app.former_uses.note(used, source.text(), now);
            return Err(key_revoked(app, &self.key, row, now).await);
        }
        match row.host_state {
            HostState::Active if row.held_at.is_some() => Err(host_held()),
            HostState::Active => Ok(()),
            HostState::Suspended => Err(host_suspended()),
            HostState::Invited | HostState::Retired => Err(unauthorized(app, now)),
        }
    }

    fn agent(&self, source: Source) -> Agent {
        let AgentRow { team_id, host_id, seq, key_is_next: is_next, .. } = self.known.row;
        let material = self.known.row.material.clone();
        Agent { host_id, team_id, key: self.key, material, is_next, seq, source: source.text() }
    }

    /// Notes that an agent key is in use; a key pair shows in the host's signs of life alone.
    fn note_use(&self, app: &App, now: Timestamp, source: Source) {
        if let KeyName::Agent(id) = self.key
            && self.known.is_news(now)
        {
            app.uses.note(Used::AgentKey(id), now, &source.text());
        }
    }
}

async fn admit(app: &App, proved: Proved, source: Source, now: Timestamp) -> Result<Agent, Problem> {
    proved.judge(app, source, now).await?;
    proved.note_use(app, now, source);
    Ok(proved.agent(source))
}

async fn prove(app: &App, parts: &Parts, body: Option<&[u8]>, now: Timestamp) -> Result<Proved, Problem> {
    must_be_seen(app)?;
    let (key, known) = match parts.headers.get_all(DPOP).iter().count() {
        0 => by_agent_key(app, parts, now).await?,
        _ => by_key_pair(app, parts, body, now).await?,
    };
    Ok(Proved { key, known })
}

/// Looks a key up: among what this node knows, else in the database.
async fn find(app: &App, key: KeyName) -> Result<Option<Arc<Known>>, Failure> {
    if let Some(known) = app.credentials.get(&key) {
        return Ok(Some(known));
    }
    let interest = app.credentials.begin(key);
    let _place = app.budgets.agents.take().await?;
    let row = app.look(move |tx| tx.agent_by_key(&key)).await?;
    Ok(row.map(|row| app.credentials.keep(interest, row)))
}

async fn by_agent_key(app: &App, parts: &Parts, now: Timestamp) -> Result<(KeyName, Arc<Known>), Problem> {
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
    let proved = app.keyring.verify(&bearer, found.as_ref().map(|known| known.row.material.as_slice()));
    found.filter(|_| proved).map(|known| (key, known)).ok_or_else(refuse)
}

/// Judges form, method, URL, body and nonce first; then looks for the key; the signature last. Only a proof by a key
/// that is known is remembered as used: keys that are thrown away fill nothing and cost no signature.
async fn by_key_pair(
    app: &App,
    parts: &Parts,
    body: Option<&[u8]>,
    now: Timestamp,
) -> Result<(KeyName, Arc<Known>), Problem> {
    let refuse = |error| failed_proof(app, AttemptKind::Agent, bucket(parts), None, error, now);
    let judged = judged(app, parts, body, now).map_err(refuse)?;
    let key = KeyName::Pair(judged.thumbprint());
    let Some(known) = find(app, key).await? else {
        return Err(failed(app, AttemptKind::Agent, bucket(parts), None, unauthorized(app, now)));
    };
    let proof = judged.verify_signature().map_err(refuse)?;
    if proof.claims.sub != Some(known.row.host_id) {
        return Err(refuse(ProofError::Invalid("sub is not the host of this key")));
    }
    match app.used_proofs.take_of_host(&proof, app.clock.monotonic()) {
        Ok(()) => Ok((key, known)),
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
async fn key_revoked(app: &App, key: &KeyName, row: &AgentRow, now: Timestamp) -> Problem {
    let ended_at = row.ended_at.unwrap_or(now);
    let reason = RevokedReason::Ended;
    let statement = revoked_statement(app, row.host_id, *key, reason, ended_at).await;
    Problem::new(StatusCode::UNAUTHORIZED, "key_revoked", reason.as_str())
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

impl aide::OperationInput for Connecting {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        document(operation);
    }
}

impl aide::OperationInput for Agent {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        document(operation);
    }
}

impl<T: schemars::JsonSchema, const LIMIT: usize> aide::OperationInput for BeatJson<T, LIMIT> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<T, LIMIT>::operation_input(ctx, operation);
        document(operation);
    }
}

impl<T: schemars::JsonSchema, const LIMIT: usize> aide::OperationInput for AgentJson<T, LIMIT> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<T, LIMIT>::operation_input(ctx, operation);
        document(operation);
    }
}
