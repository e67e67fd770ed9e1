use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use muster_http::AddressBucket;

use crate::failure::Failure;

/// How many may be in flight for one source.
const PER_SOURCE: u32 = 8;

/// How much is being done at once for each source: remembers only who has something in flight.
#[derive(Debug, Clone, Default)]
pub struct InFlight(Arc<Mutex<HashMap<AddressBucket, u32>>>);

/// Something in flight, until it is dropped.
#[derive(Debug)]
pub struct Flight {
    all: InFlight,
    source: AddressBucket,
}

impl InFlight {
    /// Begins something for a source, unless it has as much in flight as it may.
    pub fn begin(&self, source: AddressBucket) -> Result<Flight, Failure> {
        let mut counts = self.lock();
        let count = counts.entry(source).or_default();
        if *count >= PER_SOURCE {
            return Err(Failure::OverBudget);
        }
        *count += 1;
        Ok(Flight { all: self.clone(), source })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<AddressBucket, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut counts = self.all.lock();
        if let Some(count) = counts.get_mut(&self.source) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.source);
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
