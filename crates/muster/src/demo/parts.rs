//! The real programs of the demo: agents, restic, the repository server. Each dies with the demo.

use std::env;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, anyhow, bail};
use secrecy::{ExposeSecret, SecretString};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// Where the programs are.
#[derive(Debug, Clone)]
pub(super) struct Programs {
    agent: PathBuf,
    restic: PathBuf,
    rclone: PathBuf,
    setpriv: PathBuf,
}

impl Programs {
    pub(super) fn find() -> anyhow::Result<Self> {
        let own = env::current_exe().context("cannot find this program")?;
        let beside = own.with_file_name("muster-agent");
        let agent = if beside.is_file() {
            beside
        } else {
            in_path("muster-agent", "build it: cargo build --workspace")?
        };
        Ok(Self {
            agent,
            restic: in_path("restic", "install it: apt-get install restic")?,
            rclone: in_path("rclone", "install it: apt-get install rclone")?,
            setpriv: in_path("setpriv", "install it: apt-get install util-linux")?,
        })
    }

    /// A command that is killed when the demo dies, however it dies.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(&self.setpriv);
        command.args(["--pdeathsig", "TERM", "--"]).arg(program).kill_on_drop(true);
        command
    }

    pub(super) fn agent(&self, state: &Path) -> Command {
        let mut command = self.command(&self.agent);
        command.env("MUSTER_AGENT_STATE", state);
        command
    }
}

fn in_path(name: &str, advice: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| anyhow!("{name} is not installed; {advice}"))
}

/// `rclone serve restic` with user and password, and what restic needs to use it.
pub(super) struct RepositoryServer {
    child: Child,
    /// The repository as restic spells it, without credentials.
    pub(super) url: String,
    pub(super) user: String,
    pub(super) http_password: SecretString,
    pub(super) password: SecretString,
    address: SocketAddr,
    restic: PathBuf,
}

impl RepositoryServer {
    /// Starts the server on a free port. Its credentials travel by environment, never by argv.
    pub(super) async fn start(
        programs: &Programs,
        folder: &Path,
        http_password: SecretString,
        password: SecretString,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let address = free_address()?;
        let user = "demo-host".to_owned();
        let mut child = programs
            .command(&programs.rclone)
            .args(["serve", "restic", "--config", "/dev/null", "--addr", &address.to_string()])
            .arg(folder)
            .env("RCLONE_USER", &user)
            .env("RCLONE_PASS", http_password.expose_secret())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start rclone")?;
        for _ in 0..100 {
            if let Some(status) = child.try_wait()? {
                bail!("rclone ended at once ({status})");
            }
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                let url = format!("rest:http://{address}/");
                let restic = programs.restic.clone();
                return Ok(Self { child, url, user, http_password, password, address, restic });
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        bail!("rclone does not listen on {address}")
    }

    /// Asks restic itself which snapshots the repository holds.
    pub(super) async fn snapshots(&self) -> anyhow::Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Snapshot {
            id: String,
        }
        let url =
            format!("rest:http://{}:{}@{}/", self.user, self.http_password.expose_secret(), self.address);
        let output = Command::new(&self.restic)
            .args(["snapshots", "--json", "--no-cache", "--no-lock"])
            .env("RESTIC_REPOSITORY", url)
            .env("RESTIC_PASSWORD", self.password.expose_secret())
            .stdin(Stdio::null())
            .output()
            .await
            .context("cannot start restic")?;
        if !output.status.success() {
            bail!("restic cannot list the snapshots ({})", output.status);
        }
        let snapshots: Vec<Snapshot> =
            serde_json::from_slice(&output.stdout).context("restic answered something else")?;
        Ok(snapshots.into_iter().map(|snapshot| snapshot.id).collect())
    }

    pub(super) async fn stop(&mut self) {
        let _ = self.child.kill().await;
    }
}

fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    Ok(listener.local_addr()?)
}

/// How `muster-agent join` ended.
#[derive(Debug)]
pub(super) struct Joined {
    pub(super) code: i32,
    pub(super) said: String,
}

/// One machine of the demo: a state folder, a machine uid, and the agent that may run there.
pub(super) struct Machine {
    pub(super) name: String,
    pub(super) state: PathBuf,
    machine_uid: String,
    log: PathBuf,
    running: Option<Child>,
}

impl Machine {
    pub(super) fn new(folder: &Path, name: &str, machine_uid: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: folder.join(name),
            machine_uid: machine_uid.to_owned(),
            log: folder.join(format!("{name}.log")),
            running: None,
        }
    }

    /// Runs `muster-agent join` with the join string on its stdin.
    pub(super) async fn join(&self, programs: &Programs, join_string: &str) -> anyhow::Result<Joined> {
        let mut child = programs
            .agent(&self.state)
            .args(["join", "--stdin", "--machine-uid", &self.machine_uid, "--hostname", &self.name])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start muster-agent")?;
        let mut stdin = child.stdin.take().context("the agent has no stdin")?;
        stdin.write_all(join_string.as_bytes()).await?;
        drop(stdin);
        let output = child.wait_with_output().await?;
        let said =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).trim().to_owned());
        Ok(Joined { code: output.status.code().unwrap_or(-1), said: said.join("\n") })
    }

    /// Starts `muster-agent run`; what it says goes to a log file.
    pub(super) fn run(&mut self, programs: &Programs) -> anyhow::Result<()> {
        let log = fs::OpenOptions::new().create(true).append(true).open(&self.log)?;
        let child = programs
            .agent(&self.state)
            .arg("run")
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("cannot start muster-agent")?;
        self.running = Some(child);
        Ok(())
    }

    /// Whether the agent still runs.
    pub(super) fn is_running(&mut self) -> anyhow::Result<bool> {
        match &mut self.running {
            Some(child) => Ok(child.try_wait()?.is_none()),
            None => Ok(false),
        }
    }

    /// Waits until the agent stops by itself, and returns its exit code and its last line.
    pub(super) async fn ended(&mut self) -> anyhow::Result<(i32, String)> {
        let child = self.running.as_mut().context("the agent does not run")?;
        let status = child.wait().await?;
        let log = fs::read_to_string(&self.log)?;
        let last = log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default().to_owned();
        Ok((status.code().unwrap_or(-1), last))
    }

    pub(super) async fn stop(&mut self) {
        if let Some(child) = &mut self.running {
            let _ = child.kill().await;
        }
    }
}
