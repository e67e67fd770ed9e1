//! What was seen of one host.

use std::time::Duration;

use axum::extract::State;
use muster_domain::presence_history::{Change, Noted, spans};
use muster_http::{Problem, Reply, StrictPath, StrictQuery};
use muster_ids::{HostId, TeamId, Timestamp};
use muster_store::rows::{HostRow, PresenceChange, VitalsRow};
use muster_store::{StoreError, Tx};
use muster_wire::overview::{HistoryDays, HostHistory, PresenceSpan, VitalsSample};
use muster_wire::settings::SettingName;
use schemars::JsonSchema;
use serde::Deserialize;

use super::HostPath;
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::host_view::part_of;
use crate::settings;

const DAY: Duration = Duration::from_secs(24 * 3600);
const DAYS: u64 = 7;
/// Most spans of one answer.
const SPANS: i64 = 1000;

/// The query of the history of a host.
#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
pub struct HistoryQuery {
    /// How many days are shown, as far as they are kept: 1 to 30, 7 when not said.
    pub days: Option<HistoryDays>,
}

/// `GET /v1/hosts/{host_id}/history`
pub async fn history(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<HostPath>,
    StrictQuery(query): StrictQuery<HistoryQuery>,
) -> Result<Reply<HostHistory>, Problem> {
    let now = app.clock.now();
    let days = query.days.map_or(DAYS, HistoryDays::get);
    let from = now.minus(DAY * u32::try_from(days).unwrap_or(u32::MAX));
    let (team_id, host_id) = (actor.team_id, path.host_id);
    let history = app.look(move |tx| read(tx, team_id, host_id, from, now)).await?;
    Ok(Reply::new(history.ok_or(Failure::NotFound)?))
}

fn read(
    tx: &mut Tx<'_>,
    team_id: TeamId,
    host_id: HostId,
    from: Timestamp,
    now: Timestamp,
) -> Result<Option<HostHistory>, StoreError> {
    let Some(host) = tx.host(team_id, host_id)? else { return Ok(None) };
    // What was before is not kept, and the oldest that is kept does not say since when it was so.
    let kept_from = settings::days_before(tx, SettingName::HistoryKeepDays, now)?;
    let from = from.max(host.created_at.min(now)).max(kept_from);
    let disk_gb = host.arrival.as_ref().map(|arrival| arrival.facts.disk_gb.get());
    let vitals = tx.vitals(host_id, from)?;
    Ok(Some(HostHistory {
        host_id,
        from,
        to: now,
        spans: read_spans(tx, &host, from)?,
        vitals: vitals.into_iter().map(|row| sample(&row, disk_gb)).collect(),
        facts: tx.fact_changes(host_id)?,
    }))
}

fn read_spans(tx: &mut Tx<'_>, host: &HostRow, from: Timestamp) -> Result<Vec<PresenceSpan>, StoreError> {
    let noted = tx.presence_noted(host.id)?;
    let noted = noted.map_or(Noted::NOTHING, |(status, at)| Noted { status, at: Some(at) });
    let newest = tx.presence_changes(host.id, from, SPANS)?;
    let of_row = |row: &PresenceChange| Change { at: row.at, was: row.was, status: row.status };
    let changes: Vec<Change> = newest.iter().rev().map(of_row).collect();
    let mut spans = spans(noted, &changes, from);
    if newest.len() as i64 == SPANS {
        // What was before the first of them is not known.
        spans.remove(0);
    }
    Ok(spans)
}

fn sample(row: &VitalsRow, disk_gb: Option<u64>) -> VitalsSample {
    VitalsSample {
        at: row.at(),
        load_percent: row.load_percent,
        disk_free_gb: row.disk_free_gb,
        disk_free_percent: part_of(row.disk_free_gb, disk_gb),
    }
}
