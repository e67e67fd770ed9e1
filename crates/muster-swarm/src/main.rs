//! Load generator: thousands of real protocol clients in one process, and the floors they are measured against.
//!
//! It starts the real server itself, speaks to it through its public interfaces only, and is no part of what is
//! installed. To add a step of scenarios see `scenario`; to add a goal of the scale card see `bench`.

mod bench;
mod card;
mod client;
mod connection;
mod crew;
mod echo;
mod figures;
mod floor;
mod load;
mod machine;
mod play;
mod proc;
mod scenario;
mod server;
mod stage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Parser, Subcommand};

use crate::bench::{Bench, Sizes};
use crate::play::Play;
use crate::server::Backend;

/// Drives a Muster server with thousands of real protocol clients
#[derive(Debug, Parser)]
#[command(name = "muster-swarm", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Play a scenario against a server of its own
    Run {
        /// The scenario: one step a line
        scenario: PathBuf,
        /// Where the server keeps its state
        #[arg(long, value_enum, default_value = "sqlite")]
        database: Backend,
        /// The server's program [default: `muster` beside this one]
        #[arg(long, value_name = "FILE")]
        muster: Option<PathBuf>,
    },
    /// Measure everything, each against its floor, and write the scale card
    Bench {
        /// Small numbers: to see that everything is measured, not to compare
        #[arg(long)]
        quick: bool,
        /// Where to write scale-card.md and scale-card.json; only shown when not said
        #[arg(long, value_name = "DIR")]
        write: Option<PathBuf>,
        /// Only this part: store, server, durable, lists, dashboard or agent
        #[arg(long, value_name = "PART")]
        only: Option<String>,
        /// The server's program [default: `muster` beside this one]
        #[arg(long, value_name = "FILE")]
        muster: Option<PathBuf>,
        /// The agent's program, linked statically
        #[arg(long, value_name = "FILE")]
        agent: Option<PathBuf>,
    },
    /// Serve a floor until killed
    #[command(hide = true)]
    Floor {
        kind: floor::Kind,
        #[arg(long)]
        listen: SocketAddr,
        #[arg(long)]
        folder: PathBuf,
    },
}

fn main() -> anyhow::Result<()> {
    let descriptors = proc::raise_descriptors();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match Cli::parse().command {
        Command::Run { scenario, database, muster } => {
            runtime.block_on(run(&scenario, database, &program(muster)?))
        }
        Command::Bench { quick, write, only, muster, agent } => {
            let sizes = if quick { Sizes::QUICK } else { Sizes::FULL };
            let bench = Bench { muster: program(muster)?, agent, sizes, only };
            let card = runtime.block_on(bench::run(&bench, descriptors));
            match write {
                Some(folder) => bench::write(&card, &folder),
                None => {
                    println!("{}", card.markdown());
                    Ok(())
                }
            }
        }
        Command::Floor { kind, listen, folder } => runtime.block_on(floor::serve(kind, listen, &folder)),
    }
}

fn program(given: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let program = match given {
        Some(program) => program,
        None => std::env::current_exe()?.with_file_name("muster"),
    };
    anyhow::ensure!(program.is_file(), "{} is missing: build it first", program.display());
    Ok(program)
}

async fn run(scenario: &Path, database: Backend, program: &Path) -> anyhow::Result<()> {
    let text =
        std::fs::read_to_string(scenario).with_context(|| format!("cannot read {}", scenario.display()))?;
    let steps = scenario::parse(&text).with_context(|| format!("cannot play {}", scenario.display()))?;
    let mut play = Play::begin(program, database).await?;
    println!("{} on {}", scenario.display(), database.name());
    for step in &steps {
        let said = play.step(step).await;
        match said {
            Ok(said) => println!("  {step:?}: {said}"),
            Err(error) => {
                eprintln!("the server said:\n{}", play.stage.server.log());
                return Err(error.context(format!("{step:?}")));
            }
        }
    }
    Ok(())
}
