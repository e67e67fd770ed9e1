use axum::extract::State;
use muster_domain::web_session::IDLE_FOR;
use muster_http::{Problem, Reply, StrictPath};
use muster_ids::WebSessionId;
use muster_store::rows::WebSessionRow;
use muster_wire::happening::Happening;
use muster_wire::page::Page;
use muster_wire::sign_in::{Done, WebSession};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::password::end_others;
use crate::app::App;
use crate::auth::{Actor, Credential, permits};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::unit::Fact;
use crate::uses::Used;

const LIMITED_TOKEN: Failure = Failure::Forbidden {
    code: "limited_token",
    detail: "a token with scopes or a team has nothing to do with the sessions of its owner",
};

/// The session of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SessionPath {
    /// The session.
    pub web_session_id: WebSessionId,
}

/// `GET /v1/me/sessions`
///
/// They are few: one page holds them all.
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
) -> Result<Reply<Page<WebSession>>, Problem> {
    let now = app.clock.now();
    whole(&actor)?;
    let user_id = actor.user_id;
    let rows = app.look(move |tx| tx.web_sessions(user_id, now, now.minus(IDLE_FOR))).await?;
    let items = rows.into_iter().map(|row| view(&app, row, actor.credential)).collect();
    Ok(Reply::new(Page { items, next_cursor: None }))
}

/// `POST /v1/me/sessions/{web_session_id}/end`
pub async fn end(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictPath(path): StrictPath<SessionPath>,
) -> Result<Reply<Done>, Problem> {
    whole(&actor)?;
    let (now, user_id, id) = (app.clock.now(), actor.user_id, path.web_session_id);
    let ended = actor.change_person(&app, now, user_id, move |unit, actor| {
        if !unit.tx.web_session_end(user_id, &id, now)? {
            return Err(Failure::NotFound);
        }
        let team_id = unit.tx.sign_in_of(user_id)?.ok_or(Failure::Unauthorized)?.team_id;
        unit.end(team_id, Ended::WebSession(id), "ended")?;
        unit.happened(Fact::new(Happening::WebSessionEnded, team_id, &actor.author(), id));
        Ok(Done { ended_sessions: 1 })
    });
    Ok(Reply::new(ended.await?))
}

/// `POST /v1/me/sessions/end-others`
pub async fn end_all_others(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
) -> Result<Reply<Done>, Problem> {
    whole(&actor)?;
    let (now, user_id) = (app.clock.now(), actor.user_id);
    let ended = actor.change_person(&app, now, user_id, move |unit, actor| {
        let ended_sessions = end_others(unit, actor)?;
        let team_id = unit.tx.sign_in_of(user_id)?.ok_or(Failure::Unauthorized)?.team_id;
        let fact = Fact::new(Happening::WebSessionEnded, team_id, &actor.author(), user_id);
        unit.happened(fact.details(json!({ "ended_sessions": ended_sessions })));
        Ok(Done { ended_sessions })
    });
    Ok(Reply::new(ended.await?))
}

/// Sessions may what their owner may: a token that may less neither sees nor ends them.
fn whole<P>(actor: &Actor<P>) -> Result<(), Failure> {
    if actor.is_limited() { Err(LIMITED_TOKEN) } else { Ok(()) }
}

fn view(app: &App, row: WebSessionRow, asked_by: Credential) -> WebSession {
    let heard_at = app.uses.of(Used::WebSession(row.id));
    WebSession {
        id: row.id,
        current: asked_by == Credential::WebSession(row.id),
        method: row.method,
        source: row.source,
        user_agent: row.user_agent,
        created_at: row.created_at,
        seen_at: heard_at.map_or(row.seen_at, |heard_at| heard_at.max(row.seen_at)),
        expires_at: row.expires_at,
    }
}
