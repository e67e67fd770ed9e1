//! Pebble, the directory of RFC 8555 that Let's Encrypt tests clients with: strict, and forgetful of nonces.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rcgen::{CertificateParams, KeyPair};
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::binaries::{self, Running};
use crate::imposter::Authority;
use crate::ports;

const STARTS_WITHIN: Duration = Duration::from_secs(20);

/// A Pebble that listens; it ends with its value.
#[derive(Debug)]
pub struct Pebble {
    address: SocketAddr,
    authority: Authority,
    _process: Running,
    _folder: TempDir,
}

impl Pebble {
    /// Starts one that looks for proofs at this port, and does not know so many of a hundred nonces it gave itself.
    pub async fn start(tls_port: u16, bad_nonces_percent: u8) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let authority = Authority::new("of the address of a directory");
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &authority.issuer)?;
        let file = |name: &str| folder.path().join(name);
        std::fs::write(file("key.pem"), key.serialize_pem())?;
        std::fs::write(file("certificate.pem"), certificate.pem())?;
        let (address, management) = (ports::free(), ports::free());
        let config = json!({ "pebble": {
            "listenAddress": address.to_string(), "managementListenAddress": management.to_string(),
            "certificate": file("certificate.pem"), "privateKey": file("key.pem"),
            "httpPort": ports::free().port(), "tlsPort": tls_port, "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
        } });
        std::fs::write(file("config.json"), config.to_string())?;
        let mut command = binaries::command(&binaries::installed("pebble"));
        command.arg("-strict").arg("-config").arg(file("config.json")).current_dir(folder.path());
        command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_WFE_NONCEREJECT", bad_nonces_percent.to_string());
        let mut process = Running::start(command, &file("pebble.log"))?;
        let started = async {
            while TcpStream::connect(address).await.is_err() {
                if !process.is_running() {
                    bail!("pebble ended at once:\n{}", process.said());
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        };
        tokio::time::timeout(STARTS_WITHIN, started).await.context("pebble does not start")??;
        Ok(Self { address, authority, _process: process, _folder: folder })
    }

    /// Returns its address.
    pub fn url(&self) -> String {
        format!("https://{}/dir", self.address)
    }

    /// Returns the certificate that vouches for its address, and for nothing it signs.
    pub fn authority_pem(&self) -> &str {
        self.authority.pem()
    }
}
