//! `/v1/jobs`: work on hosts, how far it is, what came of it.

use axum::extract::State;
use muster_http::{Created, Problem, Reply, StrictJson, StrictPath, StrictQuery};
use muster_ids::{HostId, JobId};
use muster_store::rows::{JobFilter, JobRow};
use muster_wire::bounds::Whole;
use muster_wire::job::{CreateJob, Job, JobState, LogLine};
use muster_wire::page::{Page, PageLimit};
use schemars::JsonSchema;
use serde::Deserialize;

use super::hosts::HostPath;
use super::page::{limit, open_cursor, page};
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
    /// Only jobs in this state.
    pub state: Option<JobState>,
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

/// `GET /v1/jobs`: newest first.
pub async fn list(
    State(app): State<App>,
    actor: Actor<permits::SeeFleet>,
    StrictQuery(query): StrictQuery<JobsQuery>,
) -> Result<Reply<Page<Job>>, Problem> {
    let before = open_cursor(&app, actor.team_id, LIST, query.cursor.as_deref())?;
    let limit = limit(query.limit);
    let filter = JobFilter { host_id: query.host_id, state: query.state, before };
    let rows = app.look(move |tx| tx.jobs(actor.team_id, &filter, limit + 1)).await?;
    Ok(Reply::new(page(&app, actor.team_id, LIST, rows, limit, |row| row.id, view)?))
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
