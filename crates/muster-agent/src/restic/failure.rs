//! Why restic did not do it, told apart across versions: newer ones have exit codes, 0.14 has only its words.

use std::time::Duration;

use muster_wire::job::JobResult;

use super::output::Said;
use super::repository::RepositoryRefused;

/// Why a backup failed. [`Failure::in_words`] is meant for the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Restic is not installed, or cannot be run.
    ResticMissing,
    /// The repository's URL or credentials are not acceptable.
    RepositoryRefused(RepositoryRefused),
    /// The repository's server did not answer, or not as one.
    RepositoryUnreachable {
        /// The URL without credentials.
        repository: String,
        /// What restic said.
        said: String,
    },
    /// The repository's server refused user name or password.
    RepositoryDenied {
        /// The URL without credentials.
        repository: String,
    },
    /// There is no repository, although there was or should be.
    RepositoryMissing {
        /// The URL without credentials.
        repository: String,
    },
    /// The password does not open the repository.
    WrongPassword {
        /// The URL without credentials.
        repository: String,
    },
    /// Someone else holds a lock that is not stale.
    RepositoryLocked {
        /// What restic said: who holds it.
        said: String,
    },
    /// Nothing that should be saved exists.
    PathMissing {
        /// The first one.
        path: String,
    },
    /// Nothing that should be saved could be read.
    SourceUnreadable {
        /// What restic said.
        said: String,
    },
    /// A snapshot was made, but it lacks something.
    Partial {
        /// The snapshot.
        result: JobResult,
        /// What is lacking first.
        said: String,
    },
    /// Restic was stopped or killed.
    Killed(Stopped),
    /// Anything else.
    Other {
        /// Restic's exit code, if it ran at all.
        exit: Option<i32>,
        /// What it said last.
        said: String,
    },
}

/// Who stopped restic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopped {
    /// The agent, because the job was cancelled.
    Cancelled,
    /// The agent, because the job took longer than this.
    TimeLimit(Duration),
    /// The agent, because nothing moved for this long.
    Quiet(Duration),
    /// Someone else, by this signal.
    Signal(i32),
}

impl Failure {
    /// Returns one line with cause and next step.
    pub fn in_words(&self) -> String {
        match self {
            Self::ResticMissing => {
                "restic is not installed on this machine, or cannot be run: run `apt install restic`, then start the \
                 job again"
                    .to_owned()
            }
            Self::RepositoryRefused(refused) => format!("the repository is refused: {refused}"),
            Self::RepositoryUnreachable { repository, said } => format!(
                "the repository {repository} cannot be reached ({said}): check that its server runs and that this \
                 machine can connect to it, then start the job again"
            ),
            Self::RepositoryDenied { repository } => format!(
                "the server of the repository {repository} refuses the user name or password: correct `user` and \
                 `http_password` of the secret, then start the job again"
            ),
            Self::RepositoryMissing { repository } => {
                format!("there is no repository at {repository}: check the URL of the secret, then start the job again")
            }
            Self::WrongPassword { repository } => format!(
                "the password does not open the repository {repository}: correct `password` of the secret, then start \
                 the job again"
            ),
            Self::RepositoryLocked { said } => format!(
                "the repository is in use by another restic ({said}): wait until it ends, or run `restic unlock` if it \
                 is gone"
            ),
            Self::PathMissing { path } => {
                format!("nothing to save: {path} does not exist on this machine: correct the paths of the job")
            }
            Self::SourceUnreadable { said } => format!(
                "nothing could be read ({said}): run the agent as a user who may read it, or correct the paths of the job"
            ),
            Self::Partial { result, said } => format!(
                "snapshot {} was made, but it is incomplete ({said}): see the log of the job for everything that is \
                 lacking",
                result.snapshot_id
            ),
            Self::Killed(stopped) => stopped.in_words(),
            Self::Other { exit: Some(exit), said } => format!("restic failed with exit code {exit} ({said})"),
            Self::Other { exit: None, said } => format!("restic could not be run ({said})"),
        }
    }

    /// Returns the snapshot of a partial backup.
    pub fn into_result(self) -> Option<JobResult> {
        match self {
            Self::Partial { result, .. } => Some(result),
            _ => None,
        }
    }
}

