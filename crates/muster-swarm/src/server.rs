//! The real `muster serve` as a child, with a data folder and a database of its own.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use muster_testkit::binaries::{self, Running};
use muster_testkit::postgres::{Cluster, Database};
use muster_testkit::{http as bytewise, ports};
use tempfile::TempDir;
use url::Url;

use crate::proc;
use crate::scenario::Over;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// Which database the server keeps its state in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Backend {
    /// The embedded one.
    Sqlite,
    /// A private PostgreSQL server, or the one `MUSTER_TEST_PG_URL` names.
    Postgres,
}

impl Backend {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// Whether somebody looks on while the server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Watched {
    /// Nobody does.
    No,
    /// `strace` counts its syncs, and slows down nothing else.
    BySyncs,
}

/// A server that keeps folder, database and addresses when it is started again.
pub(crate) struct Server {
    pub(crate) backend: Backend,
    pub(crate) operators: SocketAddr,
    pub(crate) machines: SocketAddr,
    program: PathBuf,
    watched: Watched,
    database: Option<Database>,
    process: Option<Running>,
    folder: TempDir,
}

impl Server {
    /// Starts a server that nobody set up yet.
    pub(crate) async fn start(program: &Path, backend: Backend, watched: Watched) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-swarm-").tempdir()?;
        let database = (backend == Backend::Postgres).then(|| Cluster::shared().database());
        let mut server = Self {
            backend,
            operators: ports::free(),
            machines: ports::free(),
            program: program.to_owned(),
            watched,
            database,
            process: None,
            folder,
        };
        server.launch().await?;
        Ok(server)
    }

    /// Starts the process and waits until it is ready.
    pub(crate) async fn launch(&mut self) -> anyhow::Result<()> {
        let mut command = self.command();
        command.arg("serve").arg("--data-dir").arg(self.data());
        command.args(["--operators", &self.operators.to_string(), "--machines", &self.machines.to_string()]);
        command.args(["--public-url", self.url(Over::Tls).as_str(), "--log", "warn"]);
        if let Some(database) = &self.database {
            command.args(["--database", database.url()]);
        }
        let mut process = Running::start(command, &self.folder.path().join("server.log"))?;
        let probe = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.operators);
        let is_ready = async {
            loop {
                if !process.is_running() {
                    bail!("the server ended:\n{}", process.said());
                }
                let asked = bytewise::ask(self.operators, probe.as_bytes(), Duration::from_secs(2)).await;
                if asked.is_ok_and(|answer| answer.is_some_and(|answer| answer.status == 200)) {
                    return Ok(());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        match tokio::time::timeout(READY_WITHIN, is_ready).await {
            Ok(ready) => ready?,
            Err(_) => bail!("the server is not ready after {} s", READY_WITHIN.as_secs()),
        }
        self.process = Some(process);
        Ok(())
    }

    fn command(&self) -> Command {
        match self.watched {
            Watched::No => binaries::command(&self.program),
            Watched::BySyncs => {
                let mut command = binaries::command(&binaries::installed("strace"));
                command.args(["-f", "--seccomp-bpf", "-c", "-e", "trace=fsync,fdatasync", "-o"]);
                command.arg(self.syncs_file()).arg(&self.program);
                command
            }
        }
    }

    fn syncs_file(&self) -> PathBuf {
        self.folder.path().join("syncs")
    }

    /// How many times the server synced a file, once it ended.
    pub(crate) fn syncs(&self) -> anyhow::Result<u64> {
        let counted = fs::read_to_string(self.syncs_file()).context("nobody counted the syncs")?;
        let calls = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            match fields.last() {
                Some(&("fsync" | "fdatasync")) => fields.get(3)?.parse::<u64>().ok(),
                _ => None,
            }
        };
        Ok(counted.lines().filter_map(calls).sum())
    }

    /// Waits until it ended by itself.
    pub(crate) async fn ended(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.ended(Duration::from_secs(60)).await.map(drop)
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill9(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill9();
        }
    }

    /// Asks it to stop and waits until it did.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        let mut process = self.process.take().context("the server does not run")?;
        process.terminate();
        let code = process.ended(Duration::from_secs(60)).await?;
        if code == 0 { Ok(()) } else { bail!("the server ended with {code}:\n{}", process.said()) }
    }

    /// The data folder.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// The address of its PostgreSQL database.
    pub(crate) fn database_url(&self) -> Option<&str> {
        self.database.as_ref().map(Database::url)
    }

    pub(crate) fn url(&self, over: Over) -> Url {
        let text = match over {
            Over::Plain => format!("http://{}", self.operators),
            Over::Tls => format!("https://{}", self.machines),
        };
        Url::parse(&text).expect("an address makes a URL")
    }

    /// The code that makes the first admin.
    pub(crate) fn setup_code(&self) -> anyhow::Result<String> {
        let code = fs::read_to_string(self.data().join("setup-code")).context("there is no setup code")?;
        Ok(code.trim().to_owned())
    }

    /// The process id.
    pub(crate) fn pid(&self) -> anyhow::Result<u32> {
        Ok(self.process.as_ref().context("the server does not run")?.pid())
    }

    /// Resident memory in bytes.
    pub(crate) fn rss(&self) -> anyhow::Result<u64> {
        proc::rss(self.pid()?)
    }

    /// What it logged; at this level nothing, unless something is wrong.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("server.log")).unwrap_or_default()
    }

    /// The sum of all samples of a metric; an absent one is zero.
    pub(crate) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.operators);
        let asked = bytewise::ask(self.operators, request.as_bytes(), Duration::from_secs(10)).await?;
        let answer = asked.context("the server gives no metrics")?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_it = series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
            if is_it { value.parse::<f64>().ok() } else { None }
        };
        Ok(text.lines().filter_map(sample).sum())
    }
}
