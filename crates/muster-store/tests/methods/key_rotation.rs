//! Keys that follow keys, and what agents know of the server's own.

use muster_ids::{KeyName, SecretId};
use muster_store::rows::{AgedKeyRow, HostKeyRow, KeyState, SecretRow, TrustRow};
use muster_store::{Store, StoreError, Tx};
use muster_wire::host::HostState;

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, pair, team_id, ticket, ticket_id, told};
use muster_wire::ticket::TicketKind;

fn active(n: u32, host: u32) -> HostKeyRow {
    HostKeyRow { name: pair(n), ..host_key(n, host) }
}

fn next(n: u32, host: u32) -> HostKeyRow {
    HostKeyRow { state: KeyState::Next, ticket_id: None, ..active(n, host) }
}

both! {
    async fn one_next_key_a_host_which_is_promoted_once(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            assert!(tx.host_key_insert(&active(1, 1))?);
            assert!(tx.host_key_insert(&next(2, 1))?);
            assert!(!tx.host_key_insert(&next(3, 1))?, "the host has a next key");
            let names = |keys: Vec<HostKeyRow>| keys.iter().map(|key| key.name).collect::<Vec<KeyName>>();
            assert_eq!(names(tx.host_keys_live(host_id(1))?), [pair(2), pair(1)]);
            assert_eq!(names(tx.host_keys_active(host_id(1))?), [pair(1)]);
            let row = tx.agent_by_key(&pair(2))?.unwrap();
            assert_eq!((row.key_is_active, row.key_is_next, row.may_act(), row.may_connect()), (false, true, false, true));
            let row = tx.agent_by_key(&pair(1))?.unwrap();
            assert_eq!((row.key_is_next, row.may_connect()), (false, true));

            assert!(tx.host_key_end(&pair(1), KeyState::Replaced, "jkt:x", at(9))?);
            assert!(tx.host_key_promote(&pair(2), &pair(1))?);
            assert!(!tx.host_key_promote(&pair(2), &pair(1))?, "it is no next key any more");
            assert_eq!(names(tx.host_keys_active(host_id(1))?), [pair(2)]);
            assert!(tx.host_key_insert(&next(3, 1))?);
            assert!(tx.host_key_end(&pair(3), KeyState::Revoked, "user_x", at(10))?, "a next key ends like another");
            assert!(!tx.agent_by_key(&pair(3))?.unwrap().may_connect());
            Ok(())
        })
        .await;
    }

    async fn b20_what_went_to_a_rotated_key_is_exposed_once_it_shows_itself(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&active(1, 1))?;
            tx.host_key_insert(&next(2, 1))?;
            let repo = SecretRow {
                id: SecretId::from_uuid(uuid::Uuid::from_u128(1)),
                team_id: team_id(1),
                owner_kind: "host".to_owned(),
                owner_id: host_id(1).to_string(),
                name: "repo".to_owned(),
                version: 1,
                fields: Vec::new(),
                blob: vec![1],
                updated_at: at(0),
            };
            tx.secret_insert(&repo)?;
            tx.secret_sent(repo.id, 1, &pair(1), at(1))?;
            tx.host_key_end(&pair(1), KeyState::Replaced, "jkt:x", at(9))?;
            tx.secrets_inherited(&pair(1), &pair(2))?;
            tx.host_key_promote(&pair(2), &pair(1))?;
            let exposed = |tx: &mut Tx<'_>| {
                Ok::<_, StoreError>(tx.secrets_shown(team_id(1), host_id(1))?[0].exposed)
            };
            tx.host_key_was_shown(&pair(2))?;
            assert!(!exposed(tx)?, "the active one is shown all day");
            tx.host_key_was_shown(&pair(1))?;
            assert!(exposed(tx)?);
            tx.host_key_was_shown(&pair(1))?;
            assert!(exposed(tx)?);
            Ok(())
        })
        .await;
    }

    async fn a_suspended_host_opens_no_channel_with_its_next_key(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&active(1, 1))?;
            tx.host_key_insert(&next(2, 1))?;
            tx.host_move(team_id(1), host_id(1), HostState::Active, HostState::Suspended)?;
            assert!(!tx.agent_by_key(&pair(2))?.unwrap().may_connect());
            Ok(())
        })
        .await;
    }

    async fn old_key_pairs_are_found_until_their_hosts_are_asked(store: Store) {
        told(&store, |tx| {
            for n in 1..=3 {
                tx.host_insert(&host(n))?;
                tx.host_key_insert(&active(n, n))?;
            }
            tx.host_insert(&host(4))?;
            tx.host_key_insert(&host_key(4, 4))?;
            let aged = |n: u32| AgedKeyRow { team_id: team_id(1), host_id: host_id(n.into()), name: pair(n) };
            assert_eq!(tx.host_keys_aged(at(3), 9)?, [aged(1), aged(2)]);
            assert_eq!(tx.host_keys_aged(at(100), 2)?, [aged(1), aged(2)], "no agent key is among them");
            assert_eq!(tx.host_rotation_asked(host_id(1))?, None);
            assert!(tx.host_rotation_ask(host_id(1), at(50))?);
            assert!(!tx.host_rotation_ask(host_id(1), at(60))?);
            assert_eq!(tx.host_rotation_asked(host_id(1))?, Some(at(50)));
            assert_eq!(tx.host_keys_aged(at(100), 9)?, [aged(2), aged(3)]);
            tx.hosts_rotation_done(&[host_id(1), host_id(9)])?;
            assert_eq!(tx.host_rotation_asked(host_id(1))?, None);
            assert_eq!(tx.hosts_active_count()?, 4);
            Ok(())
        })
        .await;
    }

    async fn what_agents_keep_is_counted_and_remembered(store: Store) {
        told(&store, |tx| {
            for n in 1..=2 {
                tx.host_insert(&host(n))?;
                tx.host_key_insert(&active(n, n))?;
            }
            tx.host_insert(&host(3))?;
            tx.host_key_insert(&host_key(3, 3))?;
            let counted = |row: muster_store::rows::PinsKeptRow| (row.hosts, row.kept);
            assert_eq!(counted(tx.pins_kept(at(5))?), (2, 0), "machines without a key pair keep no pins");
            tx.host_pins_kept(host_id(1), Some(at(5)))?;
            tx.host_pins_kept(host_id(2), Some(at(4)))?;
            assert_eq!(counted(tx.pins_kept(at(5))?), (2, 1));
            tx.host_pins_kept(host_id(1), None)?;
            assert_eq!(counted(tx.pins_kept(at(0))?), (2, 1));
            // Its first host key names no ticket that is there: what it was told dates from its own making.
            let trust = tx.host_trust(host_id(2))?.unwrap();
            assert_eq!(trust, TrustRow { pins_issued_at: Some(at(4)), told_at: host(2).created_at });
            tx.ticket_insert(&ticket(1, TicketKind::SiteKey))?;
            let minted_at = tx.ticket_by_id(&ticket_id(1))?.unwrap().created_at;
            assert_eq!(tx.host_trust(host_id(2))?.unwrap().told_at, minted_at);
            assert_eq!(tx.host_trust(host_id(9))?, None);
            Ok(())
        })
        .await;
    }
}
