//! People: a bearer token or a session's cookie, the team they act in, and the permission the route needs.

use std::marker::PhantomData;

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequestParts};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};
use muster_domain::operator_token::role_in_one_team;
use muster_domain::permission::Reach;
use muster_domain::web_session::{Known, is_good as is_good_session};
use muster_http::{ClientAddress, ConnectInfo, ListenerKind, Problem, Unattended, same_origin};
use muster_ids::{Bearer, BearerKind, TeamId, Timestamp, TokenId, UserId, WebSessionId};
use muster_store::rows::{CredentialRow, OperatorRow};
use muster_store::{Lock, LockKey, Priority, StoreError, Tx};
use muster_wire::people::Role;
use muster_wire::permission::Permission;

use super::failed::{bucket, failed_of};
use super::web_session;
use crate::app::App;
use crate::failed_attempts::{AttemptKind, Whom};
use crate::failure::Failure;
use crate::problems::unauthorized;
use crate::unit::{Author, Unit};
use crate::uses::Used;

const FORBIDDEN: Failure =
    Failure::Forbidden { code: "forbidden", detail: "your role, or your token, does not allow this" };

/// The header in which an admin names the team to act in.
pub(crate) const TEAM_HEADER: HeaderName = HeaderName::from_static("muster-team");

/// A permission as a type: the route's declaration.
pub trait Permit: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

macro_rules! permits {
    ($($name:ident),+ $(,)?) => {
        /// Every permission as a type.
        pub mod permits {
            $(
                #[doc = concat!("The permission `", stringify!($name), "`.")]
                pub struct $name;
                impl super::Permit for $name {
                    const PERMISSION: super::Permission = super::Permission::$name;
                }
            )+
        }
    };
}

permits!(
    OwnAccount,
    ManageTeams,
    SeeTeams,
    SeeFleet,
    ManageSites,
    MintTokens,
    ManageSiteKeys,
    ManageHosts,
    OperateHosts,
    DecideClaims,
    ManageSecrets,
    RunJobs,
    ReadAudit,
    ManageAudit,
    ReadEvents,
    ManageEndpoints,
    SeePeople,
    ManagePeople,
    ManageInstallation,
);

/// What a person showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An API token.
    Token(TokenId),
    /// The cookie of a signed-in session.
    WebSession(WebSessionId),
}

impl Credential {
    /// Names it among what is used.
    pub fn used(self) -> Used {
        match self {
            Self::Token(id) => Used::Token(id),
            Self::WebSession(id) => Used::WebSession(id),
        }
    }
}

/// A person who holds permission `P` in `team_id`. Team-scoped queries take its team and no other.
#[derive(Debug)]
pub struct Actor<P> {
    /// Who.
    pub user_id: UserId,
    /// By which credential.
    pub credential: Credential,
    /// What they are, and may with it.
    pub reach: Reach,
    /// The team they act in.
    pub team_id: TeamId,
    /// Whether that is the platform's own team, whose hosts are shared ones.
    pub team_is_platform: bool,
    /// The only team their token acts in, if it is bound to one.
    pub bound_team_id: Option<TeamId>,
    /// When their token lapses; a session is no token, and its owner can begin another.
    pub token_ends: Option<Timestamp>,
    /// The address they came from.
    pub source: String,
    permission: PhantomData<fn() -> P>,
}

impl<P> Clone for Actor<P> {
    fn clone(&self) -> Self {
        Self { reach: self.reach.clone(), source: self.source.clone(), ..*self }
    }
}

impl<P> Actor<P> {
    /// Names the person for the audit trail.
    pub fn author(&self) -> Author {
        Author { actor: self.user_id.to_string(), role: Some(self.reach.role), source: self.source.clone() }
    }

    /// Names them among those whose replies are kept: a token that may less than its owner has replies of its own.
    pub(crate) fn principal(&self) -> String {
        match self.credential {
            Credential::Token(id) if self.is_limited() => format!("{} {id}", self.user_id),
            Credential::Token(_) | Credential::WebSession(_) => self.user_id.to_string(),
        }
    }

    /// Whether they show a token that may less than its owner.
    pub fn is_limited(&self) -> bool {
        self.reach.scopes.is_some() || self.bound_team_id.is_some()
    }

    /// The token they show, if it may less than its owner: then what else its owner has is not its to see or to end.
    pub fn limited_token(&self) -> Option<TokenId> {
        match self.credential {
            Credential::Token(id) if self.is_limited() => Some(id),
            Credential::Token(_) | Credential::WebSession(_) => None,
        }
    }

    /// Refuses who does not hold another permission than the one of the route, for what the two together reach.
    pub fn must_cover(&self, permission: Permission) -> Result<(), Failure> {
        if self.reach.covers(permission) { Ok(()) } else { Err(FORBIDDEN) }
    }

    /// Their role.
    pub fn role(&self) -> Role {
        self.reach.role
    }
}

