//! Runs a command with one private PostgreSQL server for all the tests inside it.

use std::process::Command;
use std::{env, process};

use anyhow::{Context, Result};
use muster_testkit::postgres::{Cluster, URL_VARIABLE};

fn main() -> Result<()> {
    let mut arguments = env::args_os().skip(1).skip_while(|argument| argument == "--");
    let program = arguments.next().context("usage: muster-testkit-postgres -- COMMAND [ARGUMENT..]")?;
    let cluster = Cluster::start()?;
    let status = Command::new(&program)
        .args(arguments)
        .env(URL_VARIABLE, cluster.admin_url())
        .status()
        .with_context(|| format!("run {}", program.display()))?;
    drop(cluster);
    process::exit(status.code().unwrap_or(1))
}
