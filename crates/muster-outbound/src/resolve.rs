//! Names to addresses that were judged.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::Semaphore;

use crate::address::{self, Allowed, Unreachable};
use crate::error::OutboundError;
use crate::target::Host;

/// Names that are looked up at once: each takes a thread until the resolver answers, whoever waits for it or not.
const AT_ONCE: usize = 32;
/// The same for the names of one domain, whose servers may let nobody know anything for long.
const AT_ONCE_OF_ONE: usize = 4;
/// Most addresses of one name that are looked at.
const MAX_ADDRESSES: usize = 16;

type LookUp = fn(&str, u16) -> io::Result<Vec<SocketAddr>>;

#[derive(Clone)]
pub(crate) struct Resolver {
    places: Arc<Semaphore>,
    /// Only of domains that are being looked up.
    domains: Arc<Mutex<HashMap<String, Weak<Semaphore>>>>,
    look_up: LookUp,
}

impl Default for Resolver {
    fn default() -> Self {
        Self::looking_up(|name, port| Ok((name, port).to_socket_addrs()?.collect()))
    }
}

impl Resolver {
    fn looking_up(look_up: LookUp) -> Self {
        Self { places: Arc::new(Semaphore::new(AT_ONCE)), domains: Arc::default(), look_up }
    }

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
            if !allowed.covers(address.ip()) && address::is_of_this_machine(address.ip()) {
                return Err(refused(Unreachable::ThisMachine));
            }
        }
        Ok(addresses)
    }

    async fn look_up(&self, name: &str, port: u16) -> Result<Vec<SocketAddr>, OutboundError> {
        let failed = |source| OutboundError::Resolve { host: name.to_owned(), source };
        // The narrow door first: who waits there takes no place from anybody else.
        let of_domain = self.of_domain(name).acquire_owned().await.expect("the semaphore is never closed");
        let place = Arc::clone(&self.places).acquire_owned().await.expect("the semaphore is never closed");
        let (looked_for, look_up) = (name.to_owned(), self.look_up);
        let looked_up = tokio::task::spawn_blocking(move || {
            let found = look_up(&looked_for, port);
            drop((place, of_domain));
            found
        });
        let found = looked_up.await.map_err(|error| failed(Some(std::io::Error::other(error))))?;
        let found = found.map_err(|error| failed(Some(error)))?;
        let mut addresses: Vec<SocketAddr> =
            found.into_iter().map(|found| SocketAddr::new(found.ip().to_canonical(), port)).collect();
        if addresses.is_empty() {
            return Err(failed(None));
        }
        addresses.dedup();
        addresses.truncate(MAX_ADDRESSES);
        Ok(addresses)
    }

    fn of_domain(&self, name: &str) -> Arc<Semaphore> {
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        domains.retain(|_, places| places.strong_count() > 0);
        let domain = domain(name);
        if let Some(places) = domains.get(domain).and_then(Weak::upgrade) {
            return places;
        }
        let places = Arc::new(Semaphore::new(AT_ONCE_OF_ONE));
        domains.insert(domain.to_owned(), Arc::downgrade(&places));
        places
    }
}

/// Returns the last two labels of a name.
fn domain(name: &str) -> &str {
    name.rmatch_indices('.').nth(1).map_or(name, |(at, _)| &name[at + 1..])
}

#[cfg(test)]
mod tests;
