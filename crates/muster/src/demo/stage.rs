//! What the scenes share: the server's addresses, the operator, the machines.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use muster_client::{Dialer, OperatorClient, ProxyRules, Timeouts};
use muster_ids::{HostId, SiteId};
use muster_wire::host::{Host, Presence};
use secrecy::SecretString;
use url::Url;

use super::parts::{Machine, Programs, RepositoryServer};

/// What the scenes share.
pub(super) struct Stage {
    pub(super) programs: Programs,
    pub(super) data_dir: PathBuf,
    pub(super) operators: SocketAddr,
    pub(super) machines: SocketAddr,
    pub(super) dialer: Dialer,
    pub(super) base: Url,
    pub(super) operator: Option<OperatorClient>,
    pub(super) site_id: Option<SiteId>,
    pub(super) site_key: Option<muster_wire::ticket::MintedTicket>,
    pub(super) repository: Option<RepositoryServer>,
    pub(super) running: Vec<Machine>,
    folder: PathBuf,
}

impl Stage {
    pub(super) fn new(
        programs: Programs,
        data_dir: PathBuf,
        operators: SocketAddr,
        machines: SocketAddr,
    ) -> anyhow::Result<Self> {
        let now = muster_edge::Clock::system().now();
        let folder = data_dir.join("demo").join(now.as_millis().to_string());
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self {
            programs,
            data_dir,
            operators,
            machines,
            dialer: Dialer::new(&[], ProxyRules::none(), Timeouts::default())?,
            base: Url::parse(&format!("http://{operators}"))?,
            operator: None,
            site_id: None,
            site_key: None,
            repository: None,
            running: Vec::new(),
            folder,
        })
    }

    /// The folder of this play.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where login and password of the demo's owner are, for the dashboard.
    pub(super) fn sign_in_file(&self) -> PathBuf {
        self.data_dir.join("demo").join("dashboard-sign-in")
    }

    /// Where the command line finds the demo's operator.
    pub(super) fn context_file(&self) -> PathBuf {
        self.data_dir.join("demo").join("context.toml")
    }

    /// A client of the API, with a token or without.
    pub(super) fn client(&self, token: Option<SecretString>) -> OperatorClient {
        OperatorClient::new(self.dialer.clone(), self.base.clone(), token, None)
    }

    /// The operator of the demo's team.
    pub(super) fn operator(&self) -> anyhow::Result<&OperatorClient> {
        self.operator.as_ref().context("the demo has no operator yet")
    }

    /// A machine of this play; its hardware is unlike that of any other play.
    pub(super) fn machine(&self, name: &str, hardware: &str) -> Machine {
        let play =
            self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Machine::new(&self.folder, name, &format!("demo-{play}-{hardware}"))
    }

    /// Writes a file that only the user may read.
    pub(super) fn write_private(&self, file: &Path, text: &str) -> anyhow::Result<()> {
        let mut options = fs::OpenOptions::new();
        let mut file = options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(file)
            .with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file.write_all(text.as_bytes())?)
    }

    pub(super) async fn host(&self, id: HostId) -> anyhow::Result<Host> {
        Ok(self.operator()?.get(&format!("/v1/hosts/{id}")).await?)
    }

    /// Waits until a host is online and has confirmed what it should have.
    pub(super) async fn online(&self, id: HostId) -> anyhow::Result<Host> {
        until("the host does not come online", Duration::from_secs(30), async || {
            let host = self.host(id).await?;
            let is_there = host.presence.status == Presence::Online && host.presence.last_seen_at.is_some();
            let is_set = host.config.as_ref().is_some_and(|config| config.applied == Some(config.wanted));
            Ok((is_there && is_set).then_some(host))
        })
        .await
    }

    /// Ends every program of the demo.
    pub(super) async fn end(&mut self) {
        for machine in &mut self.running {
            machine.stop().await;
        }
        if let Some(repository) = &mut self.repository {
            repository.stop().await;
        }
    }
}

/// Asks again and again until there is an answer, within `patience`.
pub(super) async fn until<T>(
    otherwise: &str,
    patience: Duration,
    mut ask: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let asking = async {
        loop {
            if let Some(answer) = ask().await? {
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    match tokio::time::timeout(patience, asking).await {
        Ok(answer) => answer,
        Err(_) => bail!("{otherwise} within {} s", patience.as_secs()),
    }
}
