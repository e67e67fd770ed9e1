//! A real OpenID Connect provider on loopback (npm package `oidc-provider`) whose people sign in by themselves.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::binaries::{self, Running};
use crate::{http, npm, ports};

const ANSWERS_WITHIN: Duration = Duration::from_secs(10);
/// Node starts, and makes keys.
const STARTS_WITHIN: Duration = Duration::from_secs(30);
const ISSUER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// The one client.
pub const CLIENT_ID: &str = "muster";
/// What it authenticates with; long, so that a search for it finds nothing else.
pub const CLIENT_SECRET: &str = "canary-of-the-oidc-client-secret-4f1c9d2e7a";

/// A provider that listens; it ends with its value.
#[derive(Debug)]
pub struct OidcProvider {
    address: SocketAddr,
    process: Running,
    _folder: TempDir,
}

impl OidcProvider {
    /// Starts a provider whose client may send browsers back to these addresses; `accounts`: claims by subject.
    pub async fn start(
        redirect_uris: &[String],
        accounts: &Value,
        claims_in_user_info: bool,
    ) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let packages = npm::installed("oidc");
        // To a browser, another address is another site.
        let address = SocketAddr::from((ISSUER, ports::free().port()));
        let client = json!({
            "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "redirect_uris": redirect_uris,
        });
        let config = json!({ "port": address.port(), "clients": [client], "accounts": accounts });
        let mut command = binaries::command(&binaries::installed("node"));
        command.arg(packages.join("provider.mjs")).arg(config.to_string()).current_dir(&packages);
        command.env("CLAIMS_IN_USERINFO", if claims_in_user_info { "1" } else { "0" });
        let mut process = Running::start(command, &folder.path().join("oidc.log"))?;
        let started = async {
            while !process.said().contains("ready\n") {
                if !process.is_running() {
                    bail!("the provider ended at once:\n{}", process.said());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(STARTS_WITHIN, started).await.context("the provider does not start")??;
        Ok(Self { address, process, _folder: folder })
    }

    /// Returns its issuer: another site than a server at `127.0.0.1`.
    pub fn issuer(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets who signs in next (`who`), what accounts hold (`accounts`), how tokens are forged (`forge`).
    pub async fn set(&self, state: &Value) -> Result<Value> {
        self.ask("PUT", &state.to_string()).await
    }

    /// Returns what is set, and how often its documents were `fetched`.
    pub async fn state(&self) -> Result<Value> {
        self.ask("GET", "").await
    }

    /// Returns the address of a page of its site that goes to `url`, which is percent-encoded already.
    pub fn page_to(&self, url: &str) -> String {
        format!("{}/test/page?to={url}", self.issuer())
    }

    /// Stops it.
    pub fn kill(&mut self) {
        self.process.kill9();
    }

    async fn ask(&self, method: &str, body: &str) -> Result<Value> {
        let request = format!(
            "{method} /test/state HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address,
            body.len()
        );
        let answer = http::ask(self.address, request.as_bytes(), ANSWERS_WITHIN).await?;
        let answer = answer.context("the provider closed without an answer")?;
        if answer.status != 200 {
            bail!("the provider answered {}; it said:\n{}", answer.status, self.process.said());
        }
        Ok(answer.json())
    }
}
