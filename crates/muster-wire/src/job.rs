//! Jobs: one piece of work on one host.

use muster_ids::{HostId, JobId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, Whole, at_least_one};
use crate::object::{object, optional_object};
use crate::text::{AbsolutePath, Line, SecretName, Tag};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its host, or for the host to have the secret it needs.
    Queued,
    /// It was sent.
    Dispatched,
    /// The agent said it runs.
    Running,
    /// It did what it should.
    Succeeded,
    /// It did not; `failure` says why.
    Failed,
    /// A person stopped it.
    Cancelled,
    /// Nobody knows how it ended.
    Lost,
}

impl JobState {
    /// Whether the job has ended.
    pub const fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled | Self::Lost)
    }
}

/// What kind of work a job is: the `kind` of its `work`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkKind {
    /// A backup with restic.
    Backup,
}

impl WorkKind {
    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Backup => "backup",
        }
    }
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Work {
    /// Backs up paths with restic to the repository of a secret.
    Backup(BackupWork),
}

impl Work {
    /// The word a local policy allows or denies.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Backup(_) => WorkKind::Backup.as_str(),
        }
    }
}

/// What a backup saves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupWork {
    /// The folders and files to save; at least one.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(extend("minItems" = 1))]
    pub paths: Few<AbsolutePath, 64>,
    /// Tags of the snapshot.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tags: Few<Tag, 16>,
    /// The secret that names the repository; `repo` when not said.
    #[serde(default = "default_secret")]
    pub secret: SecretName,
}

fn default_secret() -> SecretName {
    SecretName::parse("repo").expect("`repo` is a good name")
}

/// `POST /v1/hosts/{host_id}/jobs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateJob {
    /// What to do.
    #[serde(deserialize_with = "object")]
    pub work: Work,
    /// Seconds the work may take; a day when not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit_secs: Option<Whole<1, 604_800>>,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Names it.
    pub id: JobId,
    /// The host it runs on.
    pub host_id: HostId,
    /// Where it stands.
    pub state: JobState,
    /// What it does.
    pub work: Work,
    /// Counts its dispatches; 0 before the first.
    pub attempt: u32,
    /// How far it is.
    pub progress: Option<Progress>,
    /// What came of it.
    pub result: Option<JobResult>,
    /// Why it failed: one line with cause and next step.
    pub failure: Option<String>,
    /// Whether its end became known only after it was lost.
    pub late: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When the agent began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Done, in percent.
    pub percent: Whole<0, 100>,
    /// Bytes done.
    pub bytes_done: u64,
    /// Bytes in all, as far as known.
    pub bytes_total: u64,
}

/// What came of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobResult {
    /// The snapshot, as restic names it.
    pub snapshot_id: Line<64>,
    /// Bytes that were read.
    pub bytes_processed: u64,
    /// Bytes that were new to the repository.
    pub bytes_added: u64,
    /// Files that were read.
    pub files: u64,
}

/// How one attempt of a job ended, as the agent tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobEnd {
    /// The word for it.
    pub outcome: JobOutcome,
    /// What came of it.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    pub result: Option<JobResult>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Line<512>>,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// It did what it should.
    Succeeded,
    /// It did not.
    Failed,
    /// The agent was gone while it ran.
    Lost,
}

/// A line of a job's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Counts the lines of the job, from 1.
    pub n: u64,
    /// When the server received it.
    pub at: Timestamp,
    /// The text, without control characters.
    pub text: String,
}
