//! `/v1/hosts/{host_id}/keys` and `/agent-keys`: what a host proves itself with.

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictPath, StrictQuery};
use muster_ids::{HostId, KeyName};
use muster_store::rows::HostKeyRow;
use muster_wire::host_key::{HostKey, KeyRotation, MintAgentKey, MintedAgentKey};
use muster_wire::page::Page;
use schemars::JsonSchema;
use serde::Deserialize;

use super::HostPath;
use crate::api::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::{keys, next_key, retire};
use crate::failure::Failure;
use crate::idempotency::Once;

/// The key of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HostKeyPath {
    /// The host.
    pub host_id: HostId,
    /// Its key.
    pub key_name: KeyName,
}

/// `GET /v1/hosts/{host_id}/keys`
pub async fn list_keys(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<HostKey>>, Problem> {
    let (team_id, host_id) = (actor.team_id, path.host_id);
    let list = format!("keys of {host_id}");
    let after = open_cursor(&app, team_id, &list, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app
        .look(move |tx| match tx.host_state(team_id, host_id)? {
            Some(_) => tx.host_keys_shown(team_id, host_id, after, limit + 1).map(Some),
            None => Ok(None),
        })
        .await?;
    let key = |row: &HostKeyRow| (row.created_at, row.name);
    Ok(Reply::new(page(&app, team_id, &list, rows.ok_or(Failure::NotFound)?, limit, key, keys::view)?))
}

/// `POST /v1/hosts/{host_id}/agent-keys`
pub async fn mint_agent_key(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    body: Once<MintAgentKey>,
) -> Result<Created<MintedAgentKey>, Problem> {
    let now = app.clock.now();
    let (MintAgentKey {}, asked) = body.into_parts();
    let inner = app.clone();
    let minted = asked
        .change_as(&app, actor, now, move |unit, actor| {
            retire::locked(unit, actor.team_id, path.host_id)?;
            keys::may_reach_secrets(unit, actor, path.host_id)?;
            keys::mint(unit, &inner, actor.team_id, path.host_id, &actor.author())
        })
        .await?;
    Ok(Created::new(minted))
}

/// `POST /v1/hosts/{host_id}/keys/rotate`
pub async fn rotate_key(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<KeyRotation>, Problem> {
    let (now, host_id) = (app.clock.now(), path.host_id);
    let asked = actor.change(&app, now, move |unit, actor| {
        next_key::ask(unit, (actor.team_id, host_id), &actor.author(), "person")
    });
    let asked = asked.await?;
    let connected = app.hub.is_connected(host_id);
    Ok(Reply::new(KeyRotation { host_id, key: asked.key, asked_at: asked.at, connected }))
}

/// `POST /v1/hosts/{host_id}/keys/{key_name}/revoke`
pub async fn revoke_key(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostKeyPath>,
) -> Result<Reply<HostKey>, Problem> {
    let now = app.clock.now();
    let key = actor
        .change(&app, now, move |unit, actor| {
            keys::revoke(unit, actor.team_id, path.host_id, path.key_name, &actor.author())
        })
        .await?;
    Ok(Reply::new(key))
}
