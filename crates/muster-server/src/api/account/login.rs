use axum::extract::State;
use muster_domain::login::Login;
use muster_http::{Problem, Reply, StrictJson};
use muster_wire::happening::Happening;
use muster_wire::sign_in::{Account, SetLogin};

use super::first_may_be_set_by;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::unit::Fact;

/// `PUT /v1/me/login`
///
/// For people who have none; afterwards it stays.
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    StrictJson(request): StrictJson<SetLogin>,
) -> Result<Reply<Account>, Problem> {
    let now = app.clock.now();
    let login = Login::parse(request.login.as_str())
        .map_err(|error| Failure::invalid("/login", error.to_string()))?;
    let account = actor
        .change(&app, now, move |unit, actor| {
            first_may_be_set_by(unit.tx, actor)??;
            let row = unit.tx.sign_in_of(actor.user_id)?.ok_or(Failure::Unauthorized)?;
            if row.login.is_some() {
                return Err(Failure::conflict("login_set", "the account has a login, which stays"));
            }
            if !unit.tx.login_set(actor.user_id, login.as_str())? {
                return Err(Failure::conflict("login_taken", "somebody has this login"));
            }
            let set = Fact::new(Happening::LoginSet, row.team_id, &actor.author(), actor.user_id);
            unit.happened(set.changed(["login"]));
            Ok(Account {
                login: Some(login.as_str().to_owned()),
                password_changed_at: row.password_changed_at,
                second_factor_confirmed_at: row.second_factor.and_then(|factor| factor.confirmed_at),
                recovery_codes_left: unit.tx.recovery_codes_left(actor.user_id)?,
            })
        })
        .await?;
    Ok(Reply::new(account))
}
