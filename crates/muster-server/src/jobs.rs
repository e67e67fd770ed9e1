//! Jobs: made by people, sent to the host's channel, ended by what its agent tells (DESIGN §7).
//!
//! What an agent tells counts only for the latest attempt, from the key it was sent to, while that key is active: each
//! function that records checks the key in its own transaction. The rules are in `muster_domain::job`.

mod log;

use std::collections::BTreeMap;

use muster_domain::job::{self, JobEvent, JobFacts, JobStep, Resumption, Speaker, step};
use muster_ids::{HostId, JobId, TeamId, Timestamp};
use muster_store::rows::{JobRow, LapsedJobRow};
use muster_store::{Lock, LockKey, StoreError};
use muster_wire::channel::{Attempt, Dispatch};
use muster_wire::happening::Happening;
use muster_wire::host::HostState;
use muster_wire::job::{CreateJob, JobEnd, JobState, Progress, Work};
use muster_wire::text::SecretName;
use serde_json::json;

use crate::auth::Agent;
use crate::failure::Failure;
use crate::unit::{Author, Fact, Unit};

pub use log::{MAX_LOG_BYTES, MAX_LOG_LINES};

pub use muster_domain::job::LEASE;

/// Most jobs of a host that have not ended.
const MAX_OPEN: i64 = 100;
const DEFAULT_TIME_LIMIT: u64 = 24 * 3600;

/// What an agent told of an attempt since the last time it was written down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Note {
    /// How far it is; the latest word wins.
    pub progress: Option<Progress>,
    /// Lines of its log, in order.
    pub lines: Vec<String>,
}

/// How an agent that connected stands with its attempts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settled {
    /// What it runs.
    pub running: Vec<Attempt>,
    /// What is sent to it again.
    pub again: Vec<Dispatch>,
}

/// Makes a job, which waits for its host and for the secret it needs to be there.
pub fn create(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    author: &Author,
    host_id: HostId,
    request: &CreateJob,
) -> Result<JobRow, Failure> {
    // Exclusive: open jobs are counted, and two who count at once would each find room for one more.
    unit.tx.lock(&[Lock::exclusive(LockKey::Host(host_id))])?;
    match unit.tx.host_state(team_id, host_id)?.ok_or(Failure::NotFound)? {
        HostState::Active => {}
        _ => return Err(Failure::conflict("host_not_active", "only an active host takes jobs")),
    }
    let secret = unit.tx.secret(team_id, "host", &host_id.to_string(), secret_of(&request.work).as_str())?;
    let secret = secret.ok_or_else(|| Failure::invalid("/work/secret", "unknown_secret"))?;
    if unit.tx.jobs_open(host_id, MAX_OPEN)?.len() as i64 >= MAX_OPEN {
        return Err(Failure::conflict("too_many_jobs", "the host has 100 jobs that have not ended"));
    }
    let time_limit = request.time_limit_secs.map_or(DEFAULT_TIME_LIMIT, muster_wire::bounds::Whole::get);
    let job = JobRow {
        id: JobId::from_uuid(unit.draw.uuid(unit.now)),
        team_id,
        host_id,
        work: request.work.clone(),
        state: JobState::Queued,
        attempt: 0,
        attempt_key: None,
        secret_version: secret.version,
        time_limit_secs: i64::try_from(time_limit).map_err(Failure::internal)?,
        progress: None,
        result: None,
        failure: None,
        late: false,
        log_lines: 0,
        log_bytes: 0,
        created_by: author.actor.clone(),
        created_at: unit.now,
        dispatched_at: None,
        started_at: None,
        renewed_at: None,
        finished_at: None,
    };
    unit.tx.job_insert(&job)?;
    let details = json!({ "host_id": host_id, "kind": job.work.kind() });
    let fact = Fact::new(Happening::JobCreated, team_id, author, job.id);
    unit.happened(fact.of_host(host_id).details(details));
    unit.effects.work_waiting.push(host_id);
    Ok(job)
}

