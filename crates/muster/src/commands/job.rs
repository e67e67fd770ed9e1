use clap::{Args, Subcommand};
use muster_client::api::{Answer, JobFilter, collect};
use muster_ids::JobId;
use muster_wire::bounds::Whole;
use muster_wire::job::{BackupWork, CreateJob, Job as View, JobState, LogLine, Work, WorkKind};
use muster_wire::text::{AbsolutePath, SecretName, Tag};

use super::Most;
use crate::failure::Failure;
use crate::follow::follow;
use crate::input::{wire_text, wire_word};
use crate::lookup::id;
use crate::operator::Operator;
use crate::output::{record, visible};
use crate::span::Span;
use crate::words::{bytes, joined, moment, optional_moment, word, yes};

mod wait;

const EXAMPLES: &str = "\
Examples:
  muster job backup web-1 --path /etc --path /srv --wait
  muster job list --host web-1
  muster job log JOB --follow";

/// Jobs: work on hosts
#[derive(Debug, Subcommand)]
#[command(after_help = EXAMPLES)]
pub(crate) enum Job {
    /// Back up folders of a host with restic, to the repository of its secret
    #[command(
        after_help = "Examples:\n  muster job backup web-1 --path /etc\n  muster job backup web-1 --path /srv --tag nightly --wait --timeout 2h\n  muster job backup web-1 --path /srv -q"
    )]
    Backup(Backup),
    /// List jobs
    #[command(
        after_help = "Examples:\n  muster job list\n  muster job list --host web-1 --state failed,lost\n  muster job list --host web-1 --kind backup --state succeeded --limit 1"
    )]
    List {
        /// Only jobs of this host, by name or id
        #[arg(long, value_name = "HOST")]
        host: Option<String>,
        /// Only jobs in one of these states, between commas
        #[arg(long = "state", value_name = "STATE", value_delimiter = ',', value_parser = wire_word::<JobState>(&["queued", "dispatched", "running", "succeeded", "failed", "cancelled", "lost"]))]
        states: Vec<JobState>,
        /// Only jobs of this kind of work
        #[arg(long, value_name = "KIND", value_parser = wire_word::<WorkKind>(&["backup"]))]
        kind: Option<WorkKind>,
        #[command(flatten)]
        most: Most,
    },
    /// Show one job: state, progress, result or why it failed
    #[command(after_help = "Examples:\n  muster job show JOB\n  muster job show JOB --wait")]
    Show {
        /// The job's id
        job: String,
        #[command(flatten)]
        wait: Wait,
    },
    /// Cancel a job that waits; one that was sent to its host goes on
    #[command(after_help = "Examples:\n  muster job cancel JOB")]
    Cancel {
        /// The job's id
        job: String,
    },
    /// Write the log of a job
    #[command(after_help = "Examples:\n  muster job log JOB\n  muster job log JOB --follow")]
    Log {
        /// The job's id
        job: String,
        /// Go on with every new line until the job has ended
        #[arg(long, short)]
        follow: bool,
    },
}

/// What to save.
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The host, by name or id
    host: String,
    /// Folder or file to save, absolute; repeat for several
    #[arg(long = "path", value_name = "PATH", required = true, value_parser = wire_text::<AbsolutePath>)]
    paths: Vec<AbsolutePath>,
    /// Tag of the snapshot; repeat for several
    #[arg(long = "tag", value_name = "TAG", value_parser = wire_text::<Tag>)]
    tags: Vec<Tag>,
    /// Secret of the host that names the repository
    #[arg(long, value_name = "NAME", default_value = "repo", value_parser = wire_text::<SecretName>)]
    secret: SecretName,
    /// How long the work may take, at most 7d [default: 1d]
    #[arg(long, value_name = "TIME")]
    time_limit: Option<Span>,
    #[command(flatten)]
    wait: Wait,
}

/// Whether to wait for the end.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Wait {
    /// Wait until the job has ended; exit 1 unless it succeeded
    #[arg(long)]
    wait: bool,
    /// Stop waiting after this time and exit 4; the job goes on
    #[arg(long, value_name = "TIME", requires = "wait")]
    timeout: Option<Span>,
}

impl Job {
    pub(crate) async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let (client, output) = (&operator.client, operator.output);
        match self {
            Self::Backup(backup) => backup.run(operator).await,
            Self::List { host, states, kind, most } => {
                let host_id = match host {
                    Some(host) => Some(operator.host(&host).await?),
                    None => None,
                };
                let filter = JobFilter { host_id, states, kind };
                let jobs = collect(most.limit, async |page| client.jobs(&filter, &page).await).await?;
                let header = ["ID", "HOST", "KIND", "STATE", "MADE", "ENDED", "OUTCOME"];
                output.list(&jobs, |job| job.id.to_string(), &header, row, "no jobs")
            }
            Self::Show { job, wait } => {
                let job = client.job(id("job", &job)?).await?;
                finish(operator, job, wait).await
            }
            Self::Cancel { job } => {
                let job = client.cancel_job(id("job", &job)?).await?;
                output.show(&job, |job| job.id.to_string(), describe)
            }
            Self::Log { job, follow } => log(operator, id("job", &job)?, follow).await,
        }
    }
}