impl<P: Permit> Actor<P> {
    /// Returns the actor as they are in the transaction that relies on them: whatever is written after a revocation, a
    /// removal or a demotion was answered is refused here.
    pub fn still(&self, unit: &mut Unit<'_, '_>) -> Result<Self, Failure> {
        unit.tx.lock(&[Lock::shared(LockKey::User(self.user_id))])?;
        // The request itself is a use that is not written down yet.
        let row = find(unit.tx, self.credential)?.filter(|row| is_good(row, Some(unit.now), unit.now));
        let row = row.ok_or(Failure::Unauthorized)?;
        let reach = reach::<P>(&row)?;
        if !may_act_in(&row, self.team_id) {
            return Err(Failure::NotFound);
        }
        Ok(Self { reach, ..self.clone() })
    }

    /// Whether the credential still holds and still covers the permission in this team, for what outlives its request.
    ///
    /// What outlives its request is no use of a session: `heard_at` is when this node last saw one.
    pub fn holds(
        &self,
        tx: &mut Tx<'_>,
        heard_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let row = find(tx, self.credential)?.filter(|row| is_good(row, heard_at, now));
        Ok(row.is_some_and(|row| reach::<P>(&row).is_ok() && may_act_in(&row, self.team_id)))
    }

    /// Runs a change of theirs in one transaction, which begins with [`still`](Self::still).
    pub async fn change<T, F>(self, app: &App, now: Timestamp, closure: F) -> Result<T, Failure>
    where
        F: Fn(&mut Unit<'_, '_>, &Self) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        app.change(Priority::Urgent, now, move |unit| {
            let actor = self.still(unit)?;
            closure(unit, &actor)
        })
        .await
    }

    /// Runs a change of theirs that takes a right away from `person`, maybe themselves: both are locked at once, in
    /// order, so that two who do it to each other do not wait for each other.
    pub async fn change_person<T, F>(
        self,
        app: &App,
        now: Timestamp,
        person: UserId,
        closure: F,
    ) -> Result<T, Failure>
    where
        F: Fn(&mut Unit<'_, '_>, &Self) -> Result<T, Failure> + Send + Sync + 'static,
        T: Send + 'static,
    {
        app.change(Priority::Urgent, now, move |unit| {
            let own = Lock::shared(LockKey::User(self.user_id));
            unit.tx.lock(&[own, Lock::exclusive(LockKey::User(person))])?;
            let actor = self.still(unit)?;
            closure(unit, &actor)
        })
        .await
    }
}

impl<P: Permit, S: Send + Sync> FromRequestParts<S> for Actor<P>
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        let wanted_team = wanted_team(&parts.headers);
        let (credential, row) = who(&app, parts).await?;
        let reach = reach::<P>(&row)?;
        let (team_id, team_is_platform) = team(&app, &row, wanted_team?).await?;
        Ok(Self {
            user_id: row.user_id,
            credential,
            reach,
            team_id,
            team_is_platform,
            bound_team_id: bound_team(&row),
            token_ends: token_ends(&row),
            source: source(parts),
            permission: PhantomData,
        })
    }
}

/// Returns whose credential a request shows. A header goes before a cookie, and is never made good by one.
async fn who(app: &App, parts: &Parts) -> Result<(Credential, OperatorRow), Problem> {
    let listener = parts.extensions.get::<ConnectInfo>().map(|connection| connection.listener);
    let (kind, bearer, listener) = match listener {
        _ if parts.headers.contains_key(AUTHORIZATION) => {
            (BearerKind::OperatorToken, bearer(&parts.headers), None)
        }
        Some(listener) if web_session::is_carried(&parts.headers, listener) => {
            if !parts.method.is_safe() {
                same_origin(parts)?;
            }
            (BearerKind::WebSession, web_session::of_request(&parts.headers, listener), Some(listener))
        }
        _ => return Err(unauthorized()),
    };
    let presented = bearer.as_ref().map(|bearer| bearer.id);
    let door = match kind {
        BearerKind::WebSession => AttemptKind::Session,
        _ => AttemptKind::Token,
    };
    let refuse = |whom| failed_of(app, door, bucket(parts), presented, whom, unauthorized());
    let Some(bearer) = bearer.filter(|bearer| bearer.kind == kind) else {
        return Err(refuse(None));
    };
    let credential = match kind {
        BearerKind::WebSession => Credential::WebSession(WebSessionId::new(bearer.id)),
        _ => Credential::Token(TokenId::new(bearer.id)),
    };
    let place = app.budgets.operators.take().await?;
    let found = app.look_first(move |tx| find(tx, credential)).await?;
    drop(place);
    let proved = app.keyring.verify(&bearer, found.as_ref().map(|row| row.verifier.as_slice()));
    let now = app.clock.now();
    let used = credential.used();
    let is_good =
        |row: &OperatorRow| proved && is_good(row, app.uses.of(used), now) && is_good_at(row, listener);
    let whom = found.as_ref().map(|row| Whom { user_id: row.user_id, team_id: row.team_id });
    let row = found.filter(is_good).ok_or_else(|| refuse(whom))?;
    if parts.extensions.get::<Unattended>().is_none() {
        app.uses.note(used, now, &source(parts));
    }
    Ok((credential, row))
}

