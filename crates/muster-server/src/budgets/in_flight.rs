use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_http::AddressBucket;

use crate::failure::Failure;

/// How many may be in flight for one source.
const PER_SOURCE: u32 = 8;

/// How much is being done at once for each source, or whoever else: remembers only who has something in flight.
#[derive(Debug, Clone)]
pub struct InFlight<K: Eq + Hash = AddressBucket> {
    counts: Arc<Mutex<HashMap<K, u32>>>,
    most: u32,
}

impl Default for InFlight {
    fn default() -> Self {
        Self::of(PER_SOURCE)
    }
}

/// Something in flight, until it is dropped.
#[derive(Debug)]
pub struct Flight<K: Eq + Hash = AddressBucket> {
    all: InFlight<K>,
    whose: K,
}

impl<K: Eq + Hash + Copy> InFlight<K> {
    /// Lets each have so many.
    pub fn of(most: u32) -> Self {
        Self { counts: Arc::default(), most }
    }

    /// Begins something for somebody, unless they have as much in flight as they may.
    pub fn begin(&self, whose: K) -> Result<Flight<K>, Failure> {
        let mut counts = self.lock();
        let count = counts.entry(whose).or_default();
        if *count >= self.most {
            return Err(Failure::OverBudget);
        }
        *count += 1;
        Ok(Flight { all: self.clone(), whose })
    }
}

impl<K: Eq + Hash> InFlight<K> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Flight<K> {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_source_has_its_own_few_and_is_forgotten_after() {
        let all = InFlight::default();
        let source = |n: u8| AddressBucket(std::net::IpAddr::from([192, 0, 2, n]));
        let flights: Vec<Flight> = (0..PER_SOURCE).map(|_| all.begin(source(1)).unwrap()).collect();
        assert!(matches!(all.begin(source(1)), Err(Failure::OverBudget)));
        assert!(all.begin(source(2)).is_ok());
        drop(flights);
        assert!(all.lock().is_empty());
        assert!(all.begin(source(1)).is_ok());
    }
}
