//! `/v1/overview`: the fleet of a team at a glance.

mod attention;

use std::time::Duration;

use axum::extract::State;
use muster_http::{Problem, Reply, StrictQuery};
use muster_ids::Timestamp;
use muster_wire::overview::{Overview, OverviewHours, PresenceSample};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::auth::{Actor, permits};
use crate::census::TeamCensus;
use crate::reconcile;

const HOUR: Duration = Duration::from_secs(3600);
/// Up to so many hours every sample is shown, beyond one of each hour.
const WHOLE_HOURS: u64 = 24;

/// The query of the overview.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct OverviewQuery {
    /// How many hours of the fleet's presence are shown: 1 to 168, 24 when not said.
    pub hours: Option<OverviewHours>,
}

/// `GET /v1/overview`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<OverviewQuery>,
) -> Result<Reply<Overview>, Problem> {
    let now = app.clock.now();
    let hours = query.hours.map_or(WHOLE_HOURS, OverviewHours::get);
    let counted = reconcile::counted(&app).await?;
    let team = counted.teams.get(&actor.team_id).cloned().unwrap_or_default();
    let asked = attention::Asked::new(&app, &actor, now);
    let (team_id, longest) = (actor.team_id, team.clone());
    let from = now.minus(HOUR * u32::try_from(hours).unwrap_or(u32::MAX));
    let (attention, samples) =
        app.look(move |tx| Ok((asked.find(tx, &longest)?, tx.fleet_samples(team_id, from)?))).await?;
    let TeamCensus { hosts, presence, claims_open, jobs_open, jobs_failed_day, .. } = team;
    Ok(Reply::new(Overview {
        at: counted.at,
        hosts,
        presence,
        claims_open,
        jobs_open,
        jobs_failed_day,
        attention,
        presence_history: if hours > WHOLE_HOURS { one_an_hour(samples) } else { samples },
    }))
}

/// Returns the first sample of each hour.
fn one_an_hour(mut samples: Vec<PresenceSample>) -> Vec<PresenceSample> {
    let hour = |at: Timestamp| at.as_secs().div_euclid(HOUR.as_secs() as i64);
    samples.dedup_by_key(|sample| hour(sample.at));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_shown_by_its_first_sample() {
        let sample = |minute: i64| PresenceSample {
            at: Timestamp::from_millis(minute * 60_000),
            online: 1,
            unreachable: 0,
            offline: 0,
            never_seen: 0,
        };
        let shown = one_an_hour([55, 60, 65, 115, 130, 135].map(sample).to_vec());
        assert_eq!(shown, [55, 60, 130].map(sample));
    }
}
