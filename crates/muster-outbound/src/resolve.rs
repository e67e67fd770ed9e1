//! Names to addresses that were judged.

use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::address::{self, Allowed};
use crate::error::OutboundError;
use crate::target::Host;

/// Names that are looked up at once: each takes a thread until the resolver answers, whoever waits for it or not.
const AT_ONCE: usize = 32;
/// Most addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

#[derive(Clone)]
pub(crate) struct Resolver(Arc<Semaphore>);

impl Default for Resolver {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Resolver {
    /// Resolves `host` and judges every address it has: one that is refused refuses the name.
    pub(crate) async fn checked(
        &self,
        host: &Host,
        port: u16,
        allowed: &Allowed,
    ) -> Result<Vec<SocketAddr>, OutboundError> {
        let addresses = match host {
            Host::Ip(ip) => vec![SocketAddr::new(ip.to_canonical(), port)],
            Host::Name(name) => self.look_up(name, port).await?,
        };
        for address in &addresses {
            let refused = |why| OutboundError::Refused { host: host.to_string(), why };
            address::judge(address.ip(), allowed).map_err(refused)?;
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let failed = |source| OutboundError::Resolve { host: name.to_owned(), source };
        let place = Arc::clone(&self.0).acquire_owned().await.expect("the semaphore is never closed");
        let name = name.to_owned();
        let looked_up = tokio::task::spawn_blocking({
            let name = name.clone();
            move || {
                let addresses = (name.as_str(), port).to_socket_addrs().map(|found| {
                    found
                        .map(|address| SocketAddr::new(address.ip().to_canonical(), port))
                        .collect::<Vec<_>>()
                });
                drop(place);
                addresses
            }
        });
        let found = looked_up.await.map_err(|error| failed(Some(std::io::Error::other(error))))?;
        let mut addresses = found.map_err(|error| failed(Some(error)))?;
        if addresses.is_empty() {
            return Err(failed(None));
        }
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        Ok(addresses)
    }
}
