//! Steps of a host's life that a person takes.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_ids::{HostId, TeamId};
use muster_store::rows::StandingRow;
use muster_store::{Lock, LockKey, StoreError, Tx};
use muster_wire::host::{Host, RetireHost, RetirementPreview};

use super::{HostPath, shown};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::changes::retirements;
use crate::enrol::retire::{self as ending, Why};
use crate::enrol::suspend as suspending;
use crate::failure::Failure;

const STALE: Failure =
    Failure::conflict("preview_stale", "what retiring would destroy has changed; look at the preview again");

/// `GET /v1/hosts/{host_id}/retirement`
pub async fn retirement(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<RetirementPreview>, Problem> {
    let found = app.look(move |tx| preview(tx, actor.team_id, path.host_id)).await?;
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
            let seen = preview(unit.tx, host.team_id, host.id)?.ok_or(Failure::NotFound)?;
            if seen.preview_version != request.preview_version.as_str() {
                return Err(STALE);
            }
            ending::retire_locked(unit, &[&host], &actor.author(), Why::Person)?;
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
fn preview(
    tx: &mut Tx<'_>,
    team_id: TeamId,
    host_id: HostId,
) -> Result<Option<RetirementPreview>, StoreError> {
    let standing: Vec<StandingRow> = tx.hosts_standing(team_id, &[host_id])?.into_iter().flatten().collect();
    Ok(retirements(tx, &standing)?.pop())
}
