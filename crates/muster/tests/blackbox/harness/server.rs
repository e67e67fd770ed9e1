//! The real `muster serve` as a child process.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use muster_client::{DialError, Dialer, OperatorClient, ProxyRules, Timeouts};
use muster_testkit::binaries::{self, Running};
use muster_testkit::postgres::{Cluster, Database};
use muster_testkit::{http as bytewise, ports};
use secrecy::SecretString;
use serde_json::Value;
use tempfile::TempDir;
use url::Url;

use super::{Reply, until};

const READY_WITHIN: Duration = Duration::from_secs(30);

/// Which database the server keeps its state in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Backend {
    Sqlite,
    Postgres,
}

/// A server with a data folder, a database and two addresses of its own, which it keeps when it is restarted.
pub(crate) struct Server {
    pub(crate) operators: SocketAddr,
    pub(crate) machines: SocketAddr,
    pub(crate) data: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) database: Option<Database>,
    public_urls: Vec<String>,
    arguments: Vec<String>,
    /// More variables of its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    /// How many files it may open, when that is not the test's own number.
    descriptors: Option<u32>,
    process: Option<Running>,
    folder: TempDir,
}

impl Server {
    /// Chooses folder, database and addresses; nothing runs yet.
    pub(crate) fn prepare(backend: Backend) -> Self {
        Self::prepare_in(&std::env::temp_dir(), backend)
    }

    /// The same on a disk of the test's choice.
    pub(crate) fn prepare_in(disk: &Path, backend: Backend) -> Self {
        let folder = tempfile::Builder::new().prefix("muster-blackbox-").tempdir_in(disk).unwrap();
        let database = (backend == Backend::Postgres).then(|| Cluster::shared().database());
        let machines = ports::free();
        Self {
            operators: ports::free(),
            machines,
            data: folder.path().join("data"),
            log: folder.path().join("server.log"),
            database,
            public_urls: vec![format!("https://{machines}")],
            arguments: Vec::new(),
            environment: Vec::new(),
            descriptors: None,
            process: None,
            folder,
        }
    }

    /// A server that answers; nobody set it up yet.
    pub(crate) async fn start(backend: Backend) -> Self {
        let mut server = Self::prepare(backend);
        server.launch().await;
        server
    }

    /// Also gives machines this URL, after its own.
    pub(crate) fn add_public_url(&mut self, url: String) {
        self.public_urls.push(url);
    }

    /// Starts it with more arguments.
    pub(crate) fn add_arguments(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().copied().map(str::to_owned));
    }

    /// Lets it open so many files and no more.
    pub(crate) fn limit_descriptors(&mut self, most: u32) {
        self.descriptors = Some(most);
    }

    /// Gives machines these URLs and no other.
    pub(crate) fn set_public_urls(&mut self, urls: Vec<String>) {
        self.public_urls = urls;
    }

    /// The command that serves.
    pub(crate) fn command(&self) -> Command {
        let program = Path::new(env!("CARGO_BIN_EXE_muster"));
        let mut command = match self.descriptors {
            Some(most) => {
                let mut command = binaries::command(&binaries::installed("prlimit"));
                command.arg(format!("--nofile={most}")).arg(program);
                command
            }
            None => binaries::command(program),
        };
        command.arg("serve").arg("--data-dir").arg(&self.data);
        command.args(["--operators", &self.operators.to_string(), "--machines", &self.machines.to_string()]);
        for url in &self.public_urls {
            command.args(["--public-url", url]);
        }
        command.args(&self.arguments);
        if let Some(database) = &self.database {
            command.args(["--database", database.url()]);
        }
        let temporary = self.folder.path().join("server-tmp");
        fs::create_dir_all(&temporary).unwrap();
        command.env("TMPDIR", temporary);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Tries to start it, which it must refuse; returns what it said.
    pub(crate) async fn refuses_to_start(&self) -> String {
        let ended = binaries::run(self.command(), None, READY_WITHIN).await.unwrap();
        assert_ne!(ended.code, 0, "{}", ended.said());
        assert!(!ended.said().contains("panicked"), "{}", ended.said());
        ended.said()
    }

    /// Starts the process and waits until it answers.
    pub(crate) async fn launch(&mut self) {
        let mut process = Running::start(self.command(), &self.log).unwrap();
        let probe = format!("GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n", self.operators);
        let operators = self.operators;
        until("the server does not get ready", READY_WITHIN, async || {
            assert!(process.is_running(), "the server ended:\n{}", process.said());
            let answer = bytewise::ask(operators, probe.as_bytes(), Duration::from_secs(2)).await;
            answer.ok().flatten().filter(|answer| answer.status == 200)
        })
        .await;
        self.process = Some(process);
    }

    /// Kills it as a power cut would.
    pub(crate) fn kill9(&mut self) {
        self.process.take().expect("the server runs").kill9();
    }

    /// Asks it to stop and waits until it did; returns its exit code.
    pub(crate) async fn stop(&mut self) -> i32 {
        let mut process = self.process.take().expect("the server runs");
        process.terminate();
        process.ended(Duration::from_secs(30)).await.unwrap()
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.as_ref().expect("the server runs").pid()
    }

    /// Whether the process still lives.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(Running::is_running)
    }

    /// A folder that lives as long as the server, for the test's own files.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What the server said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The code that makes the first admin.
    pub(crate) fn setup_code(&self) -> String {
        let file = self.data.join("setup-code");
        fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()))
            .trim()
            .to_owned()
    }

    /// Where operators reach it.
    pub(crate) fn operators_url(&self) -> Url {
        Url::parse(&format!("http://{}", self.operators)).unwrap()
    }

    /// Where machines reach it.
    pub(crate) fn machines_url(&self) -> Url {
        Url::parse(&format!("https://{}", self.machines)).unwrap()
    }

    /// A client of the API, with a token or without.
    pub(crate) fn client(&self, token: Option<&str>) -> OperatorClient {
        OperatorClient::new(dialer(&[]), self.operators_url(), token.map(SecretString::from), None)
    }

    /// Sends one request to the operators' listener and returns whatever comes back.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Reply {
        self.try_ask(method, path, token, body).await.unwrap()
    }

    pub(crate) async fn try_ask(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Reply, DialError> {
        let mut request = Request::builder().method(method).uri(path);
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let mut bytes = Bytes::new();
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json");
            bytes = Bytes::from(serde_json::to_vec(body).unwrap());
        }
        let request = request.body(bytes).unwrap();
        Ok(dialer(&[]).request(request, &self.operators_url()).await?.into())
    }

    /// Returns the sum of all samples of a metric.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let reply = self.ask(Method::GET, "/metrics", None, None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let sample = |line: &str| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_it = series == name || series.strip_prefix(name).is_some_and(|rest| rest.starts_with('{'));
            if is_it { value.parse::<f64>().ok() } else { None }
        };
        reply.text.lines().filter_map(sample).sum()
    }
}

/// A dialer that ignores the proxies of the environment.
pub(crate) fn dialer(pins: &[String]) -> Dialer {
    let timeouts = Timeouts { response: Duration::from_secs(15), ..Timeouts::default() };
    Dialer::new(pins, ProxyRules::none(), timeouts).unwrap()
}
