//! `/v1/me/views`: filters of the list of hosts, kept under names of one's own; each team has its own.

use axum::extract::State;
use muster_http::{Problem, Reply, StrictJson, StrictPath, parse_query};
use muster_store::rows::SavedViewRow;
use muster_wire::page::Page;
use muster_wire::saved_view::{MOST_VIEWS, SavedView, SetView};
use muster_wire::text::Name;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::api::hosts::HostQuery;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;

const TOO_MANY: Failure =
    Failure::conflict("too_many_views", "you have 50 views in this team; remove one first");
/// Read of one person in one team: all of them.
const ALL: i64 = MOST_VIEWS as i64;

/// The view of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ViewPath {
    /// Its name.
    pub name: Name,
}

/// `GET /v1/me/views`
///
/// They are few: one page holds them all.
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
) -> Result<Reply<Page<SavedView>>, Problem> {
    let rows = app.look(move |tx| tx.saved_views(actor.user_id, actor.team_id, ALL)).await?;
    Ok(Reply::new(Page { items: rows.into_iter().map(view).collect(), next_cursor: None }))
}

/// `PUT /v1/me/views/{name}`
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictPath(path): StrictPath<ViewPath>,
    StrictJson(request): StrictJson<SetView>,
) -> Result<Reply<SavedView>, Problem> {
    let now = app.clock.now();
    is_filter(request.query.as_str())?;
    let row = SavedViewRow { name: path.name.to_string(), query: request.query.to_string(), updated_at: now };
    let user_id = actor.user_id;
    let set = actor.change_person(&app, now, user_id, move |unit, actor| {
        let others = unit.tx.saved_views(actor.user_id, actor.team_id, ALL)?;
        if others.len() >= MOST_VIEWS && others.iter().all(|other| other.name != row.name) {
            return Err(TOO_MANY);
        }
        unit.tx.saved_view_set(actor.user_id, actor.team_id, &row)?;
        Ok(view(row.clone()))
    });
    Ok(Reply::new(set.await?))
}

/// `POST /v1/me/views/{name}/remove`
pub async fn remove(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictPath(path): StrictPath<ViewPath>,
) -> Result<Reply<SavedView>, Problem> {
    let removed = actor.change(&app, app.clock.now(), move |unit, actor| {
        let views = unit.tx.saved_views(actor.user_id, actor.team_id, ALL)?;
        let row = views.into_iter().find(|row| row.name == path.name.as_str()).ok_or(Failure::NotFound)?;
        unit.tx.saved_view_remove(actor.user_id, actor.team_id, &row.name)?;
        Ok(view(row))
    });
    Ok(Reply::new(removed.await?))
}

/// Refuses what the list of hosts would refuse, and what belongs to a page of it and not to a view.
fn is_filter(query: &str) -> Result<(), Problem> {
    let parsed: HostQuery = parse_query(query).map_err(|_| Failure::invalid("/query", "invalid_query"))?;
    if parsed.limit.is_some() || parsed.cursor.is_some() {
        return Err(Failure::invalid("/query", "not_a_filter").into());
    }
    Ok(())
}

fn view(row: SavedViewRow) -> SavedView {
    SavedView { name: row.name, query: row.query, updated_at: row.updated_at }
}
