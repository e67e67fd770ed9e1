//! What the least possible server does: what Muster is measured against, by the same client and load.
//!
//! A floor runs as a child process of its own, as the server does, so that both share the machine with the load alike.

mod http;
mod postgres;
mod sqlite;
mod websocket;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use muster_testkit::binaries::{self, Running};
use muster_testkit::ports;
use tempfile::TempDir;
use url::Url;

use crate::stage::{Door, door};

pub(crate) use postgres::joins_with_8_connections;
pub(crate) use sqlite::single_commits;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// Which floor a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// An axum handler that parses a heartbeat and answers 204.
    Http,
    /// A WebSocket that sends back what it gets.
    Echo,
    /// WebSockets that are all sent the same bytes when somebody asks for it.
    FanOut,
    /// Fan-out over TLS, as agents speak it.
    FanOutTls,
}

impl Kind {
    const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Echo => "echo",
            Self::FanOut => "fan-out",
            Self::FanOutTls => "fan-out-tls",
        }
    }
}

/// A floor that runs.
pub(crate) struct Floor {
    pub(crate) door: Door,
    _process: Running,
    _folder: TempDir,
}

impl Floor {
    /// Starts a floor as a child of this process.
    pub(crate) async fn start(kind: Kind) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("muster-floor-").tempdir()?;
        let address = ports::free();
        let mut command = binaries::command(&std::env::current_exe()?);
        command.args(["floor", kind.word(), "--listen", &address.to_string(), "--folder"]).arg(folder.path());
        let mut process = Running::start(command, &folder.path().join("floor.log"))?;
        let is_listening = async {
            while tokio::net::TcpStream::connect(address).await.is_err() {
                if !process.is_running() {
                    bail!("the floor ended: {}", process.said());
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(())
        };
        match tokio::time::timeout(READY_WITHIN, is_listening).await {
            Ok(listening) => listening?,
            Err(_) => bail!("the floor does not listen"),
        }
        let (scheme, pins) = match kind {
            Kind::FanOutTls => ("https", vec![websocket::pin(folder.path())?]),
            _ => ("http", Vec::new()),
        };
        let url = Url::parse(&format!("{scheme}://{address}"))?;
        let door = door(url, &pins, "/v1/agent/connect")?;
        Ok(Self { door, _process: process, _folder: folder })
    }

    /// Where a fan-out is asked for: in plain, whatever the sockets speak.
    pub(crate) async fn push(&self) -> anyhow::Result<()> {
        websocket::push(self.door.url.port().unwrap_or_default()).await
    }
}

/// Serves a floor until the process is ended.
pub(crate) async fn serve(kind: Kind, listen: SocketAddr, folder: &Path) -> anyhow::Result<()> {
    match kind {
        Kind::Http => http::serve(listen).await,
        Kind::Echo => websocket::serve_echo(listen).await,
        Kind::FanOut => websocket::serve_fan_out(listen, None).await,
        Kind::FanOutTls => websocket::serve_fan_out(listen, Some(folder)).await,
    }
}
