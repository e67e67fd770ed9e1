//! What hosts say about how they are, hour by hour.

use muster_ids::Timestamp;
use muster_store::Store;
use muster_store::rows::VitalsRow;

use crate::backends::both;
use crate::rows::{host, host_id, told};

/// The first hour of a day.
const MIDNIGHT: i64 = 20_000 * 24;

fn row(host: u128, hour: i64, load: Option<u32>, free: Option<u32>) -> VitalsRow {
    VitalsRow { host_id: host_id(host), hour: MIDNIGHT + hour, load_percent: load, disk_free_gb: free }
}

fn hour(hour: i64) -> Timestamp {
    row(1, hour, None, None).at()
}

both! {
    async fn hours_are_kept_in_any_order_with_gaps_and_replaced(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
            }
            tx.vitals_add(&[row(1, 5, Some(150), Some(40)), row(2, 5, None, Some(u32::MAX - 1))])?;
            assert_eq!(tx.vitals(host_id(1), hour(0))?, [row(1, 5, Some(150), Some(40))]);
            assert_eq!(tx.vitals(host_id(2), hour(0))?, [row(2, 5, None, Some(u32::MAX - 1))]);
            for (at, load) in [(23, 23), (0, 0), (6, 6), (3, 3), (24, 24), (5, 55), (23, 99), (8, 8)] {
                tx.vitals_add(&[row(1, at, Some(load), None)])?;
            }
            let expected = [(0, 0), (3, 3), (5, 55), (6, 6), (8, 8), (23, 99), (24, 24)];
            let expected: Vec<_> = expected.iter().map(|(at, load)| row(1, *at, Some(*load), None)).collect();
            assert_eq!(tx.vitals(host_id(1), hour(0))?, expected);
            assert_eq!(tx.vitals(host_id(1), hour(6))?, expected[3..]);
            assert_eq!(tx.vitals(host_id(1), hour(25))?, []);
            assert_eq!(tx.vitals(host_id(3), hour(0))?, []);
            Ok(())
        })
        .await;
    }

    async fn days_that_are_over_are_dropped(store: Store) {
        told(&store, |tx| {
            for n in [1, 2] {
                tx.host_insert(&host(n))?;
                tx.vitals_add(&[row(n.into(), 5, Some(1), None)])?;
                tx.vitals_add(&[row(n.into(), 30, Some(2), None)])?;
            }
            assert_eq!(tx.vitals_drop(hour(23), 9)?, 0, "the day is not over");
            assert_eq!(tx.vitals_drop(hour(24), 1)?, 1);
            assert_eq!(tx.vitals_drop(hour(24), 9)?, 1);
            assert_eq!(tx.vitals(host_id(1), hour(0))?, [row(1, 30, Some(2), None)]);
            Ok(())
        })
        .await;
    }
}
