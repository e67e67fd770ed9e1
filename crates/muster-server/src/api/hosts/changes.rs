//! `/v1/hosts/changes`: one change of up to 100 hosts, shown before it is done to all of them.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson};
use muster_ids::HostId;
use muster_wire::host_change::{ChangeHosts, ChangedHosts, HostChangePreview, PreviewHostChange};

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::changes::{self, Change};
use crate::failure::Failure;
use crate::problems;

/// `POST /v1/hosts/changes/preview`
pub async fn preview(
    State(app): State<App>,
    actor: Actor<permits::OperateHosts>,
    StrictJson(request): StrictJson<PreviewHostChange>,
) -> Result<Reply<HostChangePreview>, Problem> {
    actor.must_cover(changes::permission(&request.change))?;
    changes::check(&request.change)?;
    let hosts: Vec<HostId> = request.hosts.iter().copied().collect();
    let change = Change::new(actor.team_id, hosts.clone(), request.change);
    let done_to_each = change.change.clone();
    let plan = app.look(move |tx| change.plan(tx)).await?;
    let plan = plan.map_err(|absent| problems::of_many(Failure::NotFound.of(absent), &hosts))?;
    Ok(Reply::new(plan.preview(&done_to_each, |host_id| app.hub.is_connected(host_id))))
}

/// `POST /v1/hosts/changes`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::OperateHosts>,
    StrictJson(request): StrictJson<ChangeHosts>,
) -> Result<Reply<ChangedHosts>, Problem> {
    changes::check(&request.change)?;
    let hosts: Vec<HostId> = request.hosts.iter().copied().collect();
    let change = Change::new(actor.team_id, hosts.clone(), request.change);
    let inner = app.clone();
    let changed = actor.change(&app, app.clock.now(), move |unit, actor| {
        actor.must_cover(changes::permission(&change.change))?;
        change.apply(unit, &inner, &actor.author(), request.preview_version.as_str())
    });
    Ok(Reply::new(changed.await.map_err(|failure| problems::of_many(failure, &hosts))?))
}
