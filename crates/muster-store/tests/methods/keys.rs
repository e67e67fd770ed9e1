//! Keys of hosts.

use muster_store::Store;
use muster_store::rows::{HostKeyRow, KeyState};

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, told};

both! {
    async fn a_name_is_known_once_and_for_ever(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_insert(&host(2))?;
            assert!(tx.host_key_insert(&host_key(1, 1))?);
            assert_eq!(tx.host_key(&key(1))?, Some(host_key(1, 1)));
            assert_eq!(tx.host_key(&key(2))?, None);
            assert!(!tx.host_key_insert(&host_key(1, 2))?, "the name is taken");
            assert!(!tx.host_key_insert(&host_key(2, 1))?, "the host has an active key");
            assert!(tx.host_key_end(&key(1), KeyState::Replaced, "user_x", at(9))?);
            assert!(!tx.host_key_end(&key(1), KeyState::Revoked, "user_y", at(10))?);
            assert!(!tx.host_key_insert(&host_key(1, 2))?, "a former key stays taken");
            assert!(tx.host_key_insert(&host_key(2, 1))?);
            let ended = HostKeyRow {
                state: KeyState::Replaced,
                ended_at: Some(at(9)),
                ended_by: Some("user_x".to_owned()),
                ..host_key(1, 1)
            };
            assert_eq!(tx.host_keys(host_id(1))?, [ended, host_key(2, 1)]);
            assert_eq!(tx.host_keys(host_id(2))?, []);
            Ok(())
        })
        .await;
    }
}
