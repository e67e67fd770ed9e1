//! `/v1/endpoints`: who hears of events.

mod deliveries;
mod testing;

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::EndpointId;
use muster_wire::endpoint::{
    CreateEndpoint, Endpoint, EndpointKind, MadeEndpoint, RotateSigningSecret, RotatedSigningSecret,
    SetEndpoint,
};
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

pub use deliveries::{list as deliveries, redeliver, redeliver_since};
pub use testing::{test, test_target};

use super::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::effects::Ended;
use crate::endpoints::{self, view};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::Fact;

const LIST: &str = "endpoints";
/// What somebody changed by one of the routes without a body.
const PAUSED: &str = "paused_at";
const SIGNING_SECRET: &str = "signing_secret";
/// Deliveries of an endpoint that is resumed whose next try is brought forward.
const HURRIED: i64 = 500;

/// The endpoint of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct EndpointPath {
    /// The endpoint.
    pub endpoint_id: EndpointId,
}

/// `GET /v1/endpoints`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<Endpoint>>, Problem> {
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let rows = app.look(move |tx| tx.endpoints_page(actor.team_id, after, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.id, view)?))
}

/// `GET /v1/endpoints/{endpoint_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
) -> Result<Reply<Endpoint>, Problem> {
    let row = app.look(move |tx| tx.endpoint(actor.team_id, path.endpoint_id)).await?;
    Ok(Reply::new(view(row.ok_or(Failure::NotFound)?)))
}

/// `POST /v1/endpoints`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    body: Once<CreateEndpoint>,
) -> Result<Created<MadeEndpoint>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let kind = request.target.kind();
    endpoints::check_target(&app.outbound, &request.target, "/target")?;
    endpoints::check_pace(kind, request.group_for_secs, request.quiet_hours.as_ref())?;
    let keyring = app.keyring.clone();
    let made = asked
        .change_as(&app, actor, now, move |unit, actor| endpoints::make(unit, &keyring, actor, &request))
        .await?;
    Ok(Created::new(made))
}

/// `PUT /v1/endpoints/{endpoint_id}`
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
    StrictJson(request): StrictJson<SetEndpoint>,
) -> Result<Reply<Endpoint>, Problem> {
    if let Some(target) = &request.target {
        endpoints::check_target(&app.outbound, target, "/target")?;
    }
    let keyring = app.keyring.clone();
    let endpoint = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let before = endpoints::locked(unit, actor, path.endpoint_id)?;
            if request.target.is_some() {
                unit.end(actor.team_id, Ended::Endpoint(before.id), "target changed")?;
            }
            endpoints::set(unit, &keyring, actor, &before, &request)
        })
        .await?;
    Ok(Reply::new(endpoint))
}

/// `POST /v1/endpoints/{endpoint_id}/pause`
pub async fn pause(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
) -> Result<Reply<Endpoint>, Problem> {
    let endpoint = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let row = endpoints::locked(unit, actor, path.endpoint_id)?;
            if unit.tx.endpoint_pause(actor.team_id, row.id, unit.now)? {
                let fact = Fact::new(Happening::EndpointChanged, actor.team_id, &actor.author(), row.id);
                unit.happened(fact.changed([PAUSED]).details(json!({ "paused": true })));
            }
            Ok(view(unit.tx.endpoint(actor.team_id, row.id)?.ok_or(Failure::NotFound)?))
        })
        .await?;
    Ok(Reply::new(endpoint))
}

/// `POST /v1/endpoints/{endpoint_id}/resume`
pub async fn resume(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
) -> Result<Reply<Endpoint>, Problem> {
    let endpoint = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let row = endpoints::locked(unit, actor, path.endpoint_id)?;
            if unit.tx.endpoint_resume(actor.team_id, row.id, unit.now)? {
                // What people get keeps its times: messages that were tried stay what they were.
                if row.kind.is_for_programs() {
                    unit.tx.deliveries_hurry(row.id, unit.now, HURRIED)?;
                }
                let fact = Fact::new(Happening::EndpointChanged, actor.team_id, &actor.author(), row.id);
                unit.happened(fact.changed([PAUSED]).details(json!({ "paused": false })));
            }
            Ok(view(unit.tx.endpoint(actor.team_id, row.id)?.ok_or(Failure::NotFound)?))
        })
        .await?;
    app.news.endpoints.notify_one();
    app.news.deliveries.notify_one();
    Ok(Reply::new(endpoint))
}

/// `POST /v1/endpoints/{endpoint_id}/remove`
pub async fn remove(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
) -> Result<Reply<Endpoint>, Problem> {
    let endpoint = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            let row = endpoints::locked(unit, actor, path.endpoint_id)?;
            unit.tx.endpoint_remove(actor.team_id, row.id, unit.now)?;
            unit.end(actor.team_id, Ended::Endpoint(row.id), "removed")?;
            let fact = Fact::new(Happening::EndpointRemoved, actor.team_id, &actor.author(), row.id);
            unit.happened(fact.details(json!({ "name": row.name, "kind": row.kind })));
            Ok(view(row))
        })
        .await?;
    Ok(Reply::new(endpoint))
}

/// `POST /v1/endpoints/{endpoint_id}/rotate-secret`
pub async fn rotate_secret(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
    body: Once<RotateSigningSecret>,
) -> Result<Created<RotatedSigningSecret>, Problem> {
    let (request, asked) = body.into_parts();
    let keyring = app.keyring.clone();
    let rotated = asked
        .change_as(&app, actor, app.clock.now(), move |unit, actor| {
            let row = endpoints::locked(unit, actor, path.endpoint_id)?;
            if row.kind != EndpointKind::Webhook {
                return Err(Failure::conflict("not_signed", "only webhooks are signed"));
            }
            let rotated = endpoints::rotate(unit, &keyring, row, request.overlap_secs)?;
            unit.end(actor.team_id, Ended::Endpoint(path.endpoint_id), "secret rotated")?;
            let fact =
                Fact::new(Happening::EndpointChanged, actor.team_id, &actor.author(), path.endpoint_id);
            unit.happened(
                fact.changed([SIGNING_SECRET]).details(json!({ "former_until": rotated.former_until })),
            );
            Ok(rotated)
        })
        .await?;
    Ok(Created::new(rotated))
}
