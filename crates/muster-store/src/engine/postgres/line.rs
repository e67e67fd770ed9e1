//! How connections to the server are made: in plain only where nobody can listen, or where it was asked for.

use std::str::FromStr;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::{Client, Config, Error, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::session::classify;
use super::tls;
use crate::StoreError;

/// The way to the server.
pub(super) struct Line {
    config: Config,
    tls: Option<MakeRustlsConnect>,
}

impl Line {
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let mut config =
            Config::from_str(url).map_err(|error| StoreError::database("read its address", error))?;
        config.keepalives_idle(Duration::from_secs(30));
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(Duration::from_secs(5));
        }
        if config.get_application_name().is_none() {
            config.application_name("muster");
        }
        config.ssl_mode(ssl_mode(&config));
        let tls = match config.get_ssl_mode() {
            SslMode::Disable => None,
            _ => Some(tls::connector()?),
        };
        Ok(Self { config, tls })
    }

    /// Returns what the pool makes its connections with.
    pub(super) fn manager(&self) -> Manager {
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        match &self.tls {
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), recycling),
            None => Manager::from_config(self.config.clone(), NoTls, recycling),
        }
    }

    /// Makes one connection outside of the pool, and a task that ends with it.
    pub(super) async fn connect(&self) -> Result<(Client, JoinHandle<Result<(), Error>>), StoreError> {
        let failed = |error| classify("connect", error);
        match &self.tls {
            Some(tls) => {
                let (client, connection) = self.config.connect(tls.clone()).await.map_err(failed)?;
                Ok((client, tokio::spawn(connection)))
            }
            None => {
                let (client, connection) = self.config.connect(NoTls).await.map_err(failed)?;
                Ok((client, tokio::spawn(connection)))
            }
        }
    }
}

/// Says `Require` or `Disable`: a connection that merely prefers TLS is plain as soon as somebody in between says so.
fn ssl_mode(config: &Config) -> SslMode {
    match config.get_ssl_mode() {
        SslMode::Prefer if stays_on_this_machine(config) => SslMode::Disable,
        SslMode::Prefer => SslMode::Require,
        asked => asked,
    }
}

/// Whether every host is loopback or a unix socket. An address wins over the name beside it, as it does in the driver.
fn stays_on_this_machine(config: &Config) -> bool {
    let (names, addresses) = (config.get_hosts(), config.get_hostaddrs());
    if !addresses.is_empty() {
        return addresses.iter().all(|address| address.to_canonical().is_loopback());
    }
    names.iter().all(|name| match name {
        Host::Unix(_) => true,
        Host::Tcp(name) => is_loopback(name),
    })
}

fn is_loopback(name: &str) -> bool {
    match name.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => name.eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests;
