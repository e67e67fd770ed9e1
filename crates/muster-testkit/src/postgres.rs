//! A private PostgreSQL server for tests: made when first asked for, gone with the process that asked.
//!
//! A shell watches over the server and reads from a pipe that only the starting process holds. However that process
//! ends, the pipe closes, and the shell stops the server and removes its files.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::{env, fs, thread};

use anyhow::{Context, Result, bail};
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Names the server to use instead of starting one; `muster-testkit-postgres` sets it for its command.
pub const URL_VARIABLE: &str = "MUSTER_TEST_PG_URL";

const WATCH: &str = include_str!("postgres/watch.sh");
const STARTS: usize = 3;

/// A PostgreSQL server that tests may do anything to, short of stopping it.
#[derive(Debug)]
pub struct Cluster {
    admin_url: String,
    /// Stops the server when it is dropped; `None` for a server that somebody else stops.
    _watch: Option<Watch>,
}

#[derive(Debug)]
struct Watch {
    shell: Child,
    alive: Option<ChildStdin>,
}

/// An empty database of its own, dropped with this value.
#[derive(Debug)]
pub struct Database {
    admin_url: String,
    name: String,
    url: String,
}

impl Cluster {
    /// Returns the server of this process: the one in `MUSTER_TEST_PG_URL`, else one started now.
    ///
    /// # Panics
    /// When there is no server and none can be started: a test must not pass because it was skipped.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| match env::var(URL_VARIABLE) {
            Ok(admin_url) => Self { admin_url, _watch: None },
            Err(_) => {
                Self::start().expect("these tests need PostgreSQL: install it, or set MUSTER_TEST_PG_URL")
            }
        })
    }

    /// Starts a server on a free loopback port.
    pub fn start() -> Result<Self> {
        let programs = programs()?;
        let mut last = None;
        // The free port may be taken by somebody else before the server binds it.
        for _ in 0..STARTS {
            match Self::try_start(&programs, free_port()?) {
                Ok(cluster) => return Ok(cluster),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("at least one start was tried"))
    }

    fn try_start(programs: &Path, port: u16) -> Result<Self> {
        let mut shell = unprivileged(programs, port)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .context("start a shell for the server")?;
        let alive = shell.stdin.take();
        let said = shell.stdout.take().context("read from the server's shell")?;
        let mut report = String::new();
        BufReader::new(said).read_line(&mut report)?;
        if report.trim_end() != "ready" {
            drop(alive);
            shell.wait()?;
            bail!("the server did not start: {}", report.trim_end());
        }
        let admin_url = format!("postgres://postgres@127.0.0.1:{port}/postgres");
        Ok(Self { admin_url, _watch: Some(Watch { shell, alive }) })
    }

    /// Returns the URL of the server's administrator.
    pub fn admin_url(&self) -> &str {
        &self.admin_url
    }

    /// Makes an empty database.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn database(&self) -> Database {
        let name = format!("muster_{}", uuid::Uuid::from_u128(unique()).simple());
        run(&self.admin_url, &format!("CREATE DATABASE {name} TEMPLATE template0"))
            .expect("the server makes a database");
        let url = match self.admin_url.rsplit_once('/') {
            Some((server, _)) => format!("{server}/{name}"),
            None => panic!("not a URL with a database name: {}", self.admin_url),
        };
        Database { admin_url: self.admin_url.clone(), name, url }
    }
}

impl Database {
    /// Returns the URL of this database.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Runs SQL in this database.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn run(&self, sql: &str) {
        run(&self.url, sql).expect("the server runs this");
    }

    /// Returns what one query of one text answers.
    ///
    /// # Panics
    /// When the server refuses, or answers anything else.
    pub fn ask(&self, sql: &str) -> String {
        ask(&self.url, sql).expect("the server answers this")
    }

    /// Cuts every connection to this database.
    ///
    /// # Panics
    /// When the server refuses.
    pub fn cut_connections(&self) {
        let sql =
            format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", self.name);
        run(&self.admin_url, &sql).expect("the server cuts connections");
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // What cannot be dropped goes with the server.
        let _ = run(&self.admin_url, &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        drop(self.alive.take());
        let _ = self.shell.wait();
    }
}

fn run(url: &str, sql: &str) -> Result<()> {
    said(url, sql).map(drop)
}

fn ask(url: &str, sql: &str) -> Result<String> {
    let rows = said(url, sql)?.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    match rows.collect::<Vec<_>>().as_slice() {
        [answer] => Ok(answer.clone()),
        answers => bail!("{} answers to {sql}", answers.len()),
    }
}

/// Runs SQL on its own thread, so that tests may call from inside a runtime or outside.
fn said(url: &str, sql: &str) -> Result<Vec<SimpleQueryMessage>> {
    let work = async {
        let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
        let connection = tokio::spawn(connection);
        let said = client.simple_query(sql).await?;
        drop(client);
        connection.await??;
        Ok(said)
    };
    let work = || tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work);
    thread::scope(|scope| scope.spawn(work).join()).unwrap_or_else(|_| bail!("the thread panicked"))
}

/// Returns a number that no other process and no other call has.
fn unique() -> u128 {
    use std::hash::{BuildHasher, RandomState};
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    (half() << 64) | half()
}

/// The server refuses to run as root, so root hands it to the user `postgres`.
fn unprivileged(programs: &Path, port: u16) -> Command {
    let mut command = if rustix::process::geteuid().is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "sh"]);
        command
    } else {
        Command::new("sh")
    };
    command.args(["-c", WATCH, "watch"]).arg(programs).arg(port.to_string()).current_dir("/");
    command
}

fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

/// Finds the folder of the newest `initdb`: Debian keeps it out of the search path.
fn programs() -> Result<PathBuf> {
    let mut folders: Vec<PathBuf> = env::split_paths(&env::var_os("PATH").unwrap_or_default()).collect();
    let mut versions: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    versions.sort_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()));
    folders.extend(versions.into_iter().rev().map(|path| path.join("bin")));
    folders
        .into_iter()
        .find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
        .context("postgresql is not installed: neither the search path nor /usr/lib/postgresql has initdb")
}
