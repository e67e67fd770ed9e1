//! `Idempotency-Key`: a POST that shows something once gives the same reply to the same request again.
//!
//! The reply is sealed and stored in the transaction of the request, under who asked and their key.

use std::fmt;

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRequest, Request};
use http::{HeaderMap, HeaderName, StatusCode};
use muster_http::{Problem, RawJson};
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use muster_proof::digest::sha256;
use muster_store::rows::IdempotentReplyRow;
use muster_store::{Priority, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::app::App;
use crate::auth::{Actor, Permit, TEAM_HEADER};
use crate::failure::Failure;
use crate::router::header_parameter;
use crate::unit::Unit;

/// The header in which a client names its request.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

const REUSED: Failure = Failure::Unprocessable {
    code: "idempotency_key_reused",
    detail: "this idempotency key was used for another request",
};

/// The body of a POST that may be repeated safely.
#[derive(Debug)]
pub struct Once<T> {
    /// What was asked.
    pub request: T,
    asked: Asked,
}

/// What makes two requests the same one.
#[derive(Debug, Clone)]
pub struct Asked {
    key: Option<String>,
    /// Over method, path, team header and body.
    digest: [u8; 32],
}

impl<T> Once<T> {
    /// Takes the request and what names it apart.
    pub fn into_parts(self) -> (T, Asked) {
        (self.request, self.asked)
    }
}

impl Asked {
    /// Whether a reply is kept under this principal and key.
    pub async fn was_answered(&self, app: &App, principal: &'static str) -> Result<bool, Failure> {
        let Some(key) = self.key.clone() else { return Ok(false) };
        app.look(move |tx| Ok(tx.idempotent_reply(principal, &key)?.is_some())).await
    }

    /// Runs a person's change once, if they still may; the same request again gets the first reply.
    pub async fn change_as<P, R, F>(
        self,
        app: &App,
        actor: Actor<P>,
        now: Timestamp,
        closure: F,
    ) -> Result<R, Failure>
    where
        P: Permit,
        F: Fn(&mut Unit<'_, '_>, &Actor<P>) -> Result<R, Failure> + Send + Sync + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let principal = actor.principal();
        let once = self.once(app, principal, move |unit, actor| closure(unit, actor));
        actor.change(app, now, once).await
    }

    /// Runs a person's change of themselves once, like [`change_as`](Self::change_as) and with nobody else changing them
    /// meanwhile.
    pub async fn change_self<P, R, F>(
        self,
        app: &App,
        actor: Actor<P>,
        now: Timestamp,
        closure: F,
    ) -> Result<R, Failure>
    where
        P: Permit,
        F: Fn(&mut Unit<'_, '_>, &Actor<P>) -> Result<R, Failure> + Send + Sync + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let (principal, user_id) = (actor.principal(), actor.user_id);
        let once = self.once(app, principal, move |unit, actor| closure(unit, actor));
        actor.change_person(app, now, user_id, once).await
    }

    /// Runs the change of a principal's request once; the same request again gets the first reply.
    pub async fn change<R, F>(
        self,
        app: &App,
        principal: impl fmt::Display,
        now: Timestamp,
        closure: F,
    ) -> Result<R, Failure>
    where
        F: Fn(&mut Unit<'_, '_>) -> Result<R, Failure> + Send + Sync + 'static,
        R: Serialize + DeserializeOwned + Send + 'static,
    {
        let once = self.once(app, principal, move |unit, ()| closure(unit));
        app.change(Priority::Urgent, now, move |unit| once(unit, &())).await
    }

    /// Puts the memory of earlier replies around a closure.
    fn once<C, R>(
        self,
        app: &App,
        principal: impl fmt::Display,
        closure: impl Fn(&mut Unit<'_, '_>, &C) -> Result<R, Failure> + Send + Sync + 'static,
    ) -> impl Fn(&mut Unit<'_, '_>, &C) -> Result<R, Failure> + Send + Sync + 'static
    where
        R: Serialize + DeserializeOwned,
    {
        let keyring = app.keyring.clone();
        let principal = principal.to_string();
        move |unit, context| {
            let Some(key) = &self.key else { return closure(unit, context) };
            let place = Place { principal: principal.clone(), key };
            if let Some(known) = unit.tx.idempotent_reply(&place.principal, key)? {
                return if known.request == keyring.request_mac(&self.digest) {
                    place.open(&keyring, &known.reply)
                } else {
                    Err(REUSED)
                };
            }
            let reply = closure(unit, context)?;
            let row = place.seal(unit, &keyring, &self.digest, &reply)?;
            // Another node answers the same request just now: its reply is the one.
            if unit.tx.idempotent_reply_insert(&row)? { Ok(reply) } else { Err(StoreError::Conflict.into()) }
        }
    }
}

struct Place<'a> {
    principal: String,
    key: &'a str,
}

impl Place<'_> {
    fn name(&self) -> String {
        format!("idempotent reply {} {}", self.principal, self.key)
    }

    fn open<R: DeserializeOwned>(&self, keyring: &Keyring, reply: &[u8]) -> Result<R, Failure> {
        let json = keyring.open_installation(&self.name(), reply).map_err(Failure::internal)?;
        serde_json::from_slice(&json).map_err(Failure::internal)
    }

    fn seal<R: Serialize>(
        &self,
        unit: &mut Unit<'_, '_>,
        keyring: &Keyring,
        digest: &[u8; 32],
        reply: &R,
    ) -> Result<IdempotentReplyRow, Failure> {
        let json = Zeroizing::new(serde_json::to_vec(reply).map_err(Failure::internal)?);
        Ok(IdempotentReplyRow {
            principal: self.principal.clone(),
            key: self.key.to_owned(),
            request: keyring.request_mac(digest).to_vec(),
            reply: keyring.seal_installation(&self.name(), unit.draw.bytes(), &json),
            created_at: unit.now,
        })
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Once<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let key = key(request.headers())?;
        let team = request.headers().get(TEAM_HEADER).map(|value| value.as_bytes().to_vec());
        let mut text = format!("{} {}\n", request.method(), request.uri().path()).into_bytes();
        text.extend_from_slice(team.as_deref().unwrap_or_default());
        text.push(b'\n');
        let body: RawJson<T> = RawJson::from_request(request, state).await?;
        text.extend_from_slice(body.bytes());
        Ok(Self { request: body.parse()?, asked: Asked { key, digest: sha256(&Zeroizing::new(text)) } })
    }
}

/// Returns the key of a request, if it names one.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let allowed = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-' || *byte == b'_';
    let bytes = value.as_bytes();
    if values.next().is_some() || !(8..=64).contains(&bytes.len()) || !bytes.iter().all(allowed) {
        let detail = "the idempotency-key header must be 8 to 64 letters, digits, dashes or underscores";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "invalid_idempotency_key", detail));
    }
    Ok(Some(String::from_utf8_lossy(bytes).into_owned()))
}

impl<T: JsonSchema> aide::OperationInput for Once<T> {
    fn operation_input(ctx: &mut GenContext, operation: &mut Operation) {
        RawJson::<T>::operation_input(ctx, operation);
        let schema = schemars::json_schema!({ "type": "string", "pattern": "^[0-9A-Za-z_-]{8,64}$" });
        let says = "The same request with the same key gets the same reply.";
        operation.parameters.push(header_parameter("Idempotency-Key", says, schema));
    }
}
