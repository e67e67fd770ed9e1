use axum::extract::State;
use muster_http::{ClientAddress, Problem, Reply, StrictJson};
use muster_wire::happening::Happening;
use muster_wire::sign_in::{Done, SetPassword};
use serde_json::json;

use super::{first_may_be_set_by, own, step_up, still_own};
use crate::app::App;
use crate::auth::{Actor, Credential, permits};
use crate::effects::Ended;
use crate::failure::Failure;
use crate::passwords::{hash, judge_new};
use crate::unit::{Fact, Unit};

/// `PUT /v1/me/password`
///
/// Ends every other session of the person, and what these have open.
pub async fn set(
    State(app): State<App>,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    StrictJson(request): StrictJson<SetPassword>,
) -> Result<Reply<Done>, Problem> {
    muster_http::to_the_end(replace(app, actor, source, request)).await
}

async fn replace(
    app: App,
    actor: Actor<permits::OwnAccount>,
    source: ClientAddress,
    request: SetPassword,
) -> Result<Reply<Done>, Problem> {
    let now = app.clock.now();
    let row = own(&app, actor.user_id).await?;
    match (&row.phc, &request.current) {
        (Some(_), Some(current)) => drop(step_up(&app, source.bucket(), &row, current).await?),
        (Some(_), None) => return Err(Failure::invalid("/current", "required").into()),
        (None, _) => {
            let asks = actor.clone();
            app.look(move |tx| first_may_be_set_by(tx, &asks)).await??;
        }
    }
    let names = [row.login.as_deref().unwrap_or_default(), &row.name, &row.team_name];
    let normal = judge_new(&request.new, &names, "/new")?;
    let flight = app.budgets.guessers.begin(source.bucket())?;
    let phc = hash(&app, normal).await?;
    drop(flight);
    let (user_id, former) = (actor.user_id, row.phc);
    let changed = actor.change_person(&app, now, user_id, move |unit, actor| {
        let row = still_own(unit, user_id, former.as_ref())?;
        if row.phc.is_none() {
            first_may_be_set_by(unit.tx, actor)??;
        }
        unit.tx.password_set(user_id, &phc, now)?;
        let ended_sessions = end_others(unit, actor)?;
        let set = Fact::new(Happening::PasswordSet, row.team_id, &actor.author(), user_id);
        unit.happened(set.changed(["password"]).details(json!({ "ended_sessions": ended_sessions })));
        Ok(Done { ended_sessions })
    });
    Ok(Reply::new(changed.await?))
}

/// Ends every session of a person but the one that asks. The caller holds their exclusive lock.
pub(super) fn end_others(
    unit: &mut Unit<'_, '_>,
    actor: &Actor<permits::OwnAccount>,
) -> Result<u32, Failure> {
    let current = match actor.credential {
        Credential::WebSession(id) => Some(id),
        Credential::Token(_) => None,
    };
    let ended = unit.tx.web_sessions_end(actor.user_id, current, unit.now)?;
    let team_id = unit.tx.sign_in_of(actor.user_id)?.ok_or(Failure::Unauthorized)?.team_id;
    for id in &ended {
        unit.end(team_id, Ended::WebSession(*id), "ended")?;
    }
    Ok(u32::try_from(ended.len()).unwrap_or(u32::MAX))
}
