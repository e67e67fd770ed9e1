use axum::extract::State;
use muster_http::{ClientAddress, Created, Problem, Reply, StrictJson};
use muster_wire::happening::Happening;
use muster_wire::sign_in::{
    BeginSecondFactor, ConfirmSecondFactor, Done, RecoveryCodes, RemoveSecondFactor, SecondFactorSecret,
};

use super::{WRONG_CODE, guess, own, step_up, still_own};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::idempotency::Once;
use crate::sign_in::guess::Guess;
use crate::sign_in::second_factor::{self, Taken};
use crate::unit::Fact;

const IS_SET: Failure =
    Failure::conflict("second_factor_set", "the account has a second factor; remove it first");
const NONE: Failure =
    Failure::conflict("no_second_factor", "the account has no second factor to do this with");

/// `POST /v1/me/second-factor`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    body: Once<BeginSecondFactor>,
) -> Result<Created<SecondFactorSecret>, Problem> {
    muster_http::to_the_end(begin(app, actor, source, body)).await
}

async fn begin(
    app: App,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    body: Once<BeginSecondFactor>,
) -> Result<Created<SecondFactorSecret>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let row = own(&app, actor.user_id).await?;
    drop(step_up(&app, source.bucket(), &row, &request.password).await?);
    let keyring = app.keyring.clone();
    let begun = asked.change_self(&app, actor, now, move |unit, actor| {
        let row = still_own(unit, actor.user_id, row.phc.as_ref())?;
        let secret = unit.draw.bytes::<{ second_factor::SECRET_LEN }>();
        let sealed = second_factor::seal(&keyring, actor.user_id, unit.draw.bytes(), &secret);
        if !unit.tx.second_factor_begin(actor.user_id, &sealed, now)? {
            return Err(IS_SET);
        }
        second_factor::shown(&secret, row.login.as_deref().unwrap_or(&row.name))
    });
    Ok(Created::new(begun.await?))
}

/// `POST /v1/me/second-factor/confirm`
pub async fn confirm(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    body: Once<ConfirmSecondFactor>,
) -> Result<Created<RecoveryCodes>, Problem> {
    muster_http::to_the_end(take_into_use(app, actor, source, body)).await
}

async fn take_into_use(
    app: App,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    body: Once<ConfirmSecondFactor>,
) -> Result<Created<RecoveryCodes>, Problem> {
    let now = app.clock.now();
    let (request, asked) = body.into_parts();
    let row = own(&app, actor.user_id).await?;
    let guess = guess(&app, source.bucket(), &row)?.with_code(&row, &request.code)?;
    let keyring = app.keyring.clone();
    let confirmed = asked.change_self(&app, actor, now, move |unit, actor| {
        let row = unit.tx.sign_in_of(actor.user_id)?.ok_or(Failure::Unauthorized)?;
        let factor = row.second_factor.filter(|factor| factor.confirmed_at.is_none()).ok_or(NONE)?;
        let step = second_factor::step_of(&keyring, actor.user_id, &factor.sealed, &request.code, now)?;
        let Some(step) = step else { return Err(WRONG_CODE) };
        if !unit.tx.second_factor_confirm(actor.user_id, step, now)? {
            return Err(NONE);
        }
        let set = Fact::new(Happening::SecondFactorSet, row.team_id, &actor.author(), actor.user_id);
        unit.happened(set.changed(["second_factor"]));
        Ok(RecoveryCodes { codes: second_factor::new_recovery_codes(unit, &keyring, actor.user_id)? })
    });
    Ok(Created::new(judged(guess, confirmed.await)?))
}

/// `POST /v1/me/second-factor/remove`
pub async fn remove(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    StrictJson(request): StrictJson<RemoveSecondFactor>,
) -> Result<Reply<Done>, Problem> {
    muster_http::to_the_end(take_away(app, actor, source, request)).await
}

async fn take_away(
    app: App,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    request: RemoveSecondFactor,
) -> Result<Reply<Done>, Problem> {
    let (now, user_id) = (app.clock.now(), actor.user_id);
    let row = own(&app, user_id).await?;
    let guess = step_up(&app, source.bucket(), &row, &request.password).await?;
    let guess = guess.with_code(&row, &request.code)?;
    let (keyring, phc) = (app.keyring.clone(), row.phc.clone());
    let removed = actor.change_person(&app, now, user_id, move |unit, actor| {
        let row = still_own(unit, user_id, phc.as_ref())?;
        if !second_factor::is_asked(&row) {
            return Err(NONE);
        }
        if second_factor::take(unit, &keyring, &row, Some(&request.code), &actor.source)? != Taken::Passed {
            return Err(WRONG_CODE);
        }
        unit.tx.second_factor_remove(user_id)?;
        let fact = Fact::new(Happening::SecondFactorRemoved, row.team_id, &actor.author(), user_id);
        unit.happened(fact.changed(["second_factor"]));
        Ok(Done { ended_sessions: 0 })
    });
    Ok(Reply::new(judged(guess, removed.await)?))
}

/// Counts a wrong code as the failure of its guess.
fn judged<T>(guess: Guess<'_>, outcome: Result<T, Failure>) -> Result<T, Problem> {
    outcome.map_err(|failure| match failure {
        Failure::Forbidden { code: "wrong_code", .. } => guess.failed(failure.into()),
        failure => failure.into(),
    })
}
