//! `/v1/me/tokens` and `/v1/tokens`: API tokens, one's own and those of a team's people.

use std::time::Duration;

use axum::extract::State;
use muster_domain::membership;
use muster_domain::operator_token::{self, A_DAY, Maker, Refusal, Wanted};
use muster_http::{Created, Problem, Reply, StrictPath, StrictQuery};
use muster_ids::{Bearer, BearerKind, Timestamp, TokenId};
use muster_store::rows::{OperatorTokenRow, ShownOperatorToken};
use muster_store::{Lock, LockKey};
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::token::{ApiToken, ApiTokenStatus, CreateApiToken, MintedApiToken};
use schemars::JsonSchema;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::json;

use super::page::{OrderedPageQuery, in_order, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, Credential, Permit, permits};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::{Fact, Unit};

const LIST: &str = "tokens";
/// People a token invited whom the audit trail names when it is revoked.
const NAMED: i64 = 100;
const OWN_LIST: &str = "own tokens";
/// Held by whoever counts tokens before they make one.
const TOKENS: LockKey = LockKey::Named("operator tokens");

/// The token of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TokenPath {
    /// The token.
    pub token_id: TokenId,
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NoScopes => Self::invalid("/scopes", "empty"),
            Refusal::BeyondReach => Self::Forbidden {
                code: "beyond_reach",
                detail: "a token may not more than you, or the token that makes it",
            },
            Refusal::ForeignTeam => Self::NotFound,
            Refusal::OutlivesMaker => Self::invalid("/expires_in_secs", "outlives_its_maker"),
            Refusal::TooMany => Self::conflict("too_many_tokens", "you have too many tokens that are good"),
            Refusal::TooManyToday => {
                Self::conflict("too_many_tokens_today", "you made too many tokens in the last day")
            }
        }
    }
}

/// `POST /v1/me/tokens`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    body: Once<CreateApiToken>,
) -> Result<Created<MintedApiToken>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let keyring = app.keyring.clone();
    let minted =
        asked.change_as(&app, actor, now, move |unit, actor| mint(unit, &keyring, actor, &request)).await?;
    Ok(Created::new(minted))
}

fn mint(
    unit: &mut Unit<'_, '_>,
    keyring: &muster_keyring::Keyring,
    actor: &Actor<permits::OwnAccount>,
    request: &CreateApiToken,
) -> Result<MintedApiToken, Failure> {
    let now = unit.now;
    let maker = maker(unit, actor)?;
    let wanted = Wanted {
        scopes: request.scopes.as_ref().map(|scopes| scopes.iter().copied().collect()),
        lives_for: request.expires_in_secs.map(|secs| Duration::from_secs(secs.get())),
        team_id: request.team_id,
    };
    let grant = operator_token::mint(&maker, &wanted, now)?;
    if let Some(team_id) = grant.bound_team_id {
        unit.tx.team(team_id)?.ok_or(Failure::NotFound)?;
    }
    let bearer = Bearer::new(BearerKind::OperatorToken, unit.draw.public_id(), unit.draw.bytes());
    let row = OperatorTokenRow {
        id: TokenId::new(bearer.id),
        team_id: maker.team_id,
        user_id: actor.user_id,
        verifier: keyring.verifier(&bearer),
        name: Some(request.name.to_string()),
        scopes: grant.scopes,
        bound_team_id: grant.bound_team_id,
        created_at: now,
        expires_at: Some(grant.expires_at),
        minted_with: match actor.credential {
            Credential::Token(id) => Some(id),
            Credential::WebSession(_) => None,
        },
    };
    unit.tx.operator_token_insert(&row)?;
    let with = match actor.credential {
        Credential::Token(id) => json!({ "token_id": id }),
        Credential::WebSession(id) => json!({ "web_session_id": id }),
    };
    let minted = Fact::new(Happening::TokenMinted, maker.team_id, &actor.author(), row.id);
    unit.happened(minted.details(json!({
        "name": row.name,
        "scopes": row.scopes,
        "team_id": row.bound_team_id,
        "expires_at": row.expires_at,
        "minted_with": with,
    })));
    let shown = unit.tx.own_operator_token(actor.user_id, &row.id)?.ok_or(Failure::NotFound)?;
    Ok(MintedApiToken { api_token: view(shown, now), token: bearer.expose().expose_secret().to_owned() })
}

/// Returns what is known of whoever makes a token; what is counted stays true until the commit.
fn maker<P: Permit>(unit: &mut Unit<'_, '_>, actor: &Actor<P>) -> Result<Maker, Failure> {
    unit.tx.lock(&[Lock::exclusive(TOKENS)])?;
    let row = match actor.credential {
        Credential::Token(id) => unit.tx.operator_by_token(&id)?,
        Credential::WebSession(id) => unit.tx.operator_by_web_session(&id)?,
    };
    let row = row.ok_or(Failure::Unauthorized)?;
    Ok(Maker {
        reach: actor.reach.clone(),
        team_id: row.team_id,
        expires_at: actor.token_ends,
        bound_team_id: actor.bound_team_id,
        live: unit.tx.operator_tokens_live(actor.user_id, unit.now)?,
        made_today: unit.tx.operator_tokens_made_since(actor.user_id, unit.now.minus(A_DAY))?,
        by_provider: unit.tx.oidc_knows(actor.user_id)?,
    })
}

