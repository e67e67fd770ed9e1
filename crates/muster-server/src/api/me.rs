//! `/v1/me`: who a credential acts as.

use axum::extract::State;
use muster_http::{Problem, Reply};
use muster_wire::people::Me;
use muster_wire::permission::Permission;

use crate::app::App;
use crate::auth::{Actor, Credential, permits};
use crate::failure::Failure;

/// `GET /v1/me`
pub async fn get(State(app): State<App>, actor: Actor<permits::OwnAccount>) -> Result<Reply<Me>, Problem> {
    let credential = actor.credential;
    let found = app.look(move |tx| match credential {
        Credential::Token(id) => tx.operator_by_token(&id),
        Credential::WebSession(id) => tx.operator_by_web_session(&id),
    });
    let operator = found.await?.ok_or(Failure::Unauthorized)?;
    let (token_id, web_session_id) = match credential {
        Credential::Token(id) => (Some(id), None),
        Credential::WebSession(id) => (None, Some(id)),
    };
    let covered = Permission::ALL.iter().copied().filter(|permission| actor.reach.covers(*permission));
    Ok(Reply::new(Me {
        user_id: operator.user_id,
        name: operator.name,
        role: operator.role,
        team_id: operator.team_id,
        team_name: operator.team_name,
        token_id,
        web_session_id,
        permissions: covered.collect(),
    }))
}
