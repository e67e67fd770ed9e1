//! The census: counts the fleet of every team, notes who can be reached and who cannot any more, and keeps a sample of
//! that every five minutes.
//!
//! It reads the narrow table from end to end, so its pace follows the time that takes: it never costs more than a
//! thirtieth of one core. No heartbeat waits for it. Who asks for an overview waits for the first one, and for one of a
//! small fleet, which is counted when it is asked for.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use muster_domain::host_config::drifted_since;
use muster_domain::presence::{SignsOfLife, presence};
use muster_domain::presence_history::{Noted, is_unsure, note};
use muster_ids::{SecretId, TeamId, Timestamp};
use muster_store::rows::{CountedHost, LastSign, PresenceChange};
use muster_store::{Priority, Tx};
use muster_wire::host::{HostState, Presence};
use muster_wire::overview::PresenceCounts;
use tokio_util::sync::CancellationToken;

use super::run::{Pace, Step, run};
use crate::app::App;
use crate::census::{Counted, NotedAt, TeamCensus};
use crate::failure::Failure;
use crate::host_view::signs_of_life;
use crate::metrics::Reconciler;

const LOOK_EVERY: Duration = Duration::from_secs(1);
const COUNT_EVERY: Duration = Duration::from_secs(5);
/// Of the time a census takes so much goes by before the next.
const REST: u32 = 30;
/// A fleet that takes no longer is counted when somebody looks, but not again within so long.
const SOON: Duration = Duration::from_millis(10);
const FRESH_FOR: Duration = Duration::from_millis(250);
const PAGE: i64 = 1000;
const BATCH: usize = 250;
/// What was changed a moment ago is on its way.
const DRIFTED_FOR: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);
const SAMPLE_EVERY_MILLIS: i64 = 300_000;

/// Counts every few seconds until `shutdown`.
pub async fn census(app: App, shutdown: CancellationToken) {
    let step = async |app: App| {
        if is_due(&app) {
            // What is left out is found by the next census: a server that stops waits for no census.
            tokio::select! {
                counted = count(&app) => counted?,
                () = shutdown.cancelled() => {}
            }
        }
        Ok(Step::Done)
    };
    run(&app, Reconciler::Census, Pace { every: LOOK_EVERY, nudge: None }, &shutdown, step).await;
}

fn is_due(app: &App) -> bool {
    let Some((last, noted)) = app.census.last().zip(app.census.noted()) else { return true };
    let rest = COUNT_EVERY.max(last.took.saturating_mul(REST));
    app.clock.monotonic().saturating_sub(noted.done_at) >= rest
}

/// Counts everything once and notes what changed, unless somebody does just now: then it waits for them.
pub async fn count(app: &App) -> Result<(), Failure> {
    let waiting_since = app.clock.monotonic();
    let _alone = app.census.noting.lock().await;
    if app.census.noted().is_some_and(|noted| noted.began_at > waiting_since) {
        return Ok(());
    }
    let (counted, changes) = {
        let _alone = app.census.counting.lock().await;
        count_all(app).await?
    };
    for batch in changes.chunks(BATCH) {
        let batch = batch.to_vec();
        let written = app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.presence_note(&batch));
        written.await?;
    }
    keep_samples(app, counted.at, samples(&counted.teams)).await?;
    app.census.has_noted(NotedAt { began_at: counted.began_at, done_at: app.clock.monotonic() });
    Ok(())
}

/// Returns the last census, or one of this moment where that takes no time. The first one is waited for, but not what is
/// noted after it: of a fleet nothing was noted of yet that are many writes.
pub async fn counted(app: &App) -> Result<Arc<Counted>, Failure> {
    let good_enough = || {
        let last = app.census.last()?;
        let age = app.clock.monotonic().saturating_sub(last.done_at);
        (last.took > SOON || age < FRESH_FOR).then_some(last)
    };
    if let Some(last) = good_enough() {
        return Ok(last);
    }
    let _alone = app.census.counting.lock().await;
    match good_enough() {
        Some(last) => Ok(last),
        None => Ok(count_all(app).await?.0),
    }
}

/// Counts everything, page by page, and keeps that. Returns it with what is to be noted.
async fn count_all(app: &App) -> Result<(Arc<Counted>, Vec<PresenceChange>), Failure> {
    let (began_at, now) = (app.clock.monotonic(), app.clock.now());
    let (mut teams, changes) = count_hosts(app, now).await?;
    count_exposed(app, &mut teams).await?;
    count_work(app, now, &mut teams).await?;
    let done_at = app.clock.monotonic();
    let took = done_at.saturating_sub(began_at);
    let counted = Arc::new(Counted { at: now, began_at, done_at, took, teams });
    app.census.keep(Arc::clone(&counted));
    Ok((counted, changes))
}

