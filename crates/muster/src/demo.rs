//! `muster demo`: the main job with real parts, in front of the user's eyes.
//!
//! The server runs in this process; agents, restic and its repository server are real processes. Every step checks
//! what it says: a step that does not hold ends the demo with its reason. To add a step, add a scene.

mod parts;
mod report;
mod scenes;
mod stage;
mod stolen_key;

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, bail};
use muster_server::serve::{self, Options};

use crate::failure::Failure;
use parts::Programs;
use report::Report;
use stage::Stage;

const EXAMPLES: &str = "\
Needs restic, rclone and the muster-agent next to this program.

Examples:
  muster demo                    # play, then keep the server and the agents running until Ctrl-C
  muster demo --once             # play in a temporary folder on free ports, then leave
  muster demo --once --json      # as one JSON document; exit code 0 only if every step held";

/// Watch the main job with real parts: server, agents, restic
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// Play once in a fresh temporary folder on free ports, then leave
    #[arg(long)]
    pub once: bool,
    /// Print one JSON document instead of lines (with --once)
    #[arg(long, requires = "once")]
    pub json: bool,
    /// The data folder
    #[arg(long, default_value = "./muster-data", conflicts_with = "once")]
    pub data_dir: PathBuf,
    /// Plain HTTP for operators; loopback only
    #[arg(long, default_value = "127.0.0.1:8600", conflicts_with = "once")]
    pub operators: SocketAddr,
    /// TLS for machines and browsers
    #[arg(long, default_value = "0.0.0.0:8643", conflicts_with = "once")]
    pub machines: SocketAddr,
}

impl Demo {
    /// Plays the demo; a step that does not hold is a failure.
    pub(crate) fn play(self) -> Result<(), Failure> {
        let in_words = |error: anyhow::Error| Failure::plain(format!("{error:#}"));
        tracing_subscriber::fmt()
            .with_env_filter("warn")
            .with_writer(std::io::stderr)
            .with_ansi(std::io::stderr().is_terminal())
            .init();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.map_err(|error| in_words(error.into()))?;
        // Children are started by this thread: they die with the thread that started them.
        match runtime.block_on(run(self)) {
            Ok(true) => Ok(()),
            Ok(false) => {
                Err(Failure::failed("the demo did not hold", "the line above says which step and why"))
            }
            Err(error) => Err(in_words(error)),
        }
    }
}

/// Plays the demo. `Ok(true)`: every step held.
async fn run(demo: Demo) -> anyhow::Result<bool> {
    let programs = Programs::find()?;
    let fresh = demo.once.then(|| tempfile::Builder::new().prefix("muster-demo-").tempdir()).transpose()?;
    let data_dir = match &fresh {
        Some(folder) => folder.path().join("data"),
        None => demo.data_dir.clone(),
    };
    let mut options = Options::new(data_dir.clone());
    (options.operators, options.machines) = if demo.once {
        (SocketAddr::from(([127, 0, 0, 1], 0)), SocketAddr::from(([127, 0, 0, 1], 0)))
    } else {
        (demo.operators, demo.machines)
    };
    let mut report = Report::new(demo.json);
    let server = report.step("server started", serve::start(options)).await?;
    let data_dir = data_dir.canonicalize().context("cannot find the data folder")?;
    let mut stage = Stage::new(programs, data_dir, server.operators, server.machines)?;
    let played = scenes::play(&mut stage, &mut report).await;
    if let Err(error) = &played {
        report.fail(error);
    }
    let held = played.is_ok();
    report.finish(held)?;
    if held && !demo.once {
        keep_running(&stage).await?;
    }
    stage.end().await;
    server.stop().await;
    if let Some(folder) = fresh {
        folder.close().context("cannot remove the demo's temporary folder")?;
    }
    Ok(held)
}

async fn keep_running(stage: &Stage) -> anyhow::Result<()> {
    let operators = stage.operators;
    println!();
    println!("  dashboard      http://{operators}/");
    if let Ok(sign_in) = std::fs::read_to_string(stage.sign_in_file()) {
        let mut lines = sign_in.lines();
        let (login, password) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
        println!("                 sign in as {login}, password {password}");
    }
    println!("  API            http://{operators}/v1");
    println!("  documentation  http://{operators}/docs");
    println!("  machines       https://127.0.0.1:{} (TLS, pinned)", stage.machines.port());
    println!("  data           {}", stage.data_dir.display());
    println!();
    println!("  Look around in another terminal:");
    println!("    muster --context {} host list", stage.context_file().display());
    println!();
    println!("The server and three agents keep running. Ctrl-C ends them.");
    let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        pressed = tokio::signal::ctrl_c() => pressed?,
        _ = terminated.recv() => {}
    }
    println!("\nstopping");
    Ok(())
}

/// Fails with `reason` unless `holds`.
fn must(holds: bool, reason: impl FnOnce() -> String) -> anyhow::Result<()> {
    if holds { Ok(()) } else { bail!(reason()) }
}
