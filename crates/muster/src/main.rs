//! Muster: server, command line and demo in one binary.

mod cli;
mod commands;
mod context;
mod demo;
mod failure;
mod follow;
mod input;
mod lookup;
mod operator;
mod output;
mod span;
mod words;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