type Teams = HashMap<TeamId, TeamCensus>;

async fn count_hosts(app: &App, now: Timestamp) -> Result<(Teams, Vec<PresenceChange>), Failure> {
    let (mut teams, mut changes, mut after) = (Teams::new(), Vec::new(), 0);
    loop {
        let rows = app.look(move |tx| tx.hosts_counted(after, PAGE)).await?;
        let Some(last) = rows.last() else { return Ok((teams, changes)) };
        after = last.seq;
        for row in rows {
            changes.extend(count_host(app, &mut teams, &row, now));
        }
    }
}

/// Counts a host, and returns what is to be noted of it.
fn count_host(app: &App, teams: &mut Teams, row: &CountedHost, now: Timestamp) -> Option<PresenceChange> {
    let team = teams.entry(row.team_id).or_default();
    team.count_state(row.state, row.held_at.is_some());
    let stored = LastSign { seen_at: row.seen_at, said_goodbye: row.said_goodbye };
    let signs = signs_of_life(app, row.host_id, Some(stored));
    let shown = presence(row.state, &signs, now);
    let noted = row.noted.map_or(Noted::NOTHING, |(status, at)| Noted { status, at: Some(at) });
    if row.state == HostState::Active {
        count_active(team, row, &signs, (shown, noted.status), now);
    }
    let (status, at) = note(noted, row.state, shown, &signs, now)?;
    Some(PresenceChange { host_id: row.host_id, at, was: noted.status, status })
}

fn count_active(
    team: &mut TeamCensus,
    row: &CountedHost,
    signs: &SignsOfLife,
    (shown, noted): (Presence, Presence),
    now: Timestamp,
) {
    team.presence.count(shown);
    team.sampled.count(if is_unsure(signs, now) { noted } else { shown });
    if shown == Presence::Unreachable {
        team.unreachable.count(signs.seen_at.unwrap_or(now), row.host_id, None);
    }
    let drifted = row.lacking.zip(row.enrolled_at);
    let drifted = drifted.and_then(|(lacking, enrolled_at)| drifted_since(&lacking, enrolled_at));
    if let Some(since) = drifted.filter(|since| now.since(*since) >= DRIFTED_FOR) {
        team.drifted.count(since, row.host_id, None);
    }
}

async fn count_exposed(app: &App, teams: &mut Teams) -> Result<(), Failure> {
    let mut after = SecretId::from_uuid(uuid::Uuid::nil());
    loop {
        let (exposed, last) = app.look(move |tx| tx.secrets_exposed(after, PAGE)).await?;
        for secret in exposed {
            let team = teams.entry(secret.team_id).or_default();
            team.exposed.count(secret.since, secret.host_id, Some(secret.name));
        }
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

async fn count_work(app: &App, now: Timestamp, teams: &mut Teams) -> Result<(), Failure> {
    let (claims, open, failed) = app
        .look(move |tx| {
            let failed = tx.jobs_failed_by_team(now.minus(DAY))?;
            Ok((tx.claims_open_by_team()?, tx.jobs_open_by_team()?, failed))
        })
        .await?;
    claims.into_iter().for_each(|(team_id, count)| teams.entry(team_id).or_default().claims_open = count);
    open.into_iter().for_each(|(team_id, count)| teams.entry(team_id).or_default().jobs_open = count);
    failed.into_iter().for_each(|(team_id, count)| teams.entry(team_id).or_default().jobs_failed_day = count);
    Ok(())
}

fn samples(teams: &Teams) -> Vec<(TeamId, PresenceCounts)> {
    let with_hosts = teams.iter().filter(|(_, team)| team.hosts.active > 0);
    with_hosts.map(|(team_id, team)| (*team_id, team.sampled)).collect()
}

/// Keeps what was counted under the last five-minute mark, once.
async fn keep_samples(
    app: &App,
    now: Timestamp,
    samples: Vec<(TeamId, PresenceCounts)>,
) -> Result<(), Failure> {
    let mark = Timestamp::from_millis(now.as_millis().div_euclid(SAMPLE_EVERY_MILLIS) * SAMPLE_EVERY_MILLIS);
    if app.census.sampled_at() == Some(mark) {
        return Ok(());
    }
    for batch in samples.chunks(BATCH) {
        let batch = batch.to_vec();
        let written =
            app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.fleet_samples_add(mark, &batch));
        written.await?;
    }
    app.census.sampled(mark);
    Ok(())
}
