//! A real `muster-agent` with a state folder, a home and a temporary folder of its own.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use muster_ids::HostId;
use muster_testkit::binaries::{self, Ended, Running};
use serde_json::Value;

use super::until;

const JOIN_WITHIN: Duration = Duration::from_secs(30);

/// An agent on a machine of its own: only what the test puts there is there.
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) state: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) home: PathBuf,
    /// Its search path, when it is not the test's.
    pub(crate) path: Option<OsString>,
    /// More variables of its environment.
    pub(crate) environment: Vec<(&'static str, String)>,
    machine_uid: String,
    running: Option<Running>,
}

impl Agent {
    /// Makes the folders; nothing runs yet.
    pub(crate) fn new(folder: &Path, name: &str, machine_uid: &str) -> Self {
        let folder = folder.join(name);
        fs::create_dir_all(&folder).unwrap();
        let home = folder.join("home");
        fs::DirBuilder::new().mode(0o700).create(&home).unwrap();
        fs::create_dir(home.join("tmp")).unwrap();
        Self {
            name: name.to_owned(),
            state: folder.join("state"),
            log: folder.join("agent.log"),
            home,
            path: None,
            environment: Vec::new(),
            machine_uid: machine_uid.to_owned(),
            running: None,
        }
    }

    /// A command of the agent.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let program = binaries::beside(Path::new(env!("CARGO_BIN_EXE_muster")), "muster-agent");
        let mut command = binaries::command(&program);
        command.args(arguments);
        command.env("MUSTER_AGENT_STATE", &self.state);
        command.env("HOME", &self.home).env("TMPDIR", self.home.join("tmp"));
        command.env_remove("XDG_CACHE_HOME");
        if let Some(path) = &self.path {
            command.env("PATH", path);
        }
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }

    /// `muster-agent join` with the join string on standard input.
    pub(crate) async fn join(&self, join_string: &str) -> Ended {
        let arguments = ["join", "--stdin", "--machine-uid", &self.machine_uid, "--hostname", &self.name];
        binaries::run(self.command(&arguments), Some(join_string), JOIN_WITHIN).await.unwrap()
    }

    /// Joins, and must be admitted.
    pub(crate) async fn joined(&self, join_string: &str) -> HostId {
        let ended = self.join(join_string).await;
        assert_eq!(ended.code, 0, "join failed:\n{}", ended.said());
        self.host_id()
    }

    /// Runs any command of the agent to its end, with `input` on its standard input.
    pub(crate) async fn carry_out(&self, arguments: &[&str], input: Option<&str>) -> Ended {
        binaries::run(self.command(arguments), input, JOIN_WITHIN).await.unwrap()
    }

    /// Waits until it acknowledged a connection and has its configuration.
    pub(crate) async fn until_at_work(&self) {
        until("the agent does not get to work", JOIN_WITHIN, async || {
            let has = |file: &str| self.state.join(file).exists();
            (has("generation.json") && has("config.json")).then_some(())
        })
        .await;
    }

    /// Makes a stopped agent believe that its server is at `urls` and holds `pins`.
    pub(crate) fn believes(&self, urls: &[String], pins: &[String]) {
        let mut identity = self.identity();
        (identity["urls"], identity["pins"]) = (urls.into(), pins.into());
        fs::write(self.state.join("identity.json"), identity.to_string()).unwrap();
    }

    /// Forgets what `run` said so far.
    pub(crate) fn forget_log(&self) {
        fs::write(&self.log, "").unwrap();
    }

    /// Starts `muster-agent run`.
    pub(crate) fn run(&mut self) {
        self.running = Some(Running::start(self.command(&["run"]), &self.log).unwrap());
    }

    /// Types a line of a page into the machine's shell, where `muster-agent` is this agent.
    pub(crate) fn types(&mut self, line: &str) {
        let program = binaries::beside(Path::new(env!("CARGO_BIN_EXE_muster")), "muster-agent");
        let bin = self.home.join("bin");
        fs::create_dir_all(&bin).unwrap();
        let wrapper = bin.join("muster-agent");
        // The shell's child dies with the shell.
        let script = format!("#!/bin/sh\nexec setpriv --pdeathsig KILL -- '{}' \"$@\"\n", program.display());
        fs::write(&wrapper, script).unwrap();
        fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).unwrap();
        let mut shell = self.command(&[]);
        let variables: Vec<_> =
            shell.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
        shell = binaries::command(&binaries::installed("sh"));
        shell.args(["-c", line]).envs(variables).env("PATH", binaries::path_with(&bin));
        self.running = Some(Running::start(shell, &self.log).unwrap());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.running.as_ref().expect("the agent runs").pid()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.running.as_mut().is_some_and(Running::is_running)
    }

    pub(crate) fn kill9(&mut self) {
        self.running.take().expect("the agent runs").kill9();
    }

    /// Waits until it stops by itself; returns its exit code.
    pub(crate) async fn ended(&mut self, within: Duration) -> i32 {
        self.running.as_mut().expect("the agent runs").ended(within).await.unwrap()
    }

    /// Asks it to stop and waits until it did; returns its exit code.
    pub(crate) async fn stop(&mut self) -> i32 {
        self.running.as_ref().expect("the agent runs").terminate();
        self.ended(Duration::from_secs(15)).await
    }

    /// What `run` said.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Its identity, as its state tells it.
    pub(crate) fn host_id(&self) -> HostId {
        let identity = self.identity();
        let id = identity["membership"]["host_id"].as_str();
        id.unwrap_or_else(|| panic!("no host in {identity}")).parse().unwrap()
    }

    /// Its identity file.
    pub(crate) fn identity(&self) -> Value {
        serde_json::from_slice(&fs::read(self.state.join("identity.json")).unwrap_or_default())
            .unwrap_or_default()
    }

    /// Its key, as it is on disk.
    pub(crate) fn key_bytes(&self) -> Option<Vec<u8>> {
        fs::read(self.state.join("key.pk8")).ok()
    }
}