impl Backup {
    async fn run(self, operator: &Operator) -> Result<(), Failure> {
        let out_of_bounds = || Failure::usage("--time-limit is out of bounds", "choose from 1s to 7d");
        let limit = |span: Span| Whole::new(span.as_secs()).ok_or_else(out_of_bounds);
        let work = BackupWork {
            paths: self.paths.into_iter().collect(),
            tags: self.tags.into_iter().collect(),
            secret: self.secret,
        };
        let request =
            CreateJob { work: Work::Backup(work), time_limit_secs: self.time_limit.map(limit).transpose()? };
        let host_id = operator.host(&self.host).await?;
        let job = operator.client.create_job(host_id, &request).await?;
        let job_id = job.id;
        finish(operator, job, self.wait).await?;
        if !self.wait.wait {
            operator.output.hint(&format!("follow it with: muster job show {job_id} --wait"));
        }
        Ok(())
    }
}

async fn finish(operator: &Operator, job: Answer<View>, wait: Wait) -> Result<(), Failure> {
    let job = if wait.wait { wait::until_ended(operator, job, wait.timeout).await? } else { job };
    operator.output.show(&job, |job| job.id.to_string(), describe)?;
    if !wait.wait || job.state == JobState::Succeeded {
        return Ok(());
    }
    let why = job.failure.as_deref().map(|failure| format!(": {}", visible(failure))).unwrap_or_default();
    Err(Failure::failed(
        format!("the job ended as {}{why}", word(&job.state)),
        format!("muster job log {}", job.id),
    ))
}

async fn log(operator: &Operator, job_id: JobId, is_followed: bool) -> Result<(), Failure> {
    let (client, output) = (&operator.client, operator.output);
    let text = |line: &LogLine| visible(&line.text);
    if !is_followed && output.is_json() {
        let lines = collect(None, async |page| client.job_log(job_id, &page).await).await?;
        return output.documents(&lines);
    }
    let is_over = async || match is_followed {
        true => Ok(client.job(job_id).await?.state.has_ended()),
        false => Ok(true),
    };
    let read = async |page| client.job_log(job_id, &page).await;
    follow(read, |line| line.n, |line| output.show(line, text, text), is_over).await
}

fn outcome(job: &View) -> String {
    match (&job.result, &job.failure, &job.progress) {
        (Some(result), ..) => format!("snapshot {}, {} new", result.snapshot_id, bytes(result.bytes_added)),
        (None, Some(failure), _) => failure.clone(),
        (None, None, Some(progress)) if !job.state.has_ended() => format!("{} %", progress.percent.get()),
        _ => String::new(),
    }
}

fn row(job: &View) -> Vec<String> {
    vec![
        job.id.to_string(),
        job.host_id.to_string(),
        job.work.kind().to_owned(),
        word(&job.state),
        moment(job.created_at),
        optional_moment(job.finished_at),
        outcome(job),
    ]
}

fn describe(job: &View) -> String {
    let Work::Backup(backup) = &job.work;
    let result = job.result.as_ref();
    let of_result =
        |say: &dyn Fn(&muster_wire::job::JobResult) -> String| result.map(say).unwrap_or_default();
    let progress = job.progress.as_ref().filter(|_| !job.state.has_ended());
    let done = |p: &muster_wire::job::Progress| {
        format!("{} % ({} of {})", p.percent.get(), bytes(p.bytes_done), bytes(p.bytes_total))
    };
    record(&[
        ("Job", job.id.to_string()),
        ("Host", job.host_id.to_string()),
        ("Kind", job.work.kind().to_owned()),
        ("State", word(&job.state)),
        ("Paths", joined(backup.paths.iter())),
        ("Tags", joined(backup.tags.iter())),
        ("Secret", backup.secret.to_string()),
        ("Attempt", job.attempt.to_string()),
        ("Progress", progress.map(done).unwrap_or_default()),
        ("Snapshot", of_result(&|r| r.snapshot_id.to_string())),
        ("Read", of_result(&|r| format!("{} in {} files", bytes(r.bytes_processed), r.files))),
        ("New", of_result(&|r| bytes(r.bytes_added))),
        ("Failure", job.failure.clone().unwrap_or_default()),
        ("Known late", if job.late { yes(true) } else { String::new() }),
        ("Made", moment(job.created_at)),
        ("Started", optional_moment(job.started_at)),
        ("Ended", optional_moment(job.finished_at)),
    ])
}

#[cfg(test)]
mod tests;
