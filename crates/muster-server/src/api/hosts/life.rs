//! Steps of a host's life that a person takes.

use axum::extract::State;
use muster_domain::host_life::Life;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_keyring::OwnerKind;
use muster_proof::digest::sha256_base64url;
use muster_store::rows::{HostRow, KeyState};
use muster_store::{Lock, LockKey, Priority, StoreError, Tx};
use muster_wire::host::{Host, HostState, RetireHost, RetirementPreview};
use serde_json::json;

use super::{HostPath, shown};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::effects::{Cut, CutReason};
use crate::enrol::retire::{self as ending, NOT_POSSIBLE};
use crate::failure::Failure;
use crate::unit::{Author, Entry, Event, Unit};

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
    let host = app
        .change(Priority::Urgent, now, move |unit| {
            let host = ending::host(unit, actor.team_id, path.host_id)?;
            ending::lock(unit, &host)?;
            let host = ending::host(unit, actor.team_id, path.host_id)?;
            if preview(unit.tx, &host)?.preview_version != request.preview_version.as_str() {
                return Err(STALE);
            }
            ending::retire(unit, &host, &actor.author())?;
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// `POST /v1/hosts/{host_id}/suspend`
pub async fn suspend(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = app
        .change(Priority::Urgent, now, move |unit| {
            let (host, to) = step(unit, &actor, &path, Life::suspend)?;
            unit.tx.revocation_insert(host.team_id, &host.id.to_string(), "suspended", now)?;
            let keys = unit.tx.host_keys(host.id)?;
            let active = keys.iter().filter(|key| key.state == KeyState::Active);
            unit.effects.cuts.extend(active.map(|key| Cut {
                host_id: host.id,
                key: key.name,
                reason: CutReason::Suspended,
                decided_at: now,
            }));
            record(unit, &actor.author(), &host, "host.suspended", to);
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// `POST /v1/hosts/{host_id}/resume`
pub async fn resume(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = app
        .change(Priority::Urgent, now, move |unit| {
            let (host, to) = step(unit, &actor, &path, Life::resume)?;
            record(unit, &actor.author(), &host, "host.resumed", to);
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

fn step<P>(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<P>,
    path: &HostPath,
    take: impl Fn(HostState) -> Result<HostState, muster_domain::host_life::NotPossible>,
) -> Result<(HostRow, HostState), Failure> {
    unit.tx.lock(&[Lock::exclusive(LockKey::Host(path.host_id))])?;
    let host = ending::host(unit, actor.team_id, path.host_id)?;
    let to = take(host.state).map_err(|_| NOT_POSSIBLE)?;
    if !unit.tx.host_move(host.team_id, host.id, host.state, to)? {
        return Err(StoreError::Conflict.into());
    }
    Ok((host, to))
}

fn record(unit: &mut Unit<'_, '_>, author: &Author, host: &HostRow, action: &'static str, to: HostState) {
    let (team_id, details) = (host.team_id, json!({ "from": host.state, "to": to }));
    unit.record(Entry {
        team_id,
        author: author.clone(),
        action,
        target: host.id.to_string(),
        outcome: "ok",
        details: details.clone(),
    });
    unit.tell(Event { team_id, kind: action, subject: host.id.to_string(), payload: details });
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
