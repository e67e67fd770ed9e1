//! `/v1/refusals`: what a machine quoted, found again.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_store::rows::FoundRefusal;
use muster_wire::page::Page;
use muster_wire::refusal::RefusedRequest;
use muster_wire::text::Line;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::auth::{Actor, permits};

/// The query of refused requests.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct RefusalQuery {
    /// What the machine was told to quote.
    pub request_id: Line<64>,
}

/// `GET /v1/refusals`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<RefusalQuery>,
) -> Result<Reply<Page<RefusedRequest>>, Problem> {
    app.tally.write_if_possible(&app).await;
    let found = app.look(move |tx| tx.refused_requests(actor.team_id, query.request_id.as_str())).await?;
    Ok(Reply::new(Page { items: found.into_iter().map(view).collect(), next_cursor: None }))
}

fn view(found: FoundRefusal) -> RefusedRequest {
    RefusedRequest {
        request_id: found.request.request_id,
        ticket_id: found.ticket_id,
        cause: found.cause,
        at: found.request.at,
        source: found.request.source,
    }
}
