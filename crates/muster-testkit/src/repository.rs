//! A restic repository server with user and password: `rclone serve restic`, which dies with its value.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::net::TcpStream;

use crate::binaries::{self, Running};

/// A repository server that listens.
#[derive(Debug)]
pub struct RepositoryServer {
    address: SocketAddr,
    user: String,
    password: String,
    _rclone: Running,
}

impl RepositoryServer {
    /// Starts a server over `folder`; its log goes beside it.
    pub async fn start(folder: &Path, user: &str, password: &str) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let address = crate::ports::free();
        let mut command = binaries::command(&binaries::installed("rclone"));
        command
            .args(["serve", "restic", "--config", "/dev/null", "--addr", &address.to_string()])
            .arg(folder);
        command.env("RCLONE_USER", user).env("RCLONE_PASS", password);
        let mut rclone = Running::start(command, &folder.with_extension("rclone.log"))?;
        for _ in 0..500 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Self {
                    address,
                    user: user.to_owned(),
                    password: password.to_owned(),
                    _rclone: rclone,
                });
            }
            if !rclone.is_running() {
                bail!("rclone ended at once: {}", rclone.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("rclone does not listen on {address}")
    }

    /// Returns the repository as restic spells it, without credentials.
    pub fn url(&self) -> String {
        format!("rest:http://{}/", self.address)
    }

    /// Asks restic itself for the ids of the snapshots.
    pub async fn snapshots(&self, repository_password: &str) -> Result<Vec<String>> {
        let cache = tempfile::tempdir()?;
        let mut command = binaries::command(&binaries::installed("restic"));
        command.args(["snapshots", "--json", "--no-lock", "--cache-dir"]).arg(cache.path());
        command
            .env(
                "RESTIC_REPOSITORY",
                format!("rest:http://{}:{}@{}/", self.user, self.password, self.address),
            )
            .env("RESTIC_PASSWORD", repository_password);
        let ended = binaries::run(command, None, Duration::from_secs(30)).await?;
        if ended.code != 0 {
            bail!("restic cannot list the snapshots: {}", ended.err);
        }
        let listed: serde_json::Value =
            serde_json::from_str(&ended.out).context("restic answered something else")?;
        let snapshots = listed.as_array().context("restic answered no list")?;
        Ok(snapshots.iter().filter_map(|snapshot| snapshot["id"].as_str()).map(str::to_owned).collect())
    }
}