/// `GET /v1/me/tokens`
///
/// A token that may less than its owner sees itself and what was made with it.
pub async fn list_own(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictQuery(query): StrictQuery<OrderedPageQuery>,
) -> Result<Reply<Page<ApiToken>>, Problem> {
    let now = app.clock.now();
    let order = query.order.unwrap_or_default();
    let list = in_order(OWN_LIST, order);
    let after = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let (user_id, limited) = (actor.user_id, actor.limited_token());
    let rows = app.look(move |tx| match &limited {
        Some(id) => tx.operator_tokens_made_by(user_id, id, order, after, limit + 1),
        None => tx.own_operator_tokens(user_id, order, after, limit + 1),
    });
    let rows = rows.await?;
    let key = |row: &ShownOperatorToken| (row.created_at, row.id);
    Ok(Reply::new(page(&app, actor.team_id, &list, rows, limit, key, |row| view(row, now))?))
}

/// `POST /v1/me/tokens/{token_id}/revoke`
///
/// A token that may less than its owner revokes itself and what was made with it.
pub async fn revoke_own(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictPath(path): StrictPath<TokenPath>,
) -> Result<Reply<ApiToken>, Problem> {
    let now = app.clock.now();
    let owner = actor.user_id;
    let token = actor
        .change_person(&app, now, owner, move |unit, actor| {
            if let Some(limited) = actor.limited_token()
                && !unit.tx.operator_token_is_made_by(owner, &limited, &path.token_id)?
            {
                return Err(Failure::NotFound);
            }
            let token = unit.tx.own_operator_token(owner, &path.token_id)?.ok_or(Failure::NotFound)?;
            revoke_token(unit, actor, token)
        })
        .await?;
    Ok(Reply::new(token))
}

/// `GET /v1/tokens`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictQuery(query): StrictQuery<OrderedPageQuery>,
) -> Result<Reply<Page<ApiToken>>, Problem> {
    let now = app.clock.now();
    let order = query.order.unwrap_or_default();
    let list = in_order(LIST, order);
    let after = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app.look(move |tx| tx.operator_tokens(actor.team_id, order, after, limit + 1)).await?;
    let key = |row: &ShownOperatorToken| (row.created_at, row.id);
    Ok(Reply::new(page(&app, actor.team_id, &list, rows, limit, key, |row| view(row, now))?))
}

/// `POST /v1/tokens/{token_id}/revoke`
pub async fn revoke(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictPath(path): StrictPath<TokenPath>,
) -> Result<Reply<ApiToken>, Problem> {
    let now = app.clock.now();
    let (team_id, token_id) = (actor.team_id, path.token_id);
    let found = app.look(move |tx| tx.operator_token(team_id, &token_id)).await?;
    let owner = found.ok_or(Failure::NotFound)?.user_id;
    let token = actor
        .change_person(&app, now, owner, move |unit, actor| {
            let token = unit.tx.operator_token(actor.team_id, &token_id)?.ok_or(Failure::NotFound)?;
            let member = unit.tx.member(actor.team_id, owner)?.ok_or(Failure::NotFound)?;
            membership::revoke_credential(&actor.reach, member.role)?;
            revoke_token(unit, actor, token)
        })
        .await?;
    Ok(Reply::new(token))
}

/// Revokes a token with every token and open invitation that was made with it: whoever stole one keeps none. Who came of
/// an invitation already is named in the audit trail. One that was revoked stays as it is. The caller holds the exclusive lock of its owner.
fn revoke_token<P>(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<P>,
    mut token: ShownOperatorToken,
) -> Result<ApiToken, Failure> {
    let now = unit.now;
    let mut waiting = vec![(token.id, None)];
    while let Some((id, made_with)) = waiting.pop() {
        if unit.tx.operator_token_revoke(token.user_id, &id, now)? {
            unit.end(token.team_id, Ended::Token(id), "revoked")?;
            let invitations = unit.tx.invitations_revoke_minted_with(&id, now)?;
            let invited = unit.tx.invited_with(&id, NAMED)?;
            let revoked = Fact::new(Happening::TokenRevoked, token.team_id, &actor.author(), id);
            unit.happened(revoked.details(json!({
                "user_id": token.user_id,
                "made_with": made_with,
                "revoked_invitations": invitations,
                "invited": invited,
            })));
            token.revoked_at = token.revoked_at.or(Some(now));
        }
        let made = unit.tx.operator_tokens_minted_with(token.user_id, &id, now)?;
        waiting.extend(made.into_iter().map(|made| (made, Some(id))));
    }
    Ok(view(token, now))
}

fn view(row: ShownOperatorToken, now: Timestamp) -> ApiToken {
    // What time ended was ended when it lapsed.
    let revoked_at = row.revoked_at.filter(|at| Some(*at) != row.expires_at);
    let status = match (revoked_at, row.expires_at) {
        (Some(_), _) => ApiTokenStatus::Revoked,
        (None, Some(_)) if row.revoked_at.is_some() => ApiTokenStatus::Expired,
        (None, Some(expires_at)) if now >= expires_at => ApiTokenStatus::Expired,
        (None, _) => ApiTokenStatus::Live,
    };
    ApiToken {
        id: row.id,
        user_id: row.user_id,
        user_name: row.user_name,
        name: row.name,
        scopes: row.scopes,
        team_id: row.bound_team_id,
        status,
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at,
        last_used_at: row.last_used_at,
        last_used_from: row.last_used_from,
    }
}
