//! Runs restic as a child that dies with the agent and gets its secrets through file descriptors.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use command_fds::{CommandFdExt, FdMapping};
use rustix::fs::{MemfdFlags, SealFlags};
use rustix::process::{Pid, Signal};
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Child;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::Restic;
use super::failure::{Exit, Failure, Stopped};
use super::output::{Lines, Listener, Moved};
use super::repository::Repository;

const URL_FD: i32 = 3;
const PASSWORD_FD: i32 = 4;
const KEY_FILE_FD: i32 = 5;
/// Variables restic gets from the agent's own environment; all others stay behind.
const INHERITED: [&str; 9] = [
    "PATH",
    "TMPDIR",
    "LANG",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const LAST_LINES: Duration = Duration::from_secs(2);

/// What bounds one run.
#[derive(Clone)]
pub(super) struct Bounds {
    /// When it must have ended, and the limit that set this moment.
    pub(super) deadline: (Instant, Duration),
    /// How long nothing may move.
    pub(super) quiet: Duration,
    /// Stops it.
    pub(super) cancel: CancellationToken,
}

/// Runs restic with `arguments` on `repository` (none: a command that needs none) and returns how it ended.
pub(super) async fn run(
    restic: &Restic,
    repository: Option<&Repository>,
    arguments: &[String],
    bounds: &Bounds,
    listener: &mut Listener<'_>,
) -> Result<Exit, Failure> {
    let mut child = spawn(restic, repository, arguments).map_err(|cause| not_run(&cause))?;
    let group = Group::of(&child);
    let exit = attend(&mut child, &group, restic.limits.grace, bounds, listener).await;
    let exit = exit.map_err(|cause| not_run(&cause))?;
    group.disarm();
    Ok(exit)
}

fn not_run(cause: &io::Error) -> Failure {
    match cause.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Failure::ResticMissing,
        _ => Failure::Other { exit: None, said: cause.to_string() },
    }
}

fn spawn(restic: &Restic, repository: Option<&Repository>, arguments: &[String]) -> io::Result<Child> {
    let mut command = Command::new(&restic.program);
    command.env_clear().env("PATH", DEFAULT_PATH);
    command.envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
    command.env("HOME", &restic.cache).env("RESTIC_CACHE_DIR", &restic.cache).env("RESTIC_PROGRESS_FPS", "2");
    if let Some(repository) = repository {
        hand_over(&mut command, repository)?;
    }
    command.args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    die_with_agent(&mut command);
    tokio::process::Command::from(command).kill_on_drop(true).spawn()
}

fn hand_over(command: &mut Command, repository: &Repository) -> io::Result<()> {
    let mut mappings = vec![
        FdMapping { parent_fd: memory_file(repository.url())?, child_fd: URL_FD },
        FdMapping { parent_fd: memory_file(repository.password())?, child_fd: PASSWORD_FD },
    ];
    command.arg(format!("--repository-file=/dev/fd/{URL_FD}"));
    command.arg(format!("--password-file=/dev/fd/{PASSWORD_FD}"));
    if let Some(key_file) = repository.key_file() {
        mappings.push(FdMapping { parent_fd: memory_file(key_file)?, child_fd: KEY_FILE_FD });
        command.env("AWS_SHARED_CREDENTIALS_FILE", format!("/dev/fd/{KEY_FILE_FD}"));
    }
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok(())
}

/// Puts a secret into a sealed file that exists in memory only and can be read more than once, unlike a pipe.
fn memory_file(secret: &SecretString) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("muster", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(file);
    file.write_all(secret.expose_secret().as_bytes())?;
    rustix::fs::fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )?;
    Ok(file.into())
}

/// Lets the kernel kill restic when the thread that starts it ends: start it from a thread that lives as long as the
/// agent.
#[expect(unsafe_code, reason = "only a call between fork and exec can bind the child to its parent")]
fn die_with_agent(command: &mut Command) {
    let agent = rustix::process::getpid();
    // SAFETY: the closure makes two system calls and allocates nothing, as code between fork and exec must.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
            // The agent may have died before the line above.
            if rustix::process::getppid() == Some(agent) {
                Ok(())
            } else {
                Err(rustix::io::Errno::SRCH.into())
            }
        });
    }
}

/// The process group of a running restic; killed whole when the run is dropped before its end.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(id.cast_signed())))
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // It may be gone already, which is what was wanted.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}

async fn attend(
    child: &mut Child,
    group: &Group,
    grace: Duration,
    bounds: &Bounds,
    listener: &mut Listener<'_>,
) -> io::Result<Exit> {
    let piped = || io::Error::other("no pipe to restic");
    let mut output = Lines::new(child.stdout.take().ok_or_else(piped)?);
    let mut errors = Lines::new(child.stderr.take().ok_or_else(piped)?);
    let (mut output_open, mut errors_open) = (true, true);
    let mut ended: Option<ExitStatus> = None;
    let mut stopped: Option<Stopped> = None;
    let mut quiet_at = Instant::now() + bounds.quiet;
    let mut kill_at = None;
    while ended.is_none() || output_open || errors_open {
        let line = tokio::select! {
            line = output.next(), if output_open => heard(line, &mut output_open)?,
            line = errors.next(), if errors_open => heard(line, &mut errors_open)?,
            status = child.wait(), if ended.is_none() => {
                ended = Some(status?);
                // Lines on their way are still read, but a grandchild that keeps the pipes open is not waited for.
                kill_at = Some(Instant::now() + LAST_LINES);
                None
            }
            () = sleep_until(kill_at.unwrap_or(quiet_at)), if kill_at.is_some() => {
                group.signal(Signal::KILL);
                if ended.is_some() {
                    break;
                }
                kill_at = Some(Instant::now() + grace);
                None
            }
            reason = reason_to_stop(bounds, quiet_at), if stopped.is_none() && ended.is_none() => {
                stopped = Some(reason);
                // An interrupted restic removes its lock.
                group.signal(Signal::INT);
                kill_at = Some(Instant::now() + grace);
                None
            }
        };
        if let Some(line) = line
            && listener.hear(&line).await == Moved::Yes
        {
            quiet_at = Instant::now() + bounds.quiet;
        }
    }
    Ok(exit(ended, stopped))
}

fn heard(line: io::Result<Option<String>>, open: &mut bool) -> io::Result<Option<String>> {
    let line = line?;
    *open = line.is_some();
    Ok(line)
}

async fn reason_to_stop(bounds: &Bounds, quiet_at: Instant) -> Stopped {
    let (deadline, limit) = bounds.deadline;
    tokio::select! {
        () = bounds.cancel.cancelled() => Stopped::Cancelled,
        () = sleep_until(deadline) => Stopped::TimeLimit(limit),
        () = sleep_until(quiet_at) => Stopped::Quiet(bounds.quiet),
    }
}

fn exit(ended: Option<ExitStatus>, stopped: Option<Stopped>) -> Exit {
    match (stopped, ended) {
        // It ended well although it was asked to stop.
        (Some(_), Some(status)) if status.success() => Exit::Code(0),
        (Some(stopped), _) => Exit::Stopped(stopped),
        (None, Some(status)) => match (status.code(), status.signal()) {
            (Some(code), _) => Exit::Code(code),
            (None, signal) => Exit::Stopped(Stopped::Signal(signal.unwrap_or_default())),
        },
        (None, None) => Exit::Stopped(Stopped::Signal(0)),
    }
}
