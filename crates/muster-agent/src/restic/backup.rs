//! The course of a backup: repository, snapshot, and one way out of a stale lock.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;

use muster_ids::HostId;
use muster_wire::job::{BackupWork, JobResult};
use muster_wire::text::AbsolutePath;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::failure::{Exit, Failure, Stopped, judge};
use super::output::{Heard, Listener, Said, tell};
use super::process::{Bounds, run};
use super::repository::Repository;
use super::scrub::Scrub;
use super::{Restic, ResticEvent};

const CACHE_MODE: u32 = 0o700;
const PARTIAL: i32 = 3;
/// What restic says when another host made the repository a moment earlier.
const MADE_ALREADY: &[&str] = &["config file already exists", "already initialized"];

/// One backup under way.
struct Course<'a> {
    restic: &'a Restic,
    repository: &'a Repository,
    scrub: Scrub,
    events: &'a mpsc::Sender<ResticEvent>,
    bounds: Bounds,
}

struct Ended {
    exit: Exit,
    heard: Heard,
}

impl Restic {
    /// Returns restic's version, for example `0.14.0`.
    ///
    /// Like [`Restic::backup`], call it from the agent's main thread: restic dies with the thread that starts it.
    pub async fn version(&self) -> Result<String, Failure> {
        let scrub = Scrub::nothing();
        let mut listener = Listener::new(&scrub, None);
        let limit = self.limits.answer;
        let bounds = Bounds {
            deadline: (Instant::now() + limit, limit),
            quiet: limit,
            cancel: CancellationToken::new(),
        };
        let exit = run(self, None, &["version".to_owned()], &bounds, &mut listener).await?;
        let said = listener.heard().said;
        let version = said.iter().find_map(|line| line.raw.strip_prefix("restic ")?.split(' ').next());
        match (exit, version) {
            (Exit::Code(0), Some(version)) => Ok(version.to_owned()),
            _ => Err(judge(exit, &said, "")),
        }
    }

    /// Backs up `work` to `repository`, which is made if missing, as a snapshot of `host`.
    ///
    /// Cancelling `cancel` stops restic so that it removes its lock; dropping the future kills it.
    pub async fn backup(
        &self,
        repository: &Repository,
        host: HostId,
        work: &BackupWork,
        events: &mpsc::Sender<ResticEvent>,
        cancel: &CancellationToken,
    ) -> Result<JobResult, Failure> {
        let limits = self.limits;
        let bounds = Bounds {
            deadline: (Instant::now() + limits.job, limits.job),
            quiet: limits.quiet,
            cancel: cancel.clone(),
        };
        let scrub = Scrub::of(repository);
        let course = Course { restic: self, repository, scrub, events, bounds };
        let (present, missing) = sorted_by_presence(work).await?;
        make_cache(self)
            .map_err(|cause| Failure::Other { exit: None, said: format!("its cache: {cause}") })?;
        for path in &missing {
            course.log(&format!("{path} does not exist")).await;
        }
        course.open_repository().await?;
        course.snapshot(&backup_arguments(host, work, &present), missing.first().copied()).await
    }
}

