//! `/v1/me`: who a token acts as.

use axum::extract::State;
use muster_http::{Problem, Reply};
use muster_wire::people::Me;

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;

/// `GET /v1/me`
pub async fn get(State(app): State<App>, actor: Actor<permits::SeeSelf>) -> Result<Reply<Me>, Problem> {
    let token_id = actor.token_id;
    let operator = app.look(move |tx| tx.operator_by_token(&token_id)).await?.ok_or(Failure::NotFound)?;
    Ok(Reply::new(Me {
        user_id: operator.user_id,
        name: operator.name,
        role: operator.role,
        team_id: operator.team_id,
        team_name: operator.team_name,
        token_id,
    }))
}
