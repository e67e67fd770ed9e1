//! `/v1/teams`: tenants and their owners.

use axum::extract::State;
use muster_domain::membership;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::TeamId;
use muster_store::rows::TeamRow;
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::people::{CreateOwner, CreateTeam, MintedToken, Role, Team};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::page::{PageQuery, limit, open_cursor, page};
use super::setup::{make_person, make_team};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::unit::Fact;

const LIST: &str = "teams";
/// The token of an owner lasts for ever: whoever steals one that does not must not get it.
const LIMITED_TOKEN: Failure = Failure::Forbidden {
    code: "limited_token",
    detail: "a token with scopes, a team or an expiry makes no owner whose token lasts for ever; invite one instead",
};

/// The team of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct TeamPath {
    /// The team.
    pub team_id: TeamId,
}

/// `GET /v1/teams`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeTeams>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<Team>>, Problem> {
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let only = (actor.role() != Role::Admin).then_some(actor.team_id);
    let rows = app.look(move |tx| tx.teams(only, after, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.id, view)?))
}

/// `POST /v1/teams`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::ManageTeams>,
    StrictJson(request): StrictJson<CreateTeam>,
) -> Result<Created<Team>, Problem> {
    let now = app.clock.now();
    let keyring = app.keyring.clone();
    let name = request.name.to_string();
    let team = actor
        .change(&app, now, move |unit, actor| {
            let taken = Failure::conflict("name_taken", "a team of this name exists");
            let id = make_team(unit, &keyring, &name, false)?.ok_or(taken)?;
            let created = Fact::new(Happening::TeamCreated, id, &actor.author(), id);
            unit.happened(created.details(json!({ "name": name })));
            Ok(Team { id, name: name.clone(), created_at: now })
        })
        .await?;
    Ok(Created::new(team))
}

/// `POST /v1/teams/{team_id}/owners`
pub async fn create_owner(
    State(app): State<App>,
    actor: Actor<permits::ManageTeams>,
    StrictPath(path): StrictPath<TeamPath>,
    body: Once<CreateOwner>,
) -> Result<Created<MintedToken>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let keyring = app.keyring.clone();
    let minted = asked
        .change_as(&app, actor, now, move |unit, actor| {
            membership::invite(&actor.reach, Role::Owner, false)?;
            if actor.is_limited() || actor.token_ends.is_some() {
                return Err(LIMITED_TOKEN);
            }
            let team =
                unit.tx.team(path.team_id)?.filter(|team| !team.is_platform).ok_or(Failure::NotFound)?;
            make_person(unit, &keyring, &actor.author(), team.id, request.name.as_str(), Role::Owner)
        })
        .await?;
    Ok(Created::new(minted))
}

fn view(row: TeamRow) -> Team {
    Team { id: row.id, name: row.name, created_at: row.created_at }
}