impl Stopped {
    fn in_words(self) -> String {
        match self {
            Self::Cancelled => {
                "the job was cancelled: restic was stopped, the next backup continues from there".to_owned()
            }
            Self::TimeLimit(limit) => format!(
                "the job took longer than {}: restic was stopped, the next backup continues from there",
                span(limit)
            ),
            Self::Quiet(limit) => format!(
                "restic made no progress for {} and was stopped: check the repository's server and the disks of this \
                 machine, then start the job again",
                span(limit)
            ),
            Self::Signal(signal) => format!(
                "restic was killed by signal {signal}{}: the next backup continues from there",
                if signal == 9 { ", perhaps because memory ran out" } else { "" }
            ),
        }
    }
}

fn span(limit: Duration) -> String {
    match limit.as_secs() {
        secs if secs >= 120 && secs.is_multiple_of(60) => format!("{} minutes", secs / 60),
        secs => format!("{secs} seconds"),
    }
}

/// How restic ended, before anyone judged it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It exited with a code.
    Code(i32),
    /// The agent stopped it.
    Stopped(Stopped),
}

/// Judges an end that is neither success nor a partial backup by its code, and by what was said where it has no code.
pub(super) fn judge(exit: Exit, said: &[Said], repository: &str) -> Failure {
    let repository = repository.to_owned();
    let code = match exit {
        Exit::Stopped(stopped) => return Failure::Killed(stopped),
        Exit::Code(code) => code,
    };
    let heard = |words: &[&str]| {
        let said_one = |line: &&Said| words.iter().any(|word| line.raw.contains(word));
        said.iter().find(said_one).map(|line| gist(&line.shown))
    };
    let unless_silent = |found: Option<String>| found.unwrap_or_else(|| last_words(said));
    match code {
        10 => return Failure::RepositoryMissing { repository },
        11 => return Failure::RepositoryLocked { said: unless_silent(heard(LOCKED)) },
        12 => return Failure::WrongPassword { repository },
        130 => return Failure::Killed(Stopped::Signal(2)),
        _ => {}
    }
    if heard(&["wrong password or no key found"]).is_some() {
        return Failure::WrongPassword { repository };
    }
    if let Some(said) = heard(LOCKED) {
        return Failure::RepositoryLocked { said };
    }
    if heard(DENIED).is_some() {
        return Failure::RepositoryDenied { repository };
    }
    if let Some(said) = heard(UNREACHABLE) {
        return Failure::RepositoryUnreachable { repository, said };
    }
    if heard(NO_REPOSITORY).is_some() && heard(ABSENT).is_some() {
        return Failure::RepositoryMissing { repository };
    }
    if let Some(said) =
        heard(&["all target directories/files do not exist", "all source directories/files do not exist"])
    {
        return Failure::PathMissing { path: said };
    }
    if let Some(said) = heard(&["snapshot is empty"]) {
        return Failure::SourceUnreadable { said };
    }
    Failure::Other { exit: Some(code), said: last_words(said) }
}

const LOCKED: &[&str] = &["is already locked", "unable to create lock in backend"];
const DENIED: &[&str] =
    &["HTTP response (401)", "HTTP response (403)", "401 Unauthorized", "403 Forbidden", "Access Denied"];
const UNREACHABLE: &[&str] = &[
    "connection refused",
    "connection reset",
    "no such host",
    "no route to host",
    "network is unreachable",
    "i/o timeout",
    "TLS handshake",
    "x509:",
    "tls:",
    "context deadline exceeded",
    "server misbehaving",
    "name resolution",
    "server gave HTTP response to HTTPS client",
    "malformed HTTP response",
    "unexpected EOF",
    ": EOF",
    "HTTP response (5",
];
const NO_REPOSITORY: &[&str] =
    &["Is there a repository at the following location?", "repository does not exist"];
/// Ways to say that the config file is absent; a config file that cannot be *read* is no reason to make a repository.
const ABSENT: &[&str] = &[
    "<config/> does not exist",
    "config: no such file or directory",
    "HTTP response (404)",
    "specified key does not exist",
    "repository does not exist",
    "NoSuchKey",
    "object doesn't exist",
    "BlobNotFound",
];

const MAX_SAID_CHARS: usize = 200;

/// Returns what is worth telling of a line: what stands after restic's own introduction.
fn gist(line: &str) -> String {
    line.trim_start_matches("Fatal: ").chars().take(MAX_SAID_CHARS).collect()
}

/// Returns the last line that restic calls fatal, or the last one.
fn last_words(said: &[Said]) -> String {
    let fatal = said.iter().rfind(|line| line.raw.starts_with("Fatal: "));
    fatal.or(said.last()).map_or_else(|| "it said nothing".to_owned(), |line| gist(&line.shown))
}
