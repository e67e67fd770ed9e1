//! `/v1/oidc/providers`: the providers people sign in with.

use axum::extract::State;
use muster_domain::membership::{self, Refusal};
use muster_domain::oidc::{MOST_PROVIDERS, is_scope};
use muster_domain::permission::Reach;
use muster_http::{ListenerKind, Problem, Reply, StrictJson, StrictPath};
use muster_ids::TeamId;
use muster_keyring::Keyring;
use muster_store::rows::OidcProviderRow;
use muster_store::{Lock, StoreError};
use muster_wire::happening::Happening;
use muster_wire::oidc::{OidcCheck, OidcProvider, OidcRemoved, SetOidcProvider, SignInMethods};
use muster_wire::page::Page;
use muster_wire::text::ProviderName;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use url::Url;

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::oidc::{PROVIDERS, check as judge, is_spoken_to, redirect_uris, secret_place, sign_out};
use crate::unit::{Fact, Unit};

/// The provider of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ProviderPath {
    /// Names it.
    pub name: ProviderName,
}

/// `GET /v1/sign-in/methods`
pub async fn methods(State(app): State<App>) -> Result<Reply<SignInMethods>, Problem> {
    let rows = app.look(|tx| tx.oidc_providers()).await?;
    let allowed = rows.iter().filter(|row| row.allowed);
    let oidc = allowed.filter_map(|row| row.name.parse().ok()).collect();
    Ok(Reply::new(SignInMethods { password: true, oidc }))
}

/// `GET /v1/oidc/providers`
pub async fn list(
    State(app): State<App>,
    _actor: Actor<permits::ManageInstallation>,
) -> Result<Reply<Page<OidcProvider>>, Problem> {
    let rows = app.look(|tx| tx.oidc_providers()).await?;
    let items = rows.into_iter().map(|row| view(&app, row)).collect::<Result<_, _>>()?;
    Ok(Reply::new(Page { items, next_cursor: None }))
}

/// `PUT /v1/oidc/providers/{name}`
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictPath(path): StrictPath<ProviderPath>,
    StrictJson(request): StrictJson<SetOidcProvider>,
) -> Result<Reply<OidcProvider>, Problem> {
    let now = app.clock.now();
    judge_request(&request)?;
    let (keyring, name) = (app.keyring.clone(), path.name.to_string());
    let (row, left) = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(PROVIDERS)])?;
            let before = unit.tx.oidc_provider(&name)?;
            if before.is_none() && unit.tx.oidc_providers()?.len() >= MOST_PROVIDERS {
                return Err(Failure::conflict("too_many_providers", "there are as many providers as may be"));
            }
            judge_mappings(unit, &actor.reach, &request)?;
            let row = row(unit, &keyring, &name, &request, before.as_ref())?;
            unit.tx.oidc_provider_set(&row)?;
            let changed = changed(before.as_ref(), &row, request.client_secret.is_some());
            let left = before.filter(|before| before.issuer != row.issuer).map(|before| before.issuer);
            if let Some(issuer) = &left {
                sign_out::begin(unit, &name, issuer, &actor.author())?;
            }
            let set = Fact::new(Happening::OidcSet, actor.team_id, &actor.author(), &name);
            let details =
                json!({ "issuer": row.issuer, "client_id": row.client_id, "mappings": row.mappings });
            unit.happened(set.changed(changed).details(details));
            Ok((row, left))
        })
        .await?;
    app.oidc.forget(&row.issuer);
    if let Some(issuer) = left {
        sign_out::follow(&app, &issuer).await;
    }
    Ok(Reply::new(view(&app, row)?))
}

/// `POST /v1/oidc/providers/{name}/remove`
pub async fn remove(
    State(app): State<App>,
    actor: Actor<permits::ManageInstallation>,
    StrictPath(path): StrictPath<ProviderPath>,
) -> Result<Reply<OidcRemoved>, Problem> {
    let now = app.clock.now();
    let name = path.name.to_string();
    let issuer = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(PROVIDERS)])?;
            let row = unit.tx.oidc_provider(&name)?.ok_or(Failure::NotFound)?;
            unit.tx.oidc_provider_remove(&name)?;
            sign_out::begin(unit, &name, &row.issuer, &actor.author())?;
            let removed = Fact::new(Happening::OidcRemoved, actor.team_id, &actor.author(), &name);
            unit.happened(removed.details(json!({ "issuer": row.issuer })));
            Ok(row.issuer)
        })
        .await?;
    app.oidc.forget(&issuer);
    let done = sign_out::follow(&app, &issuer).await;
    Ok(Reply::new(OidcRemoved { signed_out: done.signed_out, more_follow: done.more_follow }))
}

