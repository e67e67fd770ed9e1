//! Test messages: to an endpoint that is there, and before it is saved.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath};
use muster_ids::{EventId, TeamId, Timestamp};
use muster_store::rows::EventRow;
use muster_wire::endpoint::{EndpointTested, TestEndpoint};
use muster_wire::event::TEST_KIND;
use muster_wire::happening::Happening;
use serde_json::json;

use super::EndpointPath;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::endpoints;
use crate::failure::Failure;
use crate::notify::webhook::SigningSecret;
use crate::notify::{self, OpenEndpoint, SealedEndpoint};
use crate::unit::Fact;

/// `POST /v1/endpoints/{endpoint_id}/test`
pub async fn test(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictPath(path): StrictPath<EndpointPath>,
) -> Result<Reply<EndpointTested>, Problem> {
    let _flight = app.budgets.testers.begin(actor.team_id)?;
    let _place = app.budgets.test_messages.take().await?;
    let now = app.clock.now();
    let keyring = app.keyring.clone();
    let endpoint = actor
        .change(&app, now, move |unit, actor| {
            let row = unit.tx.endpoint(actor.team_id, path.endpoint_id)?.ok_or(Failure::NotFound)?;
            let team = unit.tx.team(actor.team_id)?.ok_or(Failure::NotFound)?;
            let fact = Fact::new(Happening::EndpointTested, actor.team_id, &actor.author(), row.id);
            unit.happened(fact.details(json!({ "target": row.shown_target })));
            endpoints::open(&keyring, &team, &row)
        })
        .await?;
    Ok(Reply::new(tested(&app, &endpoint, now).await))
}

/// `POST /v1/endpoints/test`
pub async fn test_target(
    State(app): State<App>,
    actor: Actor<permits::ManageEndpoints>,
    StrictJson(request): StrictJson<TestEndpoint>,
) -> Result<Reply<EndpointTested>, Problem> {
    endpoints::check_target(&app.outbound, &request.target, "/target")?;
    let _flight = app.budgets.testers.begin(actor.team_id)?;
    let _place = app.budgets.test_messages.take().await?;
    let now = app.clock.now();
    let endpoint = actor
        .change(&app, now, move |unit, actor| {
            let team = unit.tx.team(actor.team_id)?.ok_or(Failure::NotFound)?;
            let fact = Fact::new(Happening::EndpointTested, actor.team_id, &actor.author(), "unsaved");
            unit.happened(fact.details(json!({ "target": request.target.shown() })));
            let target = request.target.clone();
            // Nobody knows this secret: the receiver sees the form of the signature and nothing else.
            let signing = vec![SigningSecret::draw(&mut unit.draw)];
            let sealed = SealedEndpoint { target, signing };
            let (team_id, team_name, name) = (actor.team_id, team.name, "unsaved".to_owned());
            Ok(OpenEndpoint { id: None, team_id, team_name, name, sealed })
        })
        .await?;
    Ok(Reply::new(tested(&app, &endpoint, now).await))
}

async fn tested(app: &App, endpoint: &OpenEndpoint, now: Timestamp) -> EndpointTested {
    let id = EventId::from_uuid(app.entropy.uuid(now));
    let event = test_event(id, endpoint.team_id, now);
    match notify::send(app, endpoint, &[event], now).await {
        Ok(sent) => EndpointTested { delivered: true, status: sent.status, error: None },
        Err(failure) => EndpointTested {
            delivered: false,
            status: failure.status,
            error: Some(failure.error.into_owned()),
        },
    }
}

fn test_event(id: EventId, team_id: TeamId, at: Timestamp) -> EventRow {
    EventRow {
        position: 0,
        id,
        team_id,
        at,
        kind: TEST_KIND.to_owned(),
        subject: "test".to_owned(),
        host_id: None,
        actor: "system".to_owned(),
        payload: json!({ "text": "this is a test message" }),
    }
}
