//! The agent on a machine: what it costs when nothing happens.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use muster_testkit::binaries::{self, Running};
use tempfile::TempDir;

use super::Bench;
use crate::card::{Card, GoalKind};
use crate::proc;
use crate::server::Backend;
use crate::stage::Stage;

const JOIN_WITHIN: Duration = Duration::from_secs(30);
/// Time to connect and to settle.
const SETTLE: Duration = Duration::from_secs(3);
const NONE: &str = "–";

pub(super) async fn measure(card: &mut Card, bench: &Bench) {
    let agent = bench.agent.as_deref().context("no statically linked agent was given");
    let measured = match agent {
        Ok(agent) => idle(card, bench, agent).await,
        Err(error) => Err(error),
    };
    if let Err(error) = measured {
        card.missing("the agent", NONE, &error);
    }
}

async fn idle(card: &mut Card, bench: &Bench, agent: &Path) -> anyhow::Result<()> {
    let size = std::fs::metadata(agent).context("the agent is missing")?.len();
    card.goal(GoalKind::AgentBinary, NONE, size as f64 / 1e6, None);
    let stage = Stage::open(&bench.muster, Backend::Sqlite).await?;
    let folder = TempDir::new()?;
    let state = folder.path().join("state");
    let command = || {
        let mut command = binaries::command(agent);
        command.env("MUSTER_AGENT_STATE", &state);
        command
    };
    let mut join = command();
    join.args(["join", "--stdin", "--hostname", "swarm-agent", "--machine-uid", "swarm-agent"]);
    let joined = binaries::run(join, Some(&stage.join_string), JOIN_WITHIN).await?;
    anyhow::ensure!(joined.code == 0, "the agent did not join: {}", joined.said());
    let mut run = command();
    run.arg("run");
    let running = Running::start(run, &folder.path().join("agent.log"))?;
    tokio::time::sleep(SETTLE).await;
    anyhow::ensure!(
        stage.server.metric("muster_channels").await? >= 1.0,
        "the agent did not connect: {}",
        running.said()
    );
    let before = proc::cpu_secs(running.pid())?;
    tokio::time::sleep(bench.sizes.idle_for).await;
    let used = proc::cpu_secs(running.pid())? - before;
    card.goal(GoalKind::AgentMemory, NONE, proc::rss(running.pid())? as f64 / 1024.0 / 1024.0, None);
    card.goal(GoalKind::AgentProcessor, NONE, used / bench.sizes.idle_for.as_secs_f64() * 100.0, None);
    Ok(())
}
