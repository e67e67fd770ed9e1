//! Steps of a host's life that a person takes.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_keyring::OwnerKind;
use muster_proof::digest::sha256_base64url;
use muster_store::rows::{HostRow, KeyState};
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::host::{Host, RetireHost, RetirementPreview};
use serde_json::json;

use super::{HostPath, shown};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::retire::{self as ending, Why};
use crate::enrol::suspend as suspending;
use crate::failure::Failure;

const STALE: Failure =
    Failure::conflict("preview_stale", "what retiring would destroy has changed; look at the preview again");
/// Most open jobs that are counted.
const COUNTED: i64 = 1000;

/// `GET /v1/hosts/{host_id}/retirement`
pub async fn retirement(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<RetirementPreview>, Problem> {
    let found = app
        .look(move |tx| match tx.host(actor.team_id, path.host_id)? {
            Some(host) => preview(tx, &host).map(Some),
            None => Ok(None),
        })
        .await?;
    let mut preview = found.ok_or(Failure::NotFound)?;
    preview.connected = app.hub.is_connected(preview.host_id);
    Ok(Reply::new(preview))
}

/// `POST /v1/hosts/{host_id}/retire`
pub async fn retire(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    StrictJson(request): StrictJson<RetireHost>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = actor
        .change(&app, now, move |unit, actor| {
            let host = ending::locked(unit, actor.team_id, path.host_id)?;
            if preview(unit.tx, &host)?.preview_version != request.preview_version.as_str() {
                return Err(STALE);
            }
            ending::retire(unit, &host, &actor.author(), Why::Person)?;
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// `POST /v1/hosts/{host_id}/suspend`
pub async fn suspend(
    State(app): State<App>,
    actor: Actor<permits::OperateHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Host(path.host_id))])?;
            let host = ending::host(unit, actor.team_id, path.host_id)?;
            suspending::suspend(unit, (host.team_id, host.id), host.state, &actor.author(), None)?;
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// `POST /v1/hosts/{host_id}/resume`
pub async fn resume(
    State(app): State<App>,
    actor: Actor<permits::OperateHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Host(path.host_id))])?;
            let host = ending::host(unit, actor.team_id, path.host_id)?;
            suspending::resume(unit, &host, &actor.author())?;
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// Lists what retiring a host would destroy; `connected` is for the caller, who knows the channels.
fn preview(tx: &mut Tx<'_>, host: &HostRow) -> Result<RetirementPreview, StoreError> {
    let keys = tx.host_keys(host.id)?;
    let secrets = tx.secrets_owned(host.team_id, OwnerKind::Host.as_str(), &host.id.to_string())?;
    let count = |found: usize| u32::try_from(found).unwrap_or(u32::MAX);
    let mut preview = RetirementPreview {
        host_id: host.id,
        name: host.name.clone(),
        connected: false,
        keys: keys.iter().filter(|key| key.state == KeyState::Active).map(|key| key.name).collect(),
        secrets: secrets.into_iter().map(|secret| secret.name).collect(),
        open_jobs: count(tx.jobs_open(host.id, COUNTED)?.len()),
        open_claims: count(tx.claims_on_host(host.team_id, host.id)?.len()),
        preview_version: String::new(),
    };
    let text = json!({ "preview": preview, "state": host.state }).to_string();
    preview.preview_version = sha256_base64url(text.as_bytes());
    Ok(preview)
}
