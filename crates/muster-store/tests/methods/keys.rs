//! Keys of hosts.

use muster_ids::KeyName;
use muster_store::rows::{HostFilter, HostKeyRow, KeyState};
use muster_store::{Store, StoreError};

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, pair, team_id, told};

both! {
    async fn a_name_is_known_once_and_for_ever(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_insert(&host(2))?;
            assert!(tx.host_key_insert(&host_key(1, 1))?);
            assert_eq!(tx.host_key(&key(1))?, Some(host_key(1, 1)));
            assert_eq!(tx.host_key(&key(2))?, None);
            assert!(!tx.host_key_insert(&host_key(1, 2))?, "the name is taken");
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

    async fn a_host_has_one_active_key_pair_and_perhaps_two_agent_keys(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_insert(&host(2))?;
            let of_pair = |n, host| HostKeyRow { name: pair(n), ..host_key(n, host) };
            assert!(tx.host_key_insert(&of_pair(1, 1))?);
            assert!(!tx.host_key_insert(&of_pair(2, 1))?, "the host has a key pair");
            assert!(tx.host_key_insert(&host_key(3, 2))?);
            let minted = HostKeyRow { created_by: Some("user_x".to_owned()), ticket_id: None, ..host_key(4, 2) };
            assert!(tx.host_key_insert(&minted)?);
            assert_eq!(tx.host_keys_active(host_id(2))?, [minted.clone(), host_key(3, 2)]);
            let shown = tx.host_shown(team_id(1), host_id(2))?.unwrap();
            assert_eq!(shown.keys, [key(3), key(4)]);
            assert_eq!(tx.hosts_shown(team_id(1), &HostFilter::default(), None, 9)?.len(), 2, "each host once");
            assert_eq!(tx.host_view(host_id(2))?.unwrap().seen_at, Some(at(4)));
            tx.host_key_end(&key(3), KeyState::Revoked, "user_x", at(9))?;
            assert_eq!(tx.host_keys_active(host_id(2))?, [minted]);
            Ok(())
        })
        .await;
    }

    async fn keys_are_listed_newest_first_and_by_their_team_only(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            for n in 1..=3 {
                tx.host_key_insert(&host_key(n, 1))?;
            }
            let mut names = |team, after, limit| {
                let found = tx.host_keys_shown(team_id(team), host_id(1), after, limit)?;
                Ok::<_, StoreError>(found.into_iter().map(|row| row.name).collect::<Vec<_>>())
            };
            assert_eq!(names(1, None, 2)?, [key(3), key(2)]);
            assert_eq!(names(1, Some((at(2), key(2))), 2)?, [key(1)]);
            assert_eq!(names(2, None, 9)?, []);
            Ok(())
        })
        .await;
    }

    async fn the_first_use_of_an_agent_key_stays(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            let KeyName::Agent(id) = key(1) else { panic!("an agent key") };
            for secs in [5, 9, 7] {
                tx.agent_key_used(&id, at(secs))?;
            }
            let used = tx.host_key(&key(1))?.unwrap();
            assert_eq!((used.first_used_at, used.last_used_at), (Some(at(5)), Some(at(9))));
            Ok(())
        })
        .await;
    }
}
