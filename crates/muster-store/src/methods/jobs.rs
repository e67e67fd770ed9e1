//! Jobs and their logs.

use muster_ids::{HostId, JobId, KeyName, TeamId, Timestamp};
use muster_wire::channel::Attempt;
use muster_wire::job::{JobResult, JobState, LogLine, Progress, Work, WorkKind};
use uuid::Uuid;

use crate::words::{Word, between_spaces};
use crate::{Json, Row, StoreError, Tx, params};

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRow {
    /// Names it.
    pub id: JobId,
    /// Its team.
    pub team_id: TeamId,
    /// The host it runs on.
    pub host_id: HostId,
    /// What it does.
    pub work: Work,
    /// Where it stands.
    pub state: JobState,
    /// Counts its dispatches.
    pub attempt: u32,
    /// The key the latest attempt was sent to.
    pub attempt_key: Option<KeyName>,
    /// The version of its secret that it needs.
    pub secret_version: i64,
    /// Seconds it may take.
    pub time_limit_secs: i64,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What came of it.
    pub result: Option<JobResult>,
    /// Why it failed.
    pub failure: Option<String>,
    /// Whether its end became known only after it was lost.
    pub late: bool,
    /// Lines of its log; more than may be when the log was cut.
    pub log_lines: i64,
    /// Bytes of its log.
    pub log_bytes: i64,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last sent.
    pub dispatched_at: Option<Timestamp>,
    /// When the agent began.
    pub started_at: Option<Timestamp>,
    /// When the agent last said that it runs.
    pub renewed_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A job nobody heard of for as long as its lease lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LapsedJobRow {
    /// The job.
    pub id: JobId,
    /// Its team.
    pub team_id: TeamId,
    /// Its host.
    pub host_id: HostId,
}

/// Most jobs that are looked at for one page, whatever is sorted out of them.
pub const JOBS_LOOKED_AT: i64 = 1000;

/// What a page of jobs is narrowed to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JobFilter {
    /// Only jobs of this host.
    pub host_id: Option<HostId>,
    /// Only jobs in one of these states; none: in any.
    pub states: Vec<JobState>,
    /// Only jobs of this kind of work.
    pub kind: Option<WorkKind>,
    /// Only jobs older than this one.
    pub before: Option<JobId>,
}

impl JobFilter {
    /// Whether jobs that come by their host or their turn are sorted out by something else.
    fn sorts_out(&self) -> bool {
        !self.states.is_empty() || self.kind.is_some()
    }

    fn before(&self) -> JobId {
        self.before.unwrap_or(JobId::from_uuid(Uuid::max()))
    }

    /// How the stored work begins: its kind comes first.
    fn begins(&self) -> Option<String> {
        self.kind.map(|kind| format!("{{\"kind\":\"{}\"", kind.as_str()))
    }
}

