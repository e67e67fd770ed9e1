//! `/v1/people`: the members of a team.

use axum::extract::State;
use muster_domain::membership;
use muster_http::{Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::UserId;
use muster_store::rows::MemberRow;
use muster_wire::page::Page;
use muster_wire::people::{Person, SetRole};
use muster_wire::permission::Permission;
use schemars::JsonSchema;
use serde::Deserialize;

use super::page::{PageQuery, limit, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::members;

const LIST: &str = "people";

/// The person of a path.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct PersonPath {
    /// The person.
    pub user_id: UserId,
}

/// `GET /v1/people`
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeePeople>,
    StrictQuery(query): StrictQuery<PageQuery>,
) -> Result<Reply<Page<Person>>, Problem> {
    let after = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let sees = actor.reach.covers(Permission::ManagePeople);
    let rows = app.look(move |tx| tx.members(actor.team_id, after, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.id, |row| view(row, sees))?))
}

/// `GET /v1/people/{user_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeePeople>,
    StrictPath(path): StrictPath<PersonPath>,
) -> Result<Reply<Person>, Problem> {
    let sees = actor.reach.covers(Permission::ManagePeople);
    let found = app.look(move |tx| tx.member(actor.team_id, path.user_id)).await?;
    Ok(Reply::new(view(found.ok_or(Failure::NotFound)?, sees)))
}

/// `PUT /v1/people/{user_id}/role`
pub async fn set_role(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictPath(path): StrictPath<PersonPath>,
    StrictJson(request): StrictJson<SetRole>,
) -> Result<Reply<Person>, Problem> {
    let now = app.clock.now();
    let person = actor
        .change_person(&app, now, path.user_id, move |unit, actor| {
            let (row, member) = members::known(unit, actor.team_id, path.user_id, actor.user_id)?;
            if row.removed_at.is_some() {
                return Err(Failure::conflict("person_removed", "this person was removed"));
            }
            membership::set_role(&actor.reach, &member, request.role, actor.team_is_platform)?;
            members::set_role(unit, &actor.author(), &row, request.role)?;
            Ok(view(MemberRow { role: request.role, ..row }, true))
        })
        .await?;
    Ok(Reply::new(person))
}

/// `POST /v1/people/{user_id}/remove`
///
/// Removing somebody who was removed changes nothing.
pub async fn remove(
    State(app): State<App>,
    actor: Actor<permits::ManagePeople>,
    StrictPath(path): StrictPath<PersonPath>,
) -> Result<Reply<Person>, Problem> {
    let now = app.clock.now();
    let person = actor
        .change_person(&app, now, path.user_id, move |unit, actor| {
            let (row, member) = members::known(unit, actor.team_id, path.user_id, actor.user_id)?;
            if row.removed_at.is_none() {
                membership::remove(&actor.reach, &member)?;
                members::remove(unit, &actor.author(), &row)?;
            }
            let tombstone = unit.tx.member(actor.team_id, path.user_id)?;
            Ok(view(tombstone.ok_or(Failure::NotFound)?, true))
        })
        .await?;
    Ok(Reply::new(person))
}

/// Shows a member; who is the easiest prey is shown to nobody but those who can do something about it.
fn view(row: MemberRow, sees_second_factor: bool) -> Person {
    Person {
        id: row.id,
        team_id: row.team_id,
        name: row.name,
        role: row.role,
        login: row.login,
        has_second_factor: sees_second_factor.then_some(row.has_second_factor),
        created_at: row.created_at,
        signed_in_at: row.signed_in_at,
        removed_at: row.removed_at,
    }
}