const SENT: Failure = Failure::conflict(
    "job_was_sent",
    "the job was sent to its host, which may have begun it: it cannot be taken back",
);
const ENDED: Failure = Failure::conflict("job_has_ended", "the job has ended");

/// Takes back a job that waits.
pub fn cancel(
    unit: &mut Unit<'_, '_>,
    team_id: TeamId,
    author: &Author,
    id: JobId,
) -> Result<JobRow, Failure> {
    let job = unit.tx.job(team_id, id)?.ok_or(Failure::NotFound)?;
    match apply(unit, author, &job, JobEvent::TakenBack, None)? {
        JobStep::Goes { .. } => unit.tx.job(team_id, id)?.ok_or(Failure::NotFound),
        JobStep::Refused => Err(SENT),
        // The reply to the first request may have been lost.
        JobStep::Stays if job.state == JobState::Cancelled => Ok(job),
        JobStep::Stays => Err(ENDED),
    }
}

/// Ends the open jobs of hosts that are no more, in the transaction that retires them.
pub fn hosts_retired(unit: &mut Unit<'_, '_>, hosts: &[HostId]) -> Result<(), Failure> {
    loop {
        let open = unit.tx.hosts_jobs_open(hosts, MAX_OPEN)?;
        let ends = open.iter().flatten().map(|job| match step(job.state, JobEvent::HostRetired) {
            JobStep::Goes { to, late } => {
                Ok((moved(job, (to, late), JobEvent::HostRetired, None, unit.now), job.state))
            }
            _ => Err(Failure::internal("an open job does not end with its host")),
        });
        let ends = ends.collect::<Result<Vec<_>, _>>()?;
        record(unit, &Author::system(), &ends)?;
        if open.iter().all(|open| (open.len() as i64) < MAX_OPEN) {
            return Ok(());
        }
    }
}

/// Loses a job nobody heard of for as long as its lease lasts, unless somebody did meanwhile.
pub fn lapse(unit: &mut Unit<'_, '_>, lapsed: &LapsedJobRow) -> Result<(), Failure> {
    unit.tx.lock(&[Lock::shared(LockKey::Host(lapsed.host_id))])?;
    let job = unit.tx.job(lapsed.team_id, lapsed.id)?;
    let silent = job.filter(|job| job::has_lapsed(&facts(job), unit.now));
    if let Some(job) = silent {
        apply(unit, &Author::system(), &job, JobEvent::LeaseLapsed, None)?;
        // What waited behind it has room now.
        unit.effects.work_waiting.push(lapsed.host_id);
    }
    Ok(())
}

/// Sends queued jobs whose secret the agent has applied, up to what a host may have in hand.
pub fn dispatch(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    applied: &BTreeMap<SecretName, i64>,
) -> Result<Vec<Dispatch>, Failure> {
    agent.still_may(unit)?;
    let open = unit.tx.jobs_open(agent.host_id, MAX_OPEN)?;
    let in_hand = open.iter().filter(|job| job.state != JobState::Queued).count();
    let mut sent = Vec::new();
    for job in &open {
        let version = applied.get(secret_of(&job.work)).copied();
        if !job::may_send(&facts(job), version, in_hand + sent.len()) {
            continue;
        }
        if !unit.tx.job_dispatch(job, &agent.key, unit.now)? {
            return Err(StoreError::Conflict.into());
        }
        sent.push(frame(unit, &JobRow { attempt: job.attempt + 1, ..job.clone() })?);
    }
    Ok(sent)
}

