//! A flow in a real Chromium: a script plays what a person does, and asks the test for what happens outside of it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::{binaries, npm};

/// A script waits 20 seconds for what it wants to see; this is for one that waits for nothing at all.
const SPEAKS_WITHIN: Duration = Duration::from_secs(120);

/// A script that plays; it ends with its value.
#[derive(Debug)]
pub struct Flow {
    process: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
    name: String,
    said: String,
}

impl Flow {
    /// Starts `script` over the pages of `url`; it finds `settings` on its stage.
    pub fn start(script: &Path, url: &str, settings: &Value, screenshots: &Path) -> Result<Self> {
        let packages = npm::installed("browser");
        let name = script.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = binaries::command(&binaries::installed("node"));
        command.arg(packages.join("play.mjs")).arg(script);
        command.env("MUSTER_URL", url).env("MUSTER_FLOW", settings.to_string());
        command.env("MUSTER_FLOW_NAME", &name).env("MUSTER_SCREENSHOTS", screenshots);
        command.env("MUSTER_CHROMIUM", binaries::installed("chromium"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Command::from(command).kill_on_drop(true).spawn().context("start node")?;
        let to = process.stdin.take().context("the script has no standard input")?;
        let from = process.stdout.take().context("the script has no standard output")?;
        Ok(Self { process, to, from: BufReader::new(from).lines(), name, said: String::new() })
    }

    /// Waits until the script asks for `what`, and returns the details.
    ///
    /// # Panics
    /// When it asks for something else, or ends.
    pub async fn wants(&mut self, what: &str) -> Value {
        match self.next().await {
            Ok(Some(want)) if want["what"] == what => want["details"].clone(),
            other => panic!("{}: it should ask for `{what}`: {other:?}\n{}", self.name, self.said),
        }
    }

    /// Tells the script that it is done.
    ///
    /// # Panics
    /// When the script is gone.
    pub async fn gets(&mut self, answer: &Value) {
        let sent = self.to.write_all(format!("{answer}\n").as_bytes()).await;
        assert!(sent.is_ok(), "{}: it does not listen: {sent:?}\n{}", self.name, self.said);
    }

    /// Waits until it came to its end.
    ///
    /// # Panics
    /// When it failed, or asks for something.
    pub async fn ends(mut self) {
        let next = self.next().await;
        assert!(matches!(next, Ok(None)), "{}: it should end: {next:?}\n{}", self.name, self.said);
        let ended = self.process.wait().await.expect("wait for node");
        assert!(ended.success(), "{}:\n{}", self.name, self.said);
        for figure in self.said.lines().filter(|line| line.starts_with("figure: ")) {
            println!("{figure}");
        }
    }

    /// What it asks for next; `None`: it has no more to say.
    async fn next(&mut self) -> Result<Option<Value>> {
        let speaking = async {
            while let Some(line) = self.from.next_line().await? {
                if let Some(want) = line.strip_prefix("want ") {
                    return Ok(Some(serde_json::from_str(want)?));
                }
                self.said.push_str(&line);
                self.said.push('\n');
            }
            Ok(None)
        };
        match tokio::time::timeout(SPEAKS_WITHIN, speaking).await {
            Ok(next) => next,
            Err(_) => bail!("it says nothing for {} s", SPEAKS_WITHIN.as_secs()),
        }
    }
}
