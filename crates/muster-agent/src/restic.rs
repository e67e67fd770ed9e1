//! Drives the real restic (0.14 and later).
//!
//! Repository and passwords reach restic through inherited file descriptors alone: never its command line, its
//! environment or a file. Restic dies with the agent. What restic prints is untrusted and may quote a URL: every line
//! is scrubbed and bounded before it leaves this module.

mod backup;
mod failure;
mod output;
mod process;
mod repository;
mod scrub;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::time::Duration;

use muster_wire::job::{JobEnd, JobOutcome, JobResult, Progress};

pub use failure::{Failure, Stopped};
pub use output::{Overheard, overhear};
pub use repository::{Repository, RepositoryRefused};

use crate::visible;

/// The restic of this machine.
#[derive(Debug, Clone)]
pub struct Restic {
    /// The program: a path, or a name to look up in `PATH`.
    pub program: PathBuf,
    /// Where restic keeps its cache; made if missing.
    pub cache: PathBuf,
    /// How long it may take.
    pub limits: Limits,
}

/// How long restic may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// All of a job.
    pub job: Duration,
    /// Without progress, before restic counts as hung.
    pub quiet: Duration,
    /// A first answer of the repository.
    pub answer: Duration,
    /// From being asked to stop to being killed.
    pub grace: Duration,
}

impl Default for Limits {
    /// A day for a job, 30 minutes without progress, 2 minutes for an answer, 10 seconds to stop.
    fn default() -> Self {
        Self {
            job: Duration::from_secs(24 * 3600),
            quiet: Duration::from_secs(30 * 60),
            answer: Duration::from_secs(120),
            grace: Duration::from_secs(10),
        }
    }
}

/// What happens while restic works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResticEvent {
    /// How far it is; sent when there is room, a later one replaces it.
    Progress(Progress),
    /// A line for the log: scrubbed, visible, at most [`MAX_LOG_LINE_BYTES`].
    Log(String),
    /// What it reported at its end.
    Summary(JobResult),
}

/// The longest line of a log, in bytes.
pub const MAX_LOG_LINE_BYTES: usize = 4096;

/// Puts the outcome of a backup into the words of the wire; a partial backup failed, with a result.
pub fn job_end(outcome: Result<JobResult, Failure>) -> JobEnd {
    match outcome {
        Ok(result) => JobEnd { outcome: JobOutcome::Succeeded, result: Some(result), failure: None },
        Err(failure) => JobEnd {
            outcome: JobOutcome::Failed,
            failure: visible::line(&failure.in_words()),
            result: failure.into_result(),
        },
    }
}