/// Compares what a connecting agent says it runs with what was sent: what nobody began is sent again, under the same
/// number. What was sent to a former key is lost.
pub fn settle(unit: &mut Unit<'_, '_>, agent: &Agent, listed: &[Attempt]) -> Result<Settled, Failure> {
    agent.still_may(unit)?;
    let mut running = Vec::new();
    for attempt in listed {
        if let Standing::Latest(job) = standing(unit, agent, *attempt)? {
            apply(unit, &agent.author(), &job, JobEvent::Started, None)?;
            running.push(*attempt);
        }
    }
    unit.tx.jobs_renew(agent.host_id, &running, &agent.key, unit.now)?;
    let mut again = Vec::new();
    for job in unit.tx.jobs_open(agent.host_id, MAX_OPEN)? {
        let attempt = Attempt { job_id: job.id, attempt: job.attempt };
        match job::resume(&facts(&job), &agent.key, running.contains(&attempt)) {
            Resumption::Stays => {}
            Resumption::SendAgain => again.push(frame(unit, &job)?),
            Resumption::Lost => {
                apply(unit, &Author::system(), &job, JobEvent::LeaseLapsed, None)?;
            }
        }
    }
    Ok(Settled { running, again })
}

/// What was made of the end of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It is recorded, or was before, or is no longer asked for.
    Known,
    /// The server knows no such job: it was restored to a time before it. The agent must not tell of it for ever.
    Unknown,
}

/// Records that an attempt began. `false`: it is not its job's latest one any more.
pub fn started(unit: &mut Unit<'_, '_>, agent: &Agent, attempt: Attempt) -> Result<bool, Failure> {
    agent.still_may(unit)?;
    match standing(unit, agent, attempt)? {
        Standing::Latest(job) => {
            applied(apply(unit, &agent.author(), &job, JobEvent::Started, None)?)?;
            Ok(true)
        }
        Standing::Former | Standing::Unknown => Ok(false),
        Standing::Foreign => Err(Failure::ForeignJob),
    }
}

/// Records how an attempt ended, once: told again, nothing changes.
pub fn finished(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    attempt: Attempt,
    end: &JobEnd,
) -> Result<Finish, Failure> {
    agent.still_may(unit)?;
    match standing(unit, agent, attempt)? {
        Standing::Latest(job) => {
            let event = JobEvent::Ended(end.outcome);
            applied(apply(unit, &agent.author(), &job, event, Some(end))?)?;
            Ok(Finish::Known)
        }
        Standing::Former => Ok(Finish::Known),
        Standing::Unknown => Ok(Finish::Unknown),
        Standing::Foreign => Err(Failure::ForeignJob),
    }
}

/// Writes down progress and log lines of running attempts, and that these and `running` still run.
pub fn note(
    unit: &mut Unit<'_, '_>,
    agent: &Agent,
    notes: &BTreeMap<Attempt, Note>,
    running: &[Attempt],
) -> Result<(), Failure> {
    agent.still_may(unit)?;
    unit.tx.jobs_renew(agent.host_id, running, &agent.key, unit.now)?;
    for (attempt, note) in notes {
        let job = match standing(unit, agent, *attempt)? {
            Standing::Latest(job) => job,
            Standing::Former | Standing::Unknown => continue,
            Standing::Foreign => return Err(Failure::ForeignJob),
        };
        if job.state.has_ended() && job.state != JobState::Lost {
            continue;
        }
        if let Some(progress) = &note.progress {
            unit.tx.job_progress(agent.host_id, *attempt, &agent.key, progress, unit.now)?;
        }
        log::append(unit, &job, &note.lines)?;
    }
    Ok(())
}

/// What an attempt that an agent names is to the server.
enum Standing {
    /// The latest one of its job, given to this very key.
    Latest(Box<JobRow>),
    /// It was given to this host once; its end is known or no longer asked for.
    Former,
    /// There is no such job, of whichever host.
    Unknown,
    /// It was never given to this host.
    Foreign,
}

fn standing(unit: &mut Unit<'_, '_>, agent: &Agent, attempt: Attempt) -> Result<Standing, Failure> {
    let Some(job) = unit.tx.job(agent.team_id, attempt.job_id)? else {
        let is_foreign = unit.tx.job_exists(attempt.job_id)?;
        return Ok(if is_foreign { Standing::Foreign } else { Standing::Unknown });
    };
    let speaker = Speaker { host_id: agent.host_id, key: agent.key };
    Ok(match job::standing(&facts(&job), &speaker, attempt.attempt) {
        job::Standing::Latest => Standing::Latest(Box::new(job)),
        job::Standing::Former => Standing::Former,
        job::Standing::Foreign => Standing::Foreign,
    })
}

