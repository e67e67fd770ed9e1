//! How many hosts came to each site lately, as far as that must be known.
//!
//! The bound of a site counts the hosts of an hour. Counting them anew for each machine makes a roll-out of ten thousand
//! machines count ten thousand rows ten thousand times. While a site is far from its bound no rule looks at the number,
//! so it is counted once and then only added to: hosts leave the hour, and none comes without being added before its
//! commit. Near the bound, and whenever the sum comes near it, the database counts.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_ids::SiteId;

use crate::budgets::ENTERING;

/// Hosts that may be in a transaction while another one counts: enrolments, and decisions of people.
const UNDER_WAY: u64 = 2 * ENTERING as u64;

/// By site, a number that at least as many hosts as came within the hour do not exceed.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<HashMap<SiteId, u64>>);

impl Arrivals {
    /// Returns a number that the hosts of the hour do not exceed, if all enrolments at once stay below `bound` with it.
    pub(super) fn far_below(&self, site_id: SiteId, bound: u64) -> Option<u64> {
        let most = self.sites().get(&site_id).copied()?;
        (most.saturating_add(ENTERING as u64) < bound).then_some(most)
    }

    /// Takes over what the database counted.
    pub(super) fn counted(&self, site_id: SiteId, hosts: u64) {
        self.sites().insert(site_id, hosts.saturating_add(UNDER_WAY));
    }

    /// Adds a host that is about to come to a site; one that does not come after all is no matter.
    pub fn comes(&self, site_id: SiteId) {
        if let Some(most) = self.sites().get_mut(&site_id) {
            *most = most.saturating_add(1);
        }
    }

    fn sites(&self) -> MutexGuard<'_, HashMap<SiteId, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn nothing_is_known_before_it_was_counted() {
        let (arrivals, site) = (Arrivals::default(), SiteId::from_uuid(Uuid::from_u128(1)));
        arrivals.comes(site);
        assert_eq!(arrivals.far_below(site, u64::MAX), None);
    }

    #[test]
    fn a_site_near_its_bound_is_counted_again() {
        let (arrivals, site) = (Arrivals::default(), SiteId::from_uuid(Uuid::from_u128(1)));
        arrivals.counted(site, 100);
        let near = 100 + UNDER_WAY + ENTERING as u64;
        assert_eq!(arrivals.far_below(site, near), None, "all at once could reach it");
        assert_eq!(arrivals.far_below(site, near + 1), Some(100 + UNDER_WAY));
        arrivals.comes(site);
        assert_eq!(arrivals.far_below(site, near + 1), None, "one more came");
        arrivals.counted(site, 0);
        assert!(arrivals.far_below(site, near + 1).is_some(), "the hour went on");
    }

    #[test]
    fn a_small_bound_is_always_counted() {
        let (arrivals, site) = (Arrivals::default(), SiteId::from_uuid(Uuid::from_u128(1)));
        arrivals.counted(site, 0);
        assert_eq!(arrivals.far_below(site, 100), None);
    }
}
