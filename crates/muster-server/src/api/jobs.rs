//! `/v1/jobs`: work on hosts, how far it is, what came of it.

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::{HostId, JobId};
use muster_store::rows::{JobFilter, JobRow};
use muster_wire::bounds::{AnyOf, Whole};
use muster_wire::job::{CreateJob, Job, JobState, LogLine, WorkKind};
use muster_wire::page::{Page, PageLimit};
use schemars::JsonSchema;
use serde::Deserialize;

use super::hosts::HostPath;
use super::page::{limit, next_cursor, open_cursor, page};
use crate::app::App;
use crate::auth::{Actor, permits};
use crate::failure::Failure;
use crate::jobs;

const LIST: &str = "jobs";
const LOG: &str = "job_log";

/// The job of a path.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct JobPath {
    /// The job.
    pub job_id: JobId,
}

/// The query of the list of jobs.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct JobsQuery {
    /// Only jobs of this host.
    pub host_id: Option<HostId>,
    /// Only jobs in this state, or in one of these between commas: `failed,lost`.
    pub state: Option<AnyOf<JobState>>,
    /// Only jobs of this kind of work.
    pub kind: Option<WorkKind>,
    /// How many items.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// The query of a job's log.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
pub struct LogQuery {
    /// Only lines after this one: to follow a log that grows.
    pub after: Option<Whole<0, 1_000_000>>,
    /// How many lines.
    pub limit: Option<PageLimit>,
    /// Where to go on: `next_cursor` of the page before.
    pub cursor: Option<String>,
}

/// `POST /v1/hosts/{host_id}/jobs`
pub async fn create(
    State(app): State<App>,
    actor: Actor<permits::RunJobs>,
    StrictPath(path): StrictPath<HostPath>,
    StrictJson(request): StrictJson<CreateJob>,
) -> Result<Created<Job>, Problem> {
    let job = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            jobs::create(unit, actor.team_id, &actor.author(), path.host_id, &request)
        })
        .await?;
    Ok(Created::new(view(job)))
}

/// `POST /v1/jobs/{job_id}/cancel`: a job that waits; one that was sent goes on.
pub async fn cancel(
    State(app): State<App>,
    actor: Actor<permits::RunJobs>,
    StrictPath(path): StrictPath<JobPath>,
) -> Result<Reply<Job>, Problem> {
    let job = actor
        .change(&app, app.clock.now(), move |unit, actor| {
            jobs::cancel(unit, actor.team_id, &actor.author(), path.job_id)
        })
        .await?;
    Ok(Reply::new(view(job)))
}

/// `GET /v1/jobs`: newest first. A page may be short and then says where to go on.
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<JobsQuery>,
) -> Result<Reply<Page<Job>>, Problem> {
    let before = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let states = query.state.map(AnyOf::into_vec).unwrap_or_default();
    let filter = JobFilter { host_id: query.host_id, states, kind: query.kind, before };
    let (rows, looked_through) = app
        .look(move |tx| {
            let rows = tx.jobs(actor.team_id, &filter, limit + 1)?;
            let is_short = rows.len() as i64 <= limit;
            let through = if is_short { tx.jobs_looked_through(actor.team_id, &filter)? } else { None };
            Ok((rows, through))
        })
        .await?;
    let mut page = page(&app, actor.team_id, LIST, rows, limit, |row| row.id, view)?;
    if let Some(id) = looked_through {
        page.next_cursor = Some(next_cursor(&app, actor.team_id, LIST, &id)?);
    }
    Ok(Reply::new(page))
}

/// `GET /v1/jobs/{job_id}`
pub async fn get(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<JobPath>,
) -> Result<Reply<Job>, Problem> {
    let row = app.look(move |tx| tx.job(actor.team_id, path.job_id)).await?.ok_or(Failure::NotFound)?;
    Ok(Reply::new(view(row)))
}

/// `GET /v1/jobs/{job_id}/log`
pub async fn log(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictPath(path): StrictPath<JobPath>,
    StrictQuery(query): StrictQuery<LogQuery>,
) -> Result<Reply<Page<LogLine>>, Problem> {
    let list = format!("{LOG} {}", path.job_id);
    let cursor: Option<u64> = open_cursor(&app, actor.team_id, &list, query.cursor.as_deref())?;
    let after = cursor.or(query.after.map(Whole::get)).unwrap_or(0);
    let after = i64::try_from(after).unwrap_or(i64::MAX);
    let limit = limit(query.limit);
    let lines = app
        .look(move |tx| match tx.job(actor.team_id, path.job_id)? {
            Some(_) => tx.job_log(actor.team_id, path.job_id, after, limit + 1).map(Some),
            None => Ok(None),
        })
        .await?;
    let lines = lines.ok_or(Failure::NotFound)?;
    Ok(Reply::new(page(&app, actor.team_id, &list, lines, limit, |line| line.n, |line| line)?))
}

fn view(row: JobRow) -> Job {
    Job {
        id: row.id,
        host_id: row.host_id,
        state: row.state,
        work: row.work,
        attempt: row.attempt,
        progress: row.progress,
        result: row.result,
        failure: row.failure,
        late: row.late,
        created_at: row.created_at,
        started_at: row.started_at,
        finished_at: row.finished_at,
    }
}
