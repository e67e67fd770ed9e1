//! `/v1/hosts`: invited, listed, tagged, suspended, retired.

mod life;
mod list;

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath};
use muster_ids::HostId;
use muster_store::rows::HostRow;
use muster_store::{Lock, LockKey, Priority};
use muster_wire::host::{Host, HostKind, HostState, InviteHost, InvitedHost, SetTags};
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
use crate::enrol::retire;
use crate::failure::Failure;
use crate::host_view::view;
use crate::idempotency::Once;
use crate::unit::{Entry, Unit};

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
    actor: Actor<permits::ManageTickets>,
    body: Once<InviteHost>,
) -> Result<Created<InvitedHost>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let (inner, user_id) = (app.clone(), actor.user_id);
    let invited =
        asked.change(&app, user_id, now, move |unit| invite(unit, &inner, &actor, &request)).await?;
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
    };
    unit.tx.host_insert(&host)?;
    unit.tx.host_rows_insert(host.id, app.installation.epoch)?;
    let tags: Vec<Tag> = request.tags.iter().cloned().collect();
    unit.tx.host_tags_set(team_id, host.id, &tags)?;
    unit.record(Entry {
        team_id,
        author: actor.author(),
        action: "host.invited",
        target: host.id.to_string(),
        outcome: "ok",
        details: json!({ "name": host.name, "site_id": host.site_id, "tags": tags }),
    });
    let registration = CreateRegistrationToken { expires_in_secs: None, rejoin: false };
    let ticket = mint(unit, app, &actor.author(), for_host(&host, &registration))?;
    let registration = minted(unit, app, team_id, ticket)?;
    Ok(InvitedHost { host: shown(unit, app, &host)?, registration })
}

/// `GET /v1/hosts/{host_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<HostPath>,
) -> Result<Reply<Host>, Problem> {
    let shown = app.look(move |tx| tx.host_shown(actor.team_id, path.host_id)).await?;
    Ok(Reply::new(view(&app, shown.ok_or(Failure::NotFound)?, app.clock.now())))
}

/// `PUT /v1/hosts/{host_id}/tags`
pub async fn set_tags(
    State(app): State<App>,
    actor: Actor<permits::ManageHosts>,
    StrictPath(path): StrictPath<HostPath>,
    StrictJson(request): StrictJson<SetTags>,
) -> Result<Reply<Host>, Problem> {
    let now = app.clock.now();
    let inner = app.clone();
    let host = app
        .change(Priority::Urgent, now, move |unit| {
            unit.tx.lock(&[Lock::exclusive(LockKey::Host(path.host_id))])?;
            let host = retire::host(unit, actor.team_id, path.host_id)?;
            if host.state == HostState::Retired {
                return Err(retire::NOT_POSSIBLE);
            }
            let tags: Vec<Tag> = request.tags.iter().cloned().collect();
            unit.tx.host_tags_set(host.team_id, host.id, &tags)?;
            unit.record(Entry {
                team_id: host.team_id,
                author: actor.author(),
                action: "host.tags_set",
                target: host.id.to_string(),
                outcome: "ok",
                details: json!({ "tags": tags }),
            });
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
