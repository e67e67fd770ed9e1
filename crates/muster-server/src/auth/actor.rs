//! People: a bearer token, the team they act in, and the permission the route needs.

use std::marker::PhantomData;

use aide::generate::GenContext;
use aide::openapi::Operation;
use axum::extract::{FromRef, FromRequestParts};
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use muster_domain::permission::{Permission, may};
use muster_http::{ClientAddress, Problem};
use muster_ids::{Bearer, BearerKind, TeamId, TokenId, UserId};
use muster_wire::people::Role;

use super::failed::{bucket, failed};
use crate::app::App;
use crate::failure::Failure;
use crate::unit::Author;

/// The header in which an admin names the team to act in.
const TEAM_HEADER: HeaderName = HeaderName::from_static("muster-team");

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
    SeeSelf,
    ManageTeams,
    SeeTeams,
    SeeFleet,
    ManageSites,
    ManageTickets,
    ManageHosts,
    DecideClaims,
    ManageSecrets,
    RunJobs,
    ReadAudit,
);

/// A person who holds permission `P` in `team_id`. Team-scoped queries take its team and no other.
#[derive(Debug, Clone)]
pub struct Actor<P> {
    /// Who.
    pub user_id: UserId,
    /// With which token.
    pub token_id: TokenId,
    /// What they are.
    pub role: Role,
    /// The team they act in.
    pub team_id: TeamId,
    /// Whether that is the platform's own team, whose hosts are shared ones.
    pub team_is_platform: bool,
    /// The address they came from.
    pub source: String,
    permission: PhantomData<fn() -> P>,
}

impl<P> Actor<P> {
    /// Names the person for the audit trail.
    pub fn author(&self) -> Author {
        Author { actor: self.user_id.to_string(), source: self.source.clone() }
    }
}

impl<P: Permit, S: Send + Sync> FromRequestParts<S> for Actor<P>
where
    App: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let app = App::from_ref(state);
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Err(unauthorized());
        }
        let bearer = bearer(&parts.headers);
        let presented = bearer.as_ref().map(|bearer| bearer.id);
        let refuse = || failed(&app, bucket(parts), presented, unauthorized());
        let Some(bearer) = bearer.filter(|bearer| bearer.kind == BearerKind::OperatorToken) else {
            return Err(refuse());
        };
        let wanted_team = wanted_team(&parts.headers)?;
        let token_id = TokenId::new(bearer.id);
        let place = app.budgets.operators.take().await?;
        let found = app.look_first(move |tx| tx.operator_by_token(&token_id)).await?;
        drop(place);
        let proved = app.keyring.verify(&bearer, found.as_ref().map(|operator| operator.verifier.as_slice()));
        let now = app.clock.now();
        let Some(operator) = found.filter(|operator| proved && operator.is_valid_at(now)) else {
            return Err(refuse());
        };
        if !may(operator.role, P::PERMISSION) {
            return Err(
                Failure::Forbidden { code: "forbidden", detail: "your role does not allow this" }.into()
            );
        }
        let team = match wanted_team {
            None => (operator.team_id, operator.team_is_platform),
            Some(team_id) if team_id == operator.team_id => (team_id, operator.team_is_platform),
            Some(_) if operator.role != Role::Admin => return Err(Failure::NotFound.into()),
            Some(team_id) => {
                let team = app.look_first(move |tx| tx.team(team_id)).await?.ok_or(Failure::NotFound)?;
                (team.id, team.is_platform)
            }
        };
        Ok(Self {
            user_id: operator.user_id,
            token_id,
            role: operator.role,
            team_id: team.0,
            team_is_platform: team.1,
            source: source(parts),
            permission: PhantomData,
        })
    }
}

impl<P: Permit> aide::OperationInput for Actor<P> {
    fn operation_input(_: &mut GenContext, operation: &mut Operation) {
        operation.security.push([("operator_token".to_owned(), Vec::new())].into_iter().collect());
        operation.extensions.insert("x-muster-permission".to_owned(), format!("{:?}", P::PERMISSION).into());
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

fn unauthorized() -> Problem {
    Problem::new(StatusCode::UNAUTHORIZED, "unauthorized", "a valid operator token is needed")
        .header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}