const fn facts(job: &JobRow) -> JobFacts {
    JobFacts {
        host_id: job.host_id,
        state: job.state,
        attempt: job.attempt,
        attempt_key: job.attempt_key,
        secret_version: job.secret_version,
        renewed_at: job.renewed_at,
    }
}

fn applied(step: JobStep) -> Result<(), Failure> {
    if step == JobStep::Refused { Err(Failure::ForeignJob) } else { Ok(()) }
}

fn apply(
    unit: &mut Unit<'_, '_>,
    author: &Author,
    job: &JobRow,
    event: JobEvent,
    end: Option<&JobEnd>,
) -> Result<JobStep, Failure> {
    let decided = step(job.state, event);
    let JobStep::Goes { to, late } = decided else { return Ok(decided) };
    let moved = moved(job, (to, late), event, end, unit.now);
    record(unit, author, &[(moved, job.state)])?;
    Ok(decided)
}

/// Returns a job as an event leaves it, which takes it there.
fn moved(
    job: &JobRow,
    (to, late): (JobState, bool),
    event: JobEvent,
    end: Option<&JobEnd>,
    now: Timestamp,
) -> JobRow {
    let mut moved = JobRow { state: to, late, ..job.clone() };
    if to.has_ended() {
        moved.finished_at = Some(now);
        moved.result = end.and_then(|end| end.result.clone());
        moved.failure = failure(to, event, end);
    } else {
        moved.started_at = job.started_at.or(Some(now));
        moved.renewed_at = Some(now);
        (moved.finished_at, moved.failure) = (None, None);
    }
    moved
}

/// Writes jobs down as they are now, each over the state it was read in, and tells of those that ended.
fn record(unit: &mut Unit<'_, '_>, author: &Author, moves: &[(JobRow, JobState)]) -> Result<(), Failure> {
    if unit.tx.jobs_move(moves)?.contains(&false) {
        return Err(StoreError::Conflict.into());
    }
    for (moved, _) in moves.iter().filter(|(moved, _)| moved.state.has_ended()) {
        ended(unit, author, moved);
    }
    Ok(())
}

fn failure(to: JobState, event: JobEvent, end: Option<&JobEnd>) -> Option<String> {
    let told = end.and_then(|end| end.failure.as_ref()).map(ToString::to_string);
    let said = match to {
        JobState::Failed => "the agent gave no reason: look at the job's log",
        JobState::Lost => "nobody knows how it ended: look at the host, then run it again",
        JobState::Cancelled if event == JobEvent::TakenBack => "a person took it back before it was sent",
        JobState::Cancelled => "its host was retired",
        _ => return None,
    };
    Some(told.unwrap_or_else(|| said.to_owned()))
}

fn ended(unit: &mut Unit<'_, '_>, author: &Author, job: &JobRow) {
    let what = match job.state {
        JobState::Succeeded => Happening::JobSucceeded,
        JobState::Failed => Happening::JobFailed,
        JobState::Cancelled => Happening::JobCancelled,
        _ => Happening::JobLost,
    };
    let details = json!({ "host_id": job.host_id, "attempt": job.attempt, "late": job.late });
    unit.happened(Fact::new(what, job.team_id, author, job.id).of_host(job.host_id).details(details));
}

fn frame(unit: &Unit<'_, '_>, job: &JobRow) -> Result<Dispatch, Failure> {
    Ok(Dispatch {
        attempt: Attempt { job_id: job.id, attempt: job.attempt },
        host_id: job.host_id,
        work: job.work.clone(),
        secret_version: u64::try_from(job.secret_version).map_err(Failure::internal)?,
        time_limit_secs: u64::try_from(job.time_limit_secs).map_err(Failure::internal)?,
        issued_at: Some(unit.now),
        expires_at: job::sent_until(unit.now),
    })
}

const fn secret_of(work: &Work) -> &SecretName {
    match work {
        Work::Backup(backup) => &backup.secret,
    }
}
