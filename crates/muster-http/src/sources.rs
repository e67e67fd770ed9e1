//! How many connections one source has open that nobody vouches for.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::{AddressBucket, ClientAddress, TrustedProxies};

/// Open connections by source; at most as many entries as connections.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    open: Arc<Mutex<HashMap<AddressBucket, usize>>>,
    most: usize,
    most_of_loopback: usize,
    proxies: Arc<TrustedProxies>,
}

/// One connection's place at its source, until it is dropped.
#[derive(Debug)]
pub(crate) struct AtSource {
    sources: Sources,
    bucket: AddressBucket,
}

impl Sources {
    pub(crate) fn new(most: usize, most_of_loopback: usize, proxies: Arc<TrustedProxies>) -> Self {
        Self { open: Arc::default(), most, most_of_loopback, proxies }
    }

    /// Takes a place of the source of a connection. `None`: it has as many open as it may.
    pub(crate) fn take(&self, peer: SocketAddr) -> Option<AtSource> {
        let address = ClientAddress(peer.ip().to_canonical());
        let speaks_for_others = address.0.is_loopback() || self.proxies.contains(address.0);
        let most = if speaks_for_others { self.most_of_loopback } else { self.most };
        let bucket = address.bucket();
        let mut open = self.open();
        let count = open.get(&bucket).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        open.insert(bucket, count + 1);
        Some(AtSource { sources: self.clone(), bucket })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<AddressBucket, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for AtSource {
    fn drop(&mut self) {
        let mut open = self.sources.open();
        match open.get_mut(&self.bucket) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.bucket);
            }
        }
    }
}

#[cfg(test)]
mod tests;