/// `POST /v1/oidc/providers/{name}/check`
pub async fn check(
    State(app): State<App>,
    _actor: Actor<permits::ManageInstallation>,
    StrictPath(path): StrictPath<ProviderPath>,
) -> Result<Reply<OidcCheck>, Problem> {
    let name = path.name.to_string();
    let row = app.look(move |tx| tx.oidc_provider(&name)).await?.ok_or(Failure::NotFound)?;
    Ok(Reply::new(judge(&app, &row).await))
}

fn judge_request(request: &SetOidcProvider) -> Result<(), Failure> {
    let is_issuer = |url: &Url| is_spoken_to(url) && url.query().is_none() && url.fragment().is_none();
    if !Url::parse(request.issuer.as_str()).is_ok_and(|url| is_issuer(&url)) {
        return Err(Failure::invalid("/issuer", "malformed"));
    }
    match request.scopes.iter().position(|scope| !is_scope(scope.as_str())) {
        Some(index) => Err(Failure::invalid(format!("/scopes/{index}"), "malformed")),
        None => Ok(()),
    }
}

/// Refuses mappings that make somebody whom the credential could not invite: a mapping is an invitation to everybody in
/// a group.
fn judge_mappings(unit: &mut Unit<'_, '_>, by: &Reach, request: &SetOidcProvider) -> Result<(), Failure> {
    let mut known: Vec<(TeamId, Option<bool>)> = Vec::new();
    for (index, mapping) in request.mappings.iter().enumerate() {
        let is_platform = match known.iter().find(|(id, _)| *id == mapping.team_id) {
            Some((_, is_platform)) => *is_platform,
            None => {
                let is_platform = unit.tx.team(mapping.team_id)?.map(|team| team.is_platform);
                known.push((mapping.team_id, is_platform));
                is_platform
            }
        };
        let Some(is_platform) = is_platform else {
            return Err(Failure::invalid(format!("/mappings/{index}/team_id"), "unknown"));
        };
        match membership::invite(by, mapping.role, is_platform) {
            Err(Refusal::RoleDoesNotFit) => {
                return Err(Failure::invalid(format!("/mappings/{index}/role"), "does_not_fit"));
            }
            judged => judged?,
        }
    }
    Ok(())
}

fn row(
    unit: &mut Unit<'_, '_>,
    keyring: &Keyring,
    name: &str,
    request: &SetOidcProvider,
    before: Option<&OidcProviderRow>,
) -> Result<OidcProviderRow, Failure> {
    let (issuer, client_id) = (request.issuer.to_string(), request.client_id.to_string());
    let kept = before.filter(|before| before.issuer == issuer && before.client_id == client_id);
    let sealed_secret = match (&request.client_secret, kept) {
        (Some(secret), _) => {
            let place = secret_place(name, &issuer, &client_id);
            keyring.seal_installation(&place, unit.draw.bytes(), secret.expose().as_bytes())
        }
        (None, Some(kept)) => kept.sealed_secret.clone(),
        // A secret of one provider is never sent to another, whoever sets its address.
        (None, None) => return Err(Failure::invalid("/client_secret", "missing")),
    };
    Ok(OidcProviderRow {
        name: name.to_owned(),
        issuer,
        client_id,
        sealed_secret,
        scopes: request.scopes.iter().map(ToString::to_string).collect(),
        groups_claim: request.groups_claim.to_string(),
        mappings: request.mappings.iter().cloned().collect(),
        allowed: request.allowed,
        created_at: before.map_or(unit.now, |before| before.created_at),
        updated_at: unit.now,
    })
}

/// Names what is set otherwise than before.
fn changed(before: Option<&OidcProviderRow>, after: &OidcProviderRow, secret: bool) -> Vec<&'static str> {
    let differs = |field: fn(&OidcProviderRow, &OidcProviderRow) -> bool| {
        before.is_none_or(|before| field(before, after))
    };
    let fields = [
        ("issuer", differs(|a, b| a.issuer != b.issuer)),
        ("client_id", differs(|a, b| a.client_id != b.client_id)),
        ("client_secret", secret),
        ("scopes", differs(|a, b| a.scopes != b.scopes)),
        ("groups_claim", differs(|a, b| a.groups_claim != b.groups_claim)),
        ("mappings", differs(|a, b| a.mappings != b.mappings)),
        ("allowed", differs(|a, b| a.allowed != b.allowed)),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

fn view(app: &App, row: OidcProviderRow) -> Result<OidcProvider, Failure> {
    let name = row.name.parse().map_err(|_| StoreError::corrupt("the name of a provider is none"))?;
    let listeners = [ListenerKind::Machines, ListenerKind::Operators];
    let uris = listeners.iter().flat_map(|listener| redirect_uris(&app.installation, *listener));
    Ok(OidcProvider {
        name,
        issuer: row.issuer,
        client_id: row.client_id,
        scopes: row.scopes,
        groups_claim: row.groups_claim,
        mappings: row.mappings,
        allowed: row.allowed,
        redirect_uris: uris.map(String::from).collect(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}