impl Course<'_> {
    /// Makes sure that the repository is there and opens with the password.
    async fn open_repository(&self) -> Result<(), Failure> {
        match self.probe().await {
            Err(Failure::RepositoryMissing { .. }) => {}
            outcome => return outcome,
        }
        let init = self.quick(&["init"]).await?;
        let made_already =
            || init.heard.said.iter().any(|line| MADE_ALREADY.iter().any(|words| line.raw.contains(words)));
        match init.exit {
            Exit::Code(0) => self.log(&format!("made a new repository at {}", self.repository.shown())).await,
            _ if made_already() => {}
            exit => return Err(self.judged_first_answer(exit, &init.heard.said)),
        }
        self.probe().await
    }

    async fn probe(&self) -> Result<(), Failure> {
        let probe = self.quick(&["cat", "config", "--no-lock"]).await?;
        match probe.exit {
            Exit::Code(0) => Ok(()),
            exit => Err(self.judged_first_answer(exit, &probe.heard.said)),
        }
    }

    /// A repository that does not answer is out of reach, however restic puts it.
    fn judged_first_answer(&self, exit: Exit, said: &[Said]) -> Failure {
        let repository = self.repository.shown();
        let waited = match exit {
            Exit::Stopped(Stopped::Quiet(waited) | Stopped::TimeLimit(waited)) => waited,
            exit => return judge(exit, said, repository),
        };
        match judge(Exit::Code(1), said, repository) {
            unreachable @ Failure::RepositoryUnreachable { .. } => unreachable,
            _ => Failure::RepositoryUnreachable {
                repository: repository.to_owned(),
                said: format!("no answer for {} seconds", waited.as_secs()),
            },
        }
    }

    /// Makes the snapshot; a lock in the way is taken for stale once, and restic decides whether it is.
    async fn snapshot(
        &self,
        arguments: &[String],
        missing: Option<&AbsolutePath>,
    ) -> Result<JobResult, Failure> {
        let outcome = self.attempt(arguments, missing).await;
        let Err(Failure::RepositoryLocked { .. }) = outcome else { return outcome };
        self.log("the repository is locked: removing stale locks, then trying once more").await;
        let unlocked = self.quick(&["unlock"]).await?;
        match unlocked.exit {
            Exit::Code(0) => self.attempt(arguments, missing).await,
            _ => outcome,
        }
    }

    async fn attempt(
        &self,
        arguments: &[String],
        missing: Option<&AbsolutePath>,
    ) -> Result<JobResult, Failure> {
        let Ended { exit, heard } = self.run(arguments, Some(self.events), &self.bounds).await?;
        let lacking = heard.first_error.or_else(|| missing.map(|path| format!("{path} does not exist")));
        match (exit, heard.summary, lacking) {
            (Exit::Code(0), Some(result), None) => Ok(result),
            (Exit::Code(0 | PARTIAL), Some(result), lacking) if result.files > 0 => {
                let said = lacking.unwrap_or_else(|| "some files could not be read".to_owned());
                Err(Failure::Partial { result, said })
            }
            (Exit::Code(0), None, _) => {
                Err(Failure::Other { exit: Some(0), said: "it reported no snapshot".to_owned() })
            }
            (Exit::Code(0 | PARTIAL), _, lacking) => {
                Err(Failure::SourceUnreadable { said: lacking.unwrap_or_else(|| "no file".to_owned()) })
            }
            (exit, _, _) => Err(judge(exit, &heard.said, self.repository.shown())),
        }
    }

    /// Runs a command that must answer soon and whose output is no news.
    async fn quick(&self, arguments: &[&str]) -> Result<Ended, Failure> {
        let answer = self.restic.limits.answer;
        let soon = (Instant::now() + answer, answer);
        let deadline = if soon.0 < self.bounds.deadline.0 { soon } else { self.bounds.deadline };
        let bounds = Bounds { deadline, quiet: answer, cancel: self.bounds.cancel.clone() };
        let arguments: Vec<String> = arguments.iter().map(ToString::to_string).collect();
        self.run(&arguments, None, &bounds).await
    }

    async fn run(
        &self,
        arguments: &[String],
        events: Option<&mpsc::Sender<ResticEvent>>,
        bounds: &Bounds,
    ) -> Result<Ended, Failure> {
        let mut listener = Listener::new(&self.scrub, events);
        let exit = run(self.restic, Some(self.repository), arguments, bounds, &mut listener).await?;
        Ok(Ended { exit, heard: listener.heard() })
    }

    async fn log(&self, line: &str) {
        tell(self.events, ResticEvent::Log(line.to_owned())).await;
    }
}

/// Splits the paths into those that exist and those that do not; none at all is a failure.
async fn sorted_by_presence(work: &BackupWork) -> Result<(Vec<&AbsolutePath>, Vec<&AbsolutePath>), Failure> {
    let (mut present, mut missing) = (Vec::new(), Vec::new());
    for path in work.paths.iter() {
        match tokio::fs::symlink_metadata(path.as_str()).await {
            Err(cause) if matches!(cause.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                missing.push(path);
            }
            _ => present.push(path),
        }
    }
    if present.is_empty() {
        let path = missing.first().map_or_else(|| "no path was given, it".to_owned(), ToString::to_string);
        return Err(Failure::PathMissing { path });
    }
    Ok((present, missing))
}

/// Puts the command line together: values are glued to their options and paths stand behind `--`.
pub(super) fn backup_arguments(host: HostId, work: &BackupWork, paths: &[&AbsolutePath]) -> Vec<String> {
    let mut arguments = vec!["backup".to_owned(), "--json".to_owned(), format!("--host={host}")];
    arguments.extend(work.tags.iter().map(|tag| format!("--tag={tag}")));
    arguments.push("--".to_owned());
    arguments.extend(paths.iter().map(ToString::to_string));
    arguments
}

fn make_cache(restic: &Restic) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(CACHE_MODE).create(&restic.cache)
}
