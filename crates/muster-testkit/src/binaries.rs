//! The real programs as children: what they say goes to a file, and they die with the test, however it ends.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};

const POLL_EVERY: Duration = Duration::from_millis(10);

/// Variables that would send a program elsewhere than the test means.
const MISLEADING: [&str; 6] =
    ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"];

/// Returns the program `name` that was built beside `own`.
///
/// # Panics
/// When it was not built: a test must not pass because it was skipped.
pub fn beside(own: &Path, name: &str) -> PathBuf {
    let program = own.with_file_name(name);
    assert!(
        program.is_file(),
        "{} is missing: these tests run the real {name}; build it first with `cargo build --workspace`",
        program.display()
    );
    program
}

/// Returns a program of the search path.
///
/// # Panics
/// When it is not installed: a test must not pass because it was skipped.
pub fn installed(name: &str) -> PathBuf {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.unwrap_or_else(|| panic!("these tests need {name}: install it (scripts/install-needs.sh)"))
}

/// Makes a command that is killed when the thread that starts it ends, however that ends.
pub fn command(program: &Path) -> Command {
    let mut command = Command::new(installed("setpriv"));
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    MISLEADING.into_iter().for_each(|name| {
        command.env_remove(name);
    });
    command
}

/// A program that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a program; what it says is appended to `log`.
    pub fn start(mut command: Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log).context("open the log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {command:?}"))?;
        Ok(Self { child, log: log.to_owned() })
    }

    /// Returns the process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Kills it as a power cut would, and waits until it is gone.
    pub fn kill9(&mut self) {
        // A program that is gone already is as dead as one that was killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to stop, as a service manager would.
    pub fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }

    /// Waits until it ends by itself and returns its exit code; a signal counts as 128 and its number.
    pub async fn ended(&mut self, within: Duration) -> Result<i32> {
        let waiting = async {
            loop {
                if let Some(status) = self.child.try_wait()? {
                    return Ok(code(status));
                }
                tokio::time::sleep(POLL_EVERY).await;
            }
        };
        match tokio::time::timeout(within, waiting).await {
            Ok(ended) => ended,
            Err(_) => bail!("it still runs after {} s; it said:\n{}", within.as_secs(), self.said()),
        }
    }

    /// Returns all it said so far.
    pub fn said(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// How a program ended and what it said.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; a signal counts as 128 and its number.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Ended {
    /// Returns everything it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Returns standard output of a program that succeeded.
    ///
    /// # Panics
    /// When it failed.
    pub fn succeeded(self) -> String {
        assert_eq!(self.code, 0, "it failed:\n{}", self.said());
        self.out
    }
}

/// Runs a program to its end, with `input` on its standard input.
pub async fn run(mut command: Command, input: Option<&str>, within: Duration) -> Result<Ended> {
    let folder = tempfile::tempdir()?;
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
    let mut child = command
        .stdin(stdin)
        .stdout(File::create(&out)?)
        .stderr(File::create(&err)?)
        .spawn()
        .with_context(|| format!("start {command:?}"))?;
    if let (Some(mut pipe), Some(input)) = (child.stdin.take(), input) {
        // A program that ends without reading closes its end; what it says tells why.
        let _ = pipe.write_all(input.as_bytes());
    }
    let said = |file: &Path| fs::read(file).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let mut running = Running { child, log: err.clone() };
    let code = running.ended(within).await.with_context(|| format!("run {command:?}"))?;
    Ok(Ended { code, out: said(&out)?, err: said(&err)? })
}

/// Returns the ids of the processes below `pid`, children before grandchildren.
pub fn descendants(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let mut found: Vec<u32> = children.split_whitespace().filter_map(|pid| pid.parse().ok()).collect();
    let deeper: Vec<u32> = found.iter().flat_map(|pid| descendants(*pid)).collect();
    found.extend(deeper);
    found
}

/// Returns the search path with `folder` before everything else.
pub fn path_with(folder: &Path) -> std::ffi::OsString {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(folder.to_owned()).chain(env::split_paths(&path));
    env::join_paths(folders).unwrap_or_else(|_| OsStr::new("/usr/bin:/bin").to_owned())
}

fn code(status: ExitStatus) -> i32 {
    status.code().or_else(|| status.signal().map(|signal| 128 + signal)).unwrap_or(-1)
}
