//! The agent's process: hardened, one thread, one command.

use std::process::ExitCode;

use clap::Parser;
use muster_agent::cli::{self, Cli};
use muster_agent::error::Exit;
use muster_agent::hardening;

fn main() -> ExitCode {
    let cli = Cli::parse();
    ExitCode::from(begin(cli) as u8)
}

fn begin(cli: Cli) -> Exit {
    if let Err(cause) = hardening::harden() {
        eprintln!("error: the process could not be hardened: {cause}");
        return Exit::Failed;
    }
    // Somebody else's provider is as good: there is one in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // One thread: restic dies with the thread that starts it, which must live as long as the agent.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(cli::main(cli)),
        Err(cause) => {
            eprintln!("error: the agent could not start: {cause}");
            Exit::Failed
        }
    }
}