impl Tx<'_> {
    /// Stores a job.
    pub fn job_insert(&mut self, job: &JobRow) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO job (id, team_id, host_id, work, state, attempt, secret_version, time_limit_secs, late,
                              log_lines, log_bytes, created_by, created_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 0, $10, $11)",
            params![
                job.id, job.team_id, job.host_id, Json(&job.work), Word(job.state), i64::from(job.attempt),
                job.secret_version, job.time_limit_secs, job.late, job.created_by, job.created_at
            ],
        )?;
        Ok(())
    }

    /// Returns a job of a team.
    pub fn job(&mut self, team_id: TeamId, id: JobId) -> Result<Option<JobRow>, StoreError> {
        self.query_opt(
            "SELECT id, team_id, host_id, work, state, attempt, attempt_key, secret_version, time_limit_secs,
                    progress, result, failure, late, log_lines, log_bytes, created_by, created_at, dispatched_at,
                    started_at, renewed_at, finished_at
               FROM job WHERE team_id = $1 AND id = $2",
            params![team_id, id],
            read_job,
        )
    }

    /// Whether a job of any team has this id.
    pub fn job_exists(&mut self, id: JobId) -> Result<bool, StoreError> {
        let found =
            self.query_opt("SELECT 1 FROM job WHERE id = $1", params![id], |row| row.get::<i64>(0))?;
        Ok(found.is_some())
    }

    /// Returns jobs of a team, newest first: of the first [`JOBS_LOOKED_AT`] that come by host, else at all, those that
    /// the rest of the filter lets through.
    ///
    /// Fewer than `limit`: [`Tx::jobs_looked_through`] says whether there may be more.
    pub fn jobs(
        &mut self,
        team_id: TeamId,
        filter: &JobFilter,
        limit: i64,
    ) -> Result<Vec<JobRow>, StoreError> {
        let window = if filter.sorts_out() { JOBS_LOOKED_AT } else { limit };
        let (before, words, begins) = (filter.before(), between_spaces(&filter.states), filter.begins());
        match filter.host_id {
            // By its host alone: a planner must not come to think that the jobs of the team are as good an order.
            Some(host_id) => self.query(
                "SELECT id, team_id, host_id, work, state, attempt, attempt_key, secret_version, time_limit_secs,
                        progress, result, failure, late, log_lines, log_bytes, created_by, created_at, dispatched_at,
                        started_at, renewed_at, finished_at
                   FROM (SELECT * FROM job WHERE host_id = $7 AND id < $2 ORDER BY id DESC LIMIT $3) AS candidate
                  WHERE team_id = $1
                    AND (CAST($4 AS TEXT) IS NULL OR replace($4, ' ' || state || ' ', '') <> $4)
                    AND (CAST($5 AS TEXT) IS NULL OR substr(work, 1, length($5)) = $5)
                  ORDER BY id DESC LIMIT $6",
                params![team_id, before, window, words, begins, limit, host_id],
                read_job,
            ),
            None => self.query(
                "SELECT id, team_id, host_id, work, state, attempt, attempt_key, secret_version, time_limit_secs,
                        progress, result, failure, late, log_lines, log_bytes, created_by, created_at, dispatched_at,
                        started_at, renewed_at, finished_at
                   FROM (SELECT * FROM job WHERE team_id = $1 AND id < $2 ORDER BY id DESC LIMIT $3) AS candidate
                  WHERE (CAST($4 AS TEXT) IS NULL OR replace($4, ' ' || state || ' ', '') <> $4)
                    AND (CAST($5 AS TEXT) IS NULL OR substr(work, 1, length($5)) = $5)
                  ORDER BY id DESC LIMIT $6",
                params![team_id, before, window, words, begins, limit],
                read_job,
            ),
        }
    }

    /// Returns the last job that [`Tx::jobs`] looked at with this filter. `None`: it looked at all of them.
    pub fn jobs_looked_through(
        &mut self,
        team_id: TeamId,
        filter: &JobFilter,
    ) -> Result<Option<JobId>, StoreError> {
        if !filter.sorts_out() {
            return Ok(None);
        }
        let (before, before_last) = (filter.before(), JOBS_LOOKED_AT - 1);
        let id = |row: &Row<'_>| row.get(0);
        match filter.host_id {
            Some(host_id) => self.query_opt(
                "SELECT id FROM (SELECT id, team_id FROM job WHERE host_id = $4 AND id < $2
                                  ORDER BY id DESC LIMIT 1 OFFSET $3) AS candidate
                  WHERE team_id = $1",
                params![team_id, before, before_last, host_id],
                id,
            ),
            None => self.query_opt(
                "SELECT id FROM job WHERE team_id = $1 AND id < $2 ORDER BY id DESC LIMIT 1 OFFSET $3",
                params![team_id, before, before_last],
                id,
            ),
        }
    }

    /// Returns the jobs of a host that have not ended, oldest first.
    pub fn jobs_open(&mut self, host_id: HostId, limit: i64) -> Result<Vec<JobRow>, StoreError> {
        Ok(self.hosts_jobs_open(&[host_id], limit)?.pop().unwrap_or_default())
    }

    /// Returns the jobs of each of these hosts that have not ended, oldest first, at most `limit` of each.
    pub fn hosts_jobs_open(&mut self, hosts: &[HostId], limit: i64) -> Result<Vec<Vec<JobRow>>, StoreError> {
        self.query_each(
            "SELECT id, team_id, host_id, work, state, attempt, attempt_key, secret_version, time_limit_secs,
                    progress, result, failure, late, log_lines, log_bytes, created_by, created_at, dispatched_at,
                    started_at, renewed_at, finished_at
               FROM job WHERE host_id = $1 AND state IN ('queued', 'dispatched', 'running')
              ORDER BY id LIMIT $2",
            &hosts.iter().map(|host_id| params![host_id, limit].to_vec()).collect::<Vec<_>>(),
            read_job,
        )
    }

    /// Returns sent and running jobs nobody heard of since `before`, by id: what is wrong with one stays its own.
    pub fn jobs_unrenewed(&mut self, before: Timestamp, limit: i64) -> Result<Vec<LapsedJobRow>, StoreError> {
        self.query(
            "SELECT id, team_id, host_id FROM job
              WHERE state IN ('dispatched', 'running') AND renewed_at < $1
              ORDER BY renewed_at LIMIT $2",
            params![before, limit],
            |row| Ok(LapsedJobRow { id: row.get(0)?, team_id: row.get(1)?, host_id: row.get(2)? }),
        )
    }

    /// Whether somebody was heard of a sent or running job after `now`: by a clock that was set back since.
    pub fn jobs_renewed_after(&mut self, now: Timestamp) -> Result<bool, StoreError> {
        let found = self.query_opt(
            "SELECT 1 FROM job WHERE state IN ('dispatched', 'running') AND renewed_at > $1 LIMIT 1",
            params![now],
            |row| row.get::<i64>(0),
        )?;
        Ok(found.is_some())
    }

    /// Says of sent and running jobs that were heard of after `now` that they were heard of now. Returns how many.
    pub fn jobs_clamp(&mut self, now: Timestamp, limit: i64) -> Result<u64, StoreError> {
        self.execute(
            "UPDATE job SET renewed_at = $1
              WHERE id IN (SELECT id FROM job WHERE state IN ('dispatched', 'running') AND renewed_at > $1
                            ORDER BY id LIMIT $2)",
            params![now, limit],
        )
    }

    /// Sends a queued job: its next attempt belongs to `key`. `false`: it is no longer queued.
    pub fn job_dispatch(&mut self, job: &JobRow, key: &KeyName, now: Timestamp) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE job SET state = 'dispatched', attempt = attempt + 1, attempt_key = $1, dispatched_at = $2,
                    renewed_at = $2
              WHERE team_id = $3 AND id = $4 AND state = 'queued' AND attempt = $5",
            params![key, now, job.team_id, job.id, i64::from(job.attempt)],
        )?;
        Ok(changed == 1)
    }

    /// Moves a job to the state, result and times of `job`. `false`: it is no longer as it was read.
    pub fn job_move(&mut self, job: &JobRow, from: JobState) -> Result<bool, StoreError> {
        Ok(self.jobs_move(&[(job.clone(), from)])? == [true])
    }

    /// Moves jobs, as [`Tx::job_move`] does one.
    pub fn jobs_move(&mut self, moves: &[(JobRow, JobState)]) -> Result<Vec<bool>, StoreError> {
        let moved = |(job, from): &(JobRow, JobState)| {
            let values: &[_] = params![
                Word(job.state),
                job.result.as_ref().map(Json),
                job.failure,
                job.late,
                job.started_at,
                job.renewed_at,
                job.finished_at,
                job.team_id,
                job.id,
                Word(*from),
                i64::from(job.attempt)
            ];
            values.to_vec()
        };
        let changed = self.execute_each(
            "UPDATE job SET state = $1, result = $2, failure = $3, late = $4, started_at = $5, renewed_at = $6,
                    finished_at = $7
              WHERE team_id = $8 AND id = $9 AND state = $10 AND attempt = $11",
            &moves.iter().map(moved).collect::<Vec<_>>(),
        )?;
        Ok(changed.into_iter().map(|rows| rows == 1).collect())
    }

    /// Records how far the running attempt of a key is. `false`: it is not running any more.
    pub fn job_progress(
        &mut self,
        host_id: HostId,
        attempt: Attempt,
        key: &KeyName,
        progress: &Progress,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE job SET progress = $1, renewed_at = $2
              WHERE host_id = $3 AND id = $4 AND attempt = $5 AND attempt_key = $6 AND state = 'running'",
            params![Json(progress), now, host_id, attempt.job_id, i64::from(attempt.attempt), key],
        )?;
        Ok(changed == 1)
    }

    /// Records that attempts of a key still run. Returns how many do.
    pub fn jobs_renew(
        &mut self,
        host_id: HostId,
        attempts: &[Attempt],
        key: &KeyName,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut renewed = 0;
        for attempt in attempts {
            renewed += self.execute(
                "UPDATE job SET renewed_at = $1
                  WHERE host_id = $2 AND id = $3 AND attempt = $4 AND attempt_key = $5
                    AND state IN ('dispatched', 'running')",
                params![now, host_id, attempt.job_id, i64::from(attempt.attempt), key],
            )?;
        }
        Ok(renewed)
    }

    /// Takes room in the log of a job. `false`: it is no longer as it was read.
    pub fn job_log_take(&mut self, job: &JobRow, lines: i64, bytes: i64) -> Result<bool, StoreError> {
        let changed = self.execute(
            "UPDATE job SET log_lines = $1, log_bytes = $2 WHERE team_id = $3 AND id = $4 AND log_lines = $5",
            params![lines, bytes, job.team_id, job.id, job.log_lines],
        )?;
        Ok(changed == 1)
    }

    /// Writes a line of a job's log.
    pub fn job_log_insert(&mut self, id: JobId, n: i64, at: Timestamp, line: &str) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO job_log (job_id, n, at, line) VALUES ($1, $2, $3, $4)",
            params![id, n, at, line],
        )?;
        Ok(())
    }

    /// Returns lines of the log of a team's job, after line `after`.
    pub fn job_log(
        &mut self,
        team_id: TeamId,
        id: JobId,
        after: i64,
        limit: i64,
    ) -> Result<Vec<LogLine>, StoreError> {
        self.query(
            "SELECT job_log.n, job_log.at, job_log.line FROM job_log JOIN job ON job.id = job_log.job_id
              WHERE job.team_id = $1 AND job_log.job_id = $2 AND job_log.n > $3 ORDER BY job_log.n LIMIT $4",
            params![team_id, id, after, limit],
            |row| Ok(LogLine { n: row.get(0)?, at: row.get(1)?, text: row.get(2)? }),
        )
    }
}

fn read_job(row: &Row<'_>) -> Result<JobRow, StoreError> {
    let attempt = row.get::<i64>(5)?;
    Ok(JobRow {
        id: row.get(0)?,
        team_id: row.get(1)?,
        host_id: row.get(2)?,
        work: row.get::<Json<Work>>(3)?.0,
        state: row.get::<Word<JobState>>(4)?.0,
        attempt: u32::try_from(attempt).map_err(|_| StoreError::corrupt("an attempt out of range"))?,
        attempt_key: row.get(6)?,
        secret_version: row.get(7)?,
        time_limit_secs: row.get(8)?,
        progress: row.get::<Option<Json<Progress>>>(9)?.map(|json| json.0),
        result: row.get::<Option<Json<JobResult>>>(10)?.map(|json| json.0),
        failure: row.get(11)?,
        late: row.get(12)?,
        log_lines: row.get(13)?,
        log_bytes: row.get(14)?,
        created_by: row.get(15)?,
        created_at: row.get(16)?,
        dispatched_at: row.get(17)?,
        started_at: row.get(18)?,
        renewed_at: row.get(19)?,
        finished_at: row.get(20)?,
    })
}
