//! Agents, generations and configurations.

use muster_domain::generation::{Generation, Known};
use muster_store::Store;
use muster_store::rows::KeyState;
use muster_wire::channel::ConfigVersion;
use muster_wire::host::HostState;

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, team_id, told};

const fn generation(counter: u64) -> Generation {
    Generation { epoch: 0, counter }
}

both! {
    async fn a_key_says_whose_it_is_and_whether_it_still_counts(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            tx.host_key_insert(&host_key(1, 1))?;
            let agent = tx.agent_by_key(&key(1))?.unwrap();
            assert_eq!((agent.team_id, agent.host_id), (team_id(1), host_id(1)));
            assert_eq!((agent.host_state, agent.key_is_active, agent.ended_at), (HostState::Active, true, None));
            assert_eq!(agent.material, host_key(1, 1).material);
            assert_eq!(tx.agent_by_key(&key(2))?, None);
            tx.host_key_end(&key(1), KeyState::Revoked, "user_x", at(5))?;
            let agent = tx.agent_by_key(&key(1))?.unwrap();
            assert_eq!((agent.key_is_active, agent.ended_at), (false, Some(at(5))));
            assert_eq!(tx.host_state(team_id(1), host_id(1))?, Some(HostState::Active));
            assert_eq!(tx.host_state(team_id(2), host_id(1))?, None);
            Ok(())
        })
        .await;
    }

    async fn a_generation_is_issued_over_what_was_seen_and_committed_once(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 0)?;
            let fresh = Known { committed: Generation::ZERO, issued: None };
            assert_eq!(tx.key_generation(&key(1))?, fresh);
            assert!(tx.generation_begin(host_id(1), &key(1))?);
            assert!(!tx.generation_begin(host_id(1), &key(1))?);
            assert!(tx.generation_issue(&key(1), &fresh, Generation::ZERO, generation(1), "boot")?);
            let issued = Known { committed: Generation::ZERO, issued: Some(generation(1)) };
            assert_eq!(tx.key_generation(&key(1))?, issued);
            assert!(!tx.generation_issue(&key(1), &fresh, Generation::ZERO, generation(2), "boot")?);
            assert!(!tx.generation_commit(&key(1), generation(2))?, "never issued");
            assert!(tx.generation_commit(&key(1), generation(1))?);
            assert!(!tx.generation_commit(&key(1), generation(1))?, "once");
            let committed = Known { committed: generation(1), issued: None };
            assert_eq!(tx.key_generation(&key(1))?, committed);
            assert_eq!(tx.key_generation(&key(2))?, fresh, "another key begins anew");
            assert!(tx.generation_begin(host_id(1), &key(2))?);
            assert!(tx.generation_issue(&key(2), &fresh, Generation::ZERO, generation(1), "boot")?);
            assert_eq!(tx.key_generation(&key(1))?, committed, "and takes nothing from the first");
            tx.generations_forget(&[key(1), key(9)])?;
            assert_eq!(tx.key_generation(&key(1))?, fresh);
            Ok(())
        })
        .await;
    }

    async fn a_configuration_is_counted_up_and_applied_forwards_only(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_rows_insert(host_id(1), 3)?;
            assert_eq!(tx.host_config(host_id(2))?, None);
            assert!(tx.host_config_bump(host_id(1), at(1))?);
            assert!(!tx.host_config_bump(host_id(2), at(1))?);
            let config = tx.host_config(host_id(1))?.unwrap();
            assert_eq!((config.version, config.applied), (ConfigVersion { epoch: 3, n: 2 }, None));
            let version = |epoch, n| ConfigVersion { epoch, n };
            assert!(tx.host_config_sent(host_id(1), version(3, 2), at(5))?);
            assert!(tx.host_config_sent(host_id(1), version(3, 2), at(6))?);
            assert!(!tx.host_config_sent(host_id(1), version(3, 1), at(7))?, "it should have another one");
            let configured = tx.host_shown(team_id(1), host_id(1))?.unwrap().configured.unwrap();
            assert_eq!((configured.wanted, configured.changed_at), (version(3, 2), Some(at(1))));
            assert_eq!((configured.sent_at, configured.sent_times), (Some(at(6)), 2));
            assert!(tx.host_config_bump(host_id(1), at(8))?);
            let configured = tx.host_shown(team_id(1), host_id(1))?.unwrap().configured.unwrap();
            assert_eq!((configured.sent_at, configured.sent_times, configured.applied_at), (None, 0, None));
            assert!(tx.host_config_applied(host_id(1), version(3, 2), at(1))?);
            assert!(!tx.host_config_applied(host_id(1), version(3, 2), at(2))?);
            assert!(!tx.host_config_applied(host_id(1), version(2, 9), at(2))?);
            assert!(tx.host_config_applied(host_id(1), version(4, 1), at(2))?);
            assert_eq!(tx.host_config(host_id(1))?.unwrap().applied, Some(version(4, 1)));
            Ok(())
        })
        .await;
    }
}
