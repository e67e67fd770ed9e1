//! A mail server, aiosmtpd, which dies with its value.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::net::TcpStream;

use crate::binaries::Running;
use crate::{ports, python};

const PACKAGES: [&str; 3] = ["aiosmtpd==1.4.6", "atpublic==9.0.0", "attrs==26.1.0"];

/// How a mail server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security<'a> {
    /// Without encryption.
    Plain,
    /// STARTTLS, required, with this certificate and key.
    Starttls(&'a Path, &'a Path),
    /// TLS from the first byte, with this certificate and key.
    Tls(&'a Path, &'a Path),
}

/// A mail server that listens.
#[derive(Debug)]
pub struct MailServer {
    address: SocketAddr,
    folder: PathBuf,
    _python: Running,
}

impl MailServer {
    /// Starts a server that writes mail into `folder`; who signs in is `user` and a password, if anybody must.
    pub async fn start(folder: &Path, security: Security<'_>, user: Option<(&str, &str)>) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let address = ports::free();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/mail.py");
        let mut command = python::venv(&PACKAGES).command("python");
        command.arg(script).arg("--port").arg(address.port().to_string()).arg("--folder").arg(folder);
        let (word, certificate) = match security {
            Security::Plain => ("plain", None),
            Security::Starttls(certificate, key) => ("starttls", Some((certificate, key))),
            Security::Tls(certificate, key) => ("tls", Some((certificate, key))),
        };
        command.args(["--security", word]);
        if let Some((certificate, key)) = certificate {
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        if let Some((user, password)) = user {
            command.args(["--user", user, "--password", password]);
        }
        let mut python = Running::start(command, &folder.with_extension("mail.log"))?;
        for _ in 0..1000 {
            if TcpStream::connect(address).await.is_ok() {
                return Ok(Self { address, folder: folder.to_owned(), _python: python });
            }
            if !python.is_running() {
                bail!("the mail server ended at once: {}", python.said());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the mail server does not listen on {address}")
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Refuses mail from now on, or takes it again.
    pub fn refuse(&self, refuse: bool) -> Result<()> {
        let file = self.folder.join("refuse");
        if refuse {
            fs::write(file, "")?
        } else {
            fs::remove_file(file)?
        }
        Ok(())
    }

    /// Returns the mail it took, the oldest first.
    pub fn mail(&self) -> Result<Vec<Value>> {
        let mut files: Vec<PathBuf> = fs::read_dir(&self.folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .collect();
        files.sort();
        files.iter().map(|file| Ok(serde_json::from_slice(&fs::read(file)?)?)).collect()
    }
}
