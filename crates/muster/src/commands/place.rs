use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use muster_server::backup::{Place, Progress};
use muster_store::Location;

use crate::failure::Failure;
use crate::output::Output;

/// Where a server keeps its state.
#[derive(Debug, Args)]
pub(crate) struct ServerPlace {
    /// The server's folder of master key, TLS key and embedded database
    #[arg(
        long,
        env = "MUSTER_DATA_DIR",
        hide_env_values = true,
        value_name = "DIR",
        default_value = "muster-data"
    )]
    data_dir: PathBuf,
    /// Another database than the embedded one: a SQLite file or postgres://USER@HOST/NAME
    #[arg(long, env = "MUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    database: Option<String>,
    /// File with the master key, such as a systemd credential [default: master.key in the data folder]
    #[arg(long, env = "MUSTER_MASTER_KEY_FILE", hide_env_values = true, value_name = "FILE")]
    master_key_file: Option<PathBuf>,
}

impl ServerPlace {
    pub(crate) fn place(self) -> Result<Place, Failure> {
        // Parsed here and not by clap, which would quote the password of a text that does not hold.
        let database = self.database.as_deref().map(Location::parse).transpose();
        Ok(Place {
            data_dir: self.data_dir,
            database: database.map_err(|error| Failure::usage(error.to_string(), "correct --database"))?,
            master_key_file: self.master_key_file,
        })
    }
}

/// Where a server listens.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct ServerListeners {
    /// Where operators connect: plain HTTP, on loopback only
    #[arg(
        long,
        env = "MUSTER_OPERATORS",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:8600"
    )]
    pub(crate) operators: SocketAddr,
    /// Where machines connect: TLS
    #[arg(
        long,
        env = "MUSTER_MACHINES",
        hide_env_values = true,
        value_name = "ADDRESS",
        default_value = "0.0.0.0:8643"
    )]
    pub(crate) machines: SocketAddr,
}

/// A bar on a terminal, nothing elsewhere.
pub(crate) struct Bar(Option<ProgressBar>);

impl Bar {
    pub(crate) fn new(output: Output, what: &'static str) -> Self {
        if !output.is_table() || !io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = ProgressBar::new(0).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {percent:>3} %  {eta}") {
            bar.set_style(style);
        }
        Self(Some(bar))
    }

    /// Returns what is told how much is done.
    pub(crate) fn progress(&self) -> Progress {
        let bar = self.0.clone();
        Arc::new(move |done, total| {
            if let Some(bar) = &bar {
                bar.set_length(total);
                bar.set_position(done);
            }
        })
    }

    pub(crate) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
