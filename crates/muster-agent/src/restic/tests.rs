mod fake;
mod pure;
mod real;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use muster_ids::HostId;
use muster_wire::job::{BackupWork, JobResult};
use muster_wire::secret::RepoSecret;
use muster_wire::text::{AbsolutePath, Line, SecretName, Tag};
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Failure, Limits, Repository, Restic, ResticEvent};

const REPOSITORY_CANARY: &str = "canary-repository-5d1e";
const SERVER_CANARY: &str = "canary-server-77ab";

fn host() -> HostId {
    HostId::from_uuid(Uuid::from_u128(0x1234))
}

fn work(paths: &[&str]) -> BackupWork {
    BackupWork {
        paths: paths.iter().map(|path| AbsolutePath::parse(path).unwrap()).collect(),
        tags: [Tag::parse("nightly").unwrap()].into_iter().collect(),
        secret: SecretName::parse("repo").unwrap(),
    }
}

fn secret(url: &str) -> RepoSecret {
    RepoSecret {
        url: Line::parse(url).unwrap(),
        user: None,
        http_password: None,
        password: Line::parse(REPOSITORY_CANARY).unwrap(),
    }
}

fn with_user(url: &str, user: &str, password: &str) -> RepoSecret {
    RepoSecret {
        user: Some(Line::parse(user).unwrap()),
        http_password: Some(Line::parse(password).unwrap()),
        ..secret(url)
    }
}

fn quick_limits() -> Limits {
    Limits {
        job: Duration::from_secs(60),
        quiet: Duration::from_secs(20),
        answer: Duration::from_secs(20),
        grace: Duration::from_millis(500),
    }
}

/// A restic, what it saves and everything it said.
struct Bench {
    folder: TempDir,
    restic: Restic,
    cancel: CancellationToken,
    events: Vec<ResticEvent>,
}

impl Bench {
    fn new(program: impl Into<PathBuf>) -> Self {
        let folder = TempDir::new().unwrap();
        let restic =
            Restic { program: program.into(), cache: folder.path().join("cache"), limits: quick_limits() };
        fs::create_dir(folder.path().join("source")).unwrap();
        fs::write(folder.path().join("source/a"), "content of a").unwrap();
        fs::write(folder.path().join("source/b"), vec![7; 100_000]).unwrap();
        Self { folder, restic, cancel: CancellationToken::new(), events: Vec::new() }
    }

    /// A restic that is a shell script; `$command` in it is restic's subcommand.
    fn scripted(body: &str) -> Self {
        let mut bench = Self::new("restic");
        bench.restic.program = bench.folder.path().join("fake-restic");
        let find = "for argument; do case $argument in backup|cat|init|unlock|version) command=$argument; break;; esac; done";
        // Tests that a script runs in its background ignore interrupts, and so would all that they start.
        let shell = "#!/usr/bin/env -S --default-signal=INT sh";
        let script = format!("{shell}\nhere={}\n{find}\n{body}\n", bench.folder.path().display());
        write_program(&bench.restic.program, &script);
        bench
    }

    fn source(&self) -> String {
        self.path("source")
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    async fn backup(&mut self, secret: &RepoSecret, paths: &[&str]) -> Result<JobResult, Failure> {
        let repository = Repository::parse(secret).unwrap();
        let (sender, mut receiver) = mpsc::channel(10_000);
        let outcome = self.restic.backup(&repository, host(), &work(paths), &sender, &self.cancel).await;
        while let Ok(event) = receiver.try_recv() {
            self.events.push(event);
        }
        outcome
    }

    fn log(&self) -> Vec<&str> {
        let lines = self.events.iter().filter_map(|event| match event {
            ResticEvent::Log(line) => Some(line.as_str()),
            _ => None,
        });
        lines.collect()
    }
}

/// Writes an executable from another process: a file open for writing here could not be run by a parallel test's fork.
fn write_program(path: &Path, script: &str) {
    let mut writer = Command::new("sh");
    writer.args(["-c", "printf %s \"$2\" > \"$1\"", "sh"]).arg(path).arg(script).stdin(Stdio::null());
    assert!(writer.status().unwrap().success());
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn assert_no_secret(text: &str) {
    assert!(!text.contains(REPOSITORY_CANARY) && !text.contains(SERVER_CANARY), "{text}");
}

/// Returns every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
