//! Secrets and the ledger of who received them.

use muster_ids::SecretId;
use muster_store::rows::{KeyState, SecretRow};
use muster_store::{Store, StoreError, Tx};
use uuid::Uuid;

use crate::backends::both;
use crate::rows::{at, host, host_id, host_key, key, team_id, told};

pub(crate) fn secret(n: u128, host: u128, name: &str) -> SecretRow {
    SecretRow {
        id: SecretId::from_uuid(Uuid::from_u128(n)),
        team_id: team_id(1),
        owner_kind: "host".to_owned(),
        owner_id: host_id(host).to_string(),
        name: name.to_owned(),
        version: 1,
        fields: vec!["password".to_owned(), "url".to_owned()],
        blob: vec![1, 2, 3],
        updated_at: at(0),
    }
}

both! {
    async fn a_name_is_once_at_its_owner(store: Store) {
        told(&store, |tx| {
            let row = secret(1, 1, "repo");
            assert!(tx.secret_insert(&row)?);
            assert!(!tx.secret_insert(&SecretRow { id: secret(2, 1, "x").id, ..row.clone() })?);
            assert!(tx.secret_insert(&secret(3, 1, "api"))?);
            assert!(tx.secret_insert(&secret(4, 2, "repo"))?);
            let owner = host_id(1).to_string();
            assert_eq!(tx.secret(team_id(1), "host", &owner, "repo")?, Some(row.clone()));
            assert_eq!(tx.secret(team_id(2), "host", &owner, "repo")?, None);
            assert_eq!(tx.secret(team_id(1), "ticket", &owner, "repo")?, None);
            assert_eq!(tx.secrets_owned(team_id(1), "host", &owner)?, [secret(3, 1, "api"), row]);
            assert_eq!(tx.secrets_owned(team_id(2), "host", &owner)?, []);
            Ok(())
        })
        .await;
    }

    async fn a_change_counts_only_from_the_version_it_saw(store: Store) {
        told(&store, |tx| {
            tx.secret_insert(&secret(1, 1, "repo"))?;
            let owner = host_id(2).to_string();
            let next = SecretRow { version: 2, blob: vec![9], owner_id: owner.clone(), ..secret(1, 1, "repo") };
            assert!(!tx.secret_replace(&SecretRow { team_id: team_id(2), ..next.clone() }, 1)?, "another team");
            assert!(tx.secret_replace(&next, 1)?);
            assert!(!tx.secret_replace(&next, 1)?, "somebody was there before");
            assert_eq!(tx.secrets_owned(team_id(1), "host", &owner)?, [next]);
            Ok(())
        })
        .await;
    }

    async fn secrets_of_many_owners_are_read_and_written_at_once(store: Store) {
        told(&store, |tx| {
            let (one, two) = (secret(1, 1, "repo"), secret(2, 2, "repo"));
            assert_eq!(tx.secrets_insert(&[&one, &two, &SecretRow { id: secret(9, 1, "x").id, ..one.clone() }])?, 2);
            tx.secret_insert(&SecretRow { blob: vec![7; 5], ..secret(3, 1, "api") })?;
            let owners: Vec<String> = [2, 3, 1].iter().map(|n| host_id(*n).to_string()).collect();
            let found = tx.secrets_of_name(team_id(1), "host", &owners, "repo")?;
            assert_eq!(found, [Some(two.clone()), None, Some(one.clone())]);
            assert_eq!(tx.secrets_beside(team_id(1), "host", &owners, "repo")?, [(0, 0), (0, 0), (1, 5)]);
            assert_eq!(tx.secrets_beside(team_id(2), "host", &owners, "repo")?, [(0, 0); 3]);
            let of: Vec<_> = owners.iter().map(|id| (team_id(1), id.clone())).collect();
            let all = tx.secrets_of_owners("host", &of)?;
            assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 2]);
            let next = SecretRow { version: 2, ..one };
            let stale = SecretRow { version: 9, ..two };
            assert_eq!(tx.secrets_replace(&[(&next, 1), (&stale, 8)])?, [true, false]);
            let key = key(1);
            let ledger = [(next.id, 2, key), (secret(9, 1, "x").id, 1, key), (next.id, 2, key)];
            assert_eq!(tx.secrets_sent(&ledger, at(1))?, [true, false, false]);
            assert_eq!(tx.secrets_delivered(&ledger, at(2))?, [true, false, false]);
            assert_eq!(tx.secret_ledgers_drop(&[(next.id, 1), (next.id, 2)], 9)?, 1);
            Ok(())
        })
        .await;
    }

    async fn the_ledger_says_who_received_what_and_goes_with_the_secret(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            let row = secret(1, 1, "repo");
            tx.secret_insert(&row)?;
            assert!(tx.secret_sent(row.id, 1, &key(1), at(1))?);
            assert!(!tx.secret_sent(row.id, 1, &key(1), at(2))?, "recorded once");
            assert!(!tx.secret_sent(secret(9, 1, "x").id, 1, &key(1), at(2))?, "no such secret");
            assert_eq!(tx.secret_deliveries(team_id(1), host_id(1), 10)?, [], "sent is not confirmed");
            assert!(tx.secret_delivered(row.id, 1, &key(1), at(3))?);
            assert!(!tx.secret_delivered(row.id, 1, &key(1), at(4))?, "confirmed once");
            assert!(!tx.secret_delivered(secret(9, 1, "x").id, 1, &key(1), at(4))?, "no such secret");
            assert!(tx.secret_delivered(row.id, 2, &key(2), at(5))?, "a key may have what nobody remembers sending");
            let ledger = tx.secret_deliveries(team_id(1), host_id(1), 10)?;
            let shown: Vec<_> = ledger.iter().map(|row| (row.version, row.key, row.confirmed_at)).collect();
            assert_eq!(shown, [(2, key(2), at(5)), (1, key(1), at(3))]);
            assert_eq!(tx.secret_deliveries(team_id(1), host_id(1), 1)?, ledger[..1]);
            assert_eq!(tx.secret_deliveries(team_id(2), host_id(1), 10)?, []);
            assert!(!tx.secret_delete(team_id(2), row.id)?);
            assert!(tx.secret_delete(team_id(1), row.id)?);
            assert!(!tx.secret_delete(team_id(1), row.id)?);
            assert_eq!(tx.secret_deliveries(team_id(1), host_id(1), 10)?, []);
            Ok(())
        })
        .await;
    }

    async fn a_secret_is_exposed_by_what_was_sent_to_a_key_that_ended(store: Store) {
        told(&store, |tx| {
            tx.host_insert(&host(1))?;
            tx.host_key_insert(&host_key(1, 1))?;
            let (repo, api) = (secret(1, 1, "repo"), secret(2, 1, "api"));
            tx.secret_insert(&repo)?;
            tx.secret_insert(&api)?;
            let exposed = |tx: &mut Tx<'_>| {
                let shown = tx.secrets_shown(team_id(1), host_id(1))?;
                Ok::<_, StoreError>(shown.into_iter().map(|row| (row.name, row.exposed)).collect::<Vec<_>>())
            };
            let are = |api, repo| vec![("api".to_owned(), api), ("repo".to_owned(), repo)];
            tx.secret_sent(repo.id, 1, &key(1), at(1))?;
            assert_eq!(exposed(tx)?, are(false, false));
            tx.host_key_end(&key(1), KeyState::Revoked, "user_x", at(2))?;
            assert_eq!(exposed(tx)?, are(false, true), "sent, though never confirmed");
            // A ledger longer than any list hides nothing.
            for n in 100..400 {
                tx.secret_delivered(api.id, 1, &key(n), at(3))?;
            }
            assert_eq!(exposed(tx)?, are(true, true), "an unknown key is not active either");
            assert_eq!(tx.secret_deliveries(team_id(1), host_id(1), 5)?.len(), 5);
            tx.secret_replace(&SecretRow { version: 2, ..repo }, 1)?;
            assert_eq!(exposed(tx)?, are(true, false), "the value changed");
            assert_eq!(tx.secrets_shown(team_id(2), host_id(1))?, []);
            Ok(())
        })
        .await;
    }
}