fn find(tx: &mut Tx<'_>, credential: Credential) -> Result<Option<OperatorRow>, StoreError> {
    match credential {
        Credential::Token(id) => tx.operator_by_token(&id),
        Credential::WebSession(id) => tx.operator_by_web_session(&id),
    }
}

/// Whether a credential is good at `now`; `heard_at`: when this node last saw it used.
fn is_good(row: &OperatorRow, heard_at: Option<Timestamp>, now: Timestamp) -> bool {
    match (&row.kind, row.expires_at) {
        (CredentialRow::WebSession { seen_at, .. }, Some(expires_at)) => {
            let seen_at = heard_at.map_or(*seen_at, |heard_at| heard_at.max(*seen_at));
            is_good_session(&Known { seen_at, expires_at, ended_at: row.ended_at }, now)
        }
        (CredentialRow::WebSession { .. }, None) => false,
        (CredentialRow::Token { .. }, expires_at) => {
            row.ended_at.is_none() && expires_at.is_none_or(|expires_at| now < expires_at)
        }
    }
}

/// Whether a session is used at the listener it was made at.
fn is_good_at(row: &OperatorRow, at: Option<ListenerKind>) -> bool {
    match &row.kind {
        CredentialRow::Token { .. } => true,
        CredentialRow::WebSession { listener, .. } => {
            at.is_some_and(|at| web_session::listener_word(at) == listener)
        }
    }
}

/// Returns what a credential covers, if `P` is among it.
fn reach<P: Permit>(row: &OperatorRow) -> Result<Reach, Failure> {
    let scopes = match &row.kind {
        CredentialRow::Token { scopes, .. } => scopes.clone(),
        CredentialRow::WebSession { .. } => None,
    };
    let role = if bound_team(row).is_some() { role_in_one_team(row.role) } else { row.role };
    let reach = Reach { role, scopes };
    if reach.covers(P::PERMISSION) { Ok(reach) } else { Err(FORBIDDEN) }
}

/// Whether the owner of a credential may act in a team: admins in any, everybody else in their own, a bound token in
/// no other than it is bound to.
fn may_act_in(row: &OperatorRow, team_id: TeamId) -> bool {
    let may = row.team_id == team_id || row.role == Role::Admin;
    may && bound_team(row).is_none_or(|bound| bound == team_id)
}

fn bound_team(row: &OperatorRow) -> Option<TeamId> {
    match &row.kind {
        CredentialRow::Token { bound_team_id, .. } => *bound_team_id,
        CredentialRow::WebSession { .. } => None,
    }
}

/// Returns the team a person acts in. A team they may not act in is as absent as one that is not there.
async fn team(app: &App, row: &OperatorRow, wanted: Option<TeamId>) -> Result<(TeamId, bool), Failure> {
    let wanted = wanted.or(bound_team(row)).unwrap_or(row.team_id);
    if !may_act_in(row, wanted) {
        return Err(Failure::NotFound);
    }
    if wanted == row.team_id {
        return Ok((row.team_id, row.team_is_platform));
    }
    let team = app.look_first(move |tx| tx.team(wanted)).await?.ok_or(Failure::NotFound)?;
    Ok((team.id, team.is_platform))
}

fn token_ends(row: &OperatorRow) -> Option<Timestamp> {
    match &row.kind {
        CredentialRow::Token { .. } => row.expires_at,
        CredentialRow::WebSession { .. } => None,
    }
}

impl<P: Permit> aide::OperationInput for Actor<P> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        for scheme in ["operator_token", "web_session"] {
            operation.security.push([(scheme.to_owned(), Vec::new())].into_iter().collect());
        }
        operation.extensions.insert("x-muster-permission".to_owned(), P::PERMISSION.as_str().into());
    }
}

/// Returns the one bearer string of the `Authorization` header; `None` for everything else.
pub(super) fn bearer(headers: &HeaderMap) -> Option<Bearer> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Bearer::parse(token)
}

/// Returns the client address for audit records.
pub(crate) fn source(parts: &Parts) -> String {
    parts.extensions.get::<ClientAddress>().map_or_else(|| "-".to_owned(), |address| address.0.to_string())
}

fn wanted_team(headers: &HeaderMap) -> Result<Option<TeamId>, Problem> {
    let mut values = headers.get_all(TEAM_HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let team_id = value.to_str().ok().and_then(|text| text.parse().ok());
    match (team_id, values.next()) {
        (Some(team_id), None) => Ok(Some(team_id)),
        _ => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "invalid_team",
            "the muster-team header is not a team id",
        )),
    }
}
