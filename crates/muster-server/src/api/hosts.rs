//! `/v1/hosts`: invited, listed, tagged, moved, suspended, retired; their keys.

pub mod changes;
mod history;
mod keys;
mod life;
mod list;

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath};
use muster_ids::HostId;
use muster_store::rows::HostRow;
use muster_store::{Lock, LockKey};
use muster_wire::bounds::Whole;
use muster_wire::happening::Happening;
use muster_wire::host::{Host, HostKind, HostState, InviteHost, InvitedHost, MoveHost, SetTags};
use muster_wire::text::Tag;
use muster_wire::ticket::CreateRegistrationToken;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::enrolment_tokens::site_or_default;
use super::registration_tokens::for_host;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::enrol::mint::{mint, minted};
use crate::enrol::moving::move_host;
use crate::enrol::retire;
use crate::failure::Failure;
use crate::host_view::view;
use crate::idempotency::Once;
use crate::unit::{Fact, Unit};

pub use history::{HistoryQuery, history};
pub use keys::{list_keys, mint_agent_key, revoke_key, rotate_key};
pub use life::{resume, retire, retirement, suspend};
pub use list::{HostQuery, list};

/// The host of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct HostPath {
    /// The host.
    pub host_id: HostId,
}

/// `POST /v1/hosts`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    body: Once<InviteHost>,
) -> Result<Created<InvitedHost>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let inner = app.clone();
    let invited =
        asked.change_as(&app, actor, now, move |unit, actor| invite(unit, &inner, actor, &request)).await?;
    Ok(Created::new(invited))
}

fn invite<P>(
    unit: &mut Unit<'_, '_>,
    app: &App,
    actor: &Actor<P>,
    request: &InviteHost,
) -> Result<InvitedHost, Failure> {
    let team_id = actor.team_id;
    let host = HostRow {
        id: HostId::from_uuid(unit.draw.uuid(unit.now)),
        team_id,
        site_id: site_or_default(unit, team_id, request.site_id)?,
        kind: if actor.team_is_platform { HostKind::Shared } else { HostKind::Team },
        name: request.name.to_string(),
        state: HostState::Invited,
        provider: request.provider.as_ref().map(ToString::to_string),
        zone: request.zone.as_ref().map(ToString::to_string),
        arrival: None,
        created_at: unit.now,
        enrolled_at: None,
        retired_at: None,
        ephemeral_hours: request.ephemeral_hours.map(Whole::get),
    };
    unit.tx.host_insert(&host)?;
    unit.tx.host_rows_insert(host.id, app.installation.epoch)?;
    let tags: Vec<Tag> = request.tags.iter().cloned().collect();
    unit.tx.host_tags_set(team_id, host.id, &tags)?;
    let invited = Fact::new(Happening::HostInvited, team_id, &actor.author(), host.id).of_host(host.id);
    unit.happened(invited.details(json!({ "name": host.name, "site_id": host.site_id, "tags": tags })));
    let registration = CreateRegistrationToken {
        expires_in_secs: request.expires_in_secs,
        rejoin: false,
        require_key: Some(request.require_key),
        ephemeral_hours: None,
    };
    let ticket = mint(unit, app, &actor.author(), for_host(&host, &registration, false))?;
    let registration = minted(unit, app, team_id, ticket)?;
    Ok(InvitedHost { host: shown(unit, app, &host)?, registration })
}

/// `GET /v1/hosts/{host_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let (team_id, host_id) = (actor.team_id, path.host_id);
    let (shown, secrets) = app
        .look(move |tx| Ok((tx.host_shown(team_id, host_id)?, tx.secrets_shown(team_id, host_id)?)))
        .await?;
    let host = view(&app, shown.ok_or(Failure::NotFound)?, app.clock.now());
    let exposed = secrets.into_iter().filter(|secret| secret.exposed).map(|secret| secret.name);
    Ok(Reply::new(Host { exposed_secrets: exposed.collect(), ..host }))
}

/// `PUT /v1/hosts/{host_id}/tags`
pub async fn set_tags(
    State(app): State<App>,
    actor: Actor<permits::OperateHosts>,
    StrictPath(path): StrictPath<HostPath>,
    StrictJson(request): StrictJson<SetTags>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = actor
        .change(&app, now, move |unit, actor| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Host(path.host_id))])?;
            let host = retire::host(unit, actor.team_id, path.host_id)?;
            if host.state == HostState::Retired {
                return Err(retire::NOT_POSSIBLE);
            }
            let tags: Vec<Tag> = request.tags.iter().cloned().collect();
            unit.tx.host_tags_set(host.team_id, host.id, &tags)?;
            let set = Fact::new(Happening::HostTagsSet, host.team_id, &actor.author(), host.id);
            unit.happened(set.of_host(host.id).changed(["tags"]).details(json!({ "tags": tags })));
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// `POST /v1/hosts/{host_id}/move`
pub async fn move_to(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    StrictJson(request): StrictJson<MoveHost>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = actor
        .change(&app, now, move |unit, actor| {
            inner.arrivals.comes(request.site_id);
            move_host(unit, actor.team_id, path.host_id, request.site_id, &actor.author())?;
            let host = retire::host(unit, actor.team_id, path.host_id)?;
            shown(unit, &inner, &host)
        })
        .await?;
    Ok(Reply::new(host))
}

/// Shows a host as this transaction leaves it.
fn shown(unit: &mut Unit<'_, '_>, app: &App, host: &HostRow) -> Result<Host, Failure> {
    let shown = unit.tx.host_shown(host.team_id, host.id)?.ok_or(Failure::NotFound)?;
    Ok(view(app, shown, unit.now))
}
