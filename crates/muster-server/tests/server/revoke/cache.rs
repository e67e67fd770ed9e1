//! What is known of a key costs no look at the database, and ends with its right.

use muster_store::{MIGRATIONS, Migration};
use serde_json::json;

use crate::keys::scene::{join_with_secret, revoke};
use crate::world::both;

both! {
    /// The proof that no heartbeat asks the database: there is nobody to ask.
    async fn a_heartbeat_needs_no_database(world) {
        let bearer = join_with_secret(&world, "printer", [7; 32], json!({})).await;
        assert_eq!(bearer.heartbeat(&world).await.status, 200);
        let mut list: Vec<Migration> = MIGRATIONS.to_vec();
        list.push((u32::try_from(list.len()).unwrap() + 1, "test", "ALTER TABLE host_key RENAME TO hidden"));
        world.app.store.migrate(Vec::leak(list), world.app.clock.now()).await.unwrap();
        for _ in 0..3 {
            assert_eq!(bearer.heartbeat(&world).await.status, 200);
        }
        let unknown = unknown_key();
        let refused = world.ask("POST", &format!("/v1/hosts/{}/heartbeat", bearer.host_id), &unknown, Some(json!({}))).await;
        assert_eq!(refused.status, 500, "who is not known must be looked up: {refused:?}");
    }

    async fn b20_a_known_key_is_refused_with_the_reply_of_its_revocation(world) {
        for round in 0..20_u8 {
            let bearer = join_with_secret(&world, &format!("printer-{round}"), [round; 32], json!({})).await;
            assert_eq!(bearer.heartbeat(&world).await.status, 200);
            let key = bearer.key.parse().unwrap();
            assert!(world.app.credentials.get(&key).is_some());
            assert_eq!(revoke(&world, &bearer.host_id, &bearer.key).await.status, 200);
            assert!(world.app.credentials.get(&key).is_none());
            bearer.heartbeat(&world).await.problem(401, "key_revoked");
            assert!(world.app.credentials.get(&key).is_none(), "a key that may not act is never kept");
        }
    }

    /// Machines that never stop asking while their key is revoked: none is let in after the reply.
    async fn b20_a_key_in_constant_use_is_refused_after_the_reply(world) {
        let world = std::sync::Arc::new(world);
        for round in 0..5_u8 {
            let bearer = std::sync::Arc::new(join_with_secret(&world, &format!("busy-{round}"), [100 + round; 32], json!({})).await);
            let is_answered = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
            let asking: Vec<_> = (0..4)
                .map(|_| {
                    let (world, bearer, is_answered) = (world.clone(), bearer.clone(), is_answered.clone());
                    tokio::spawn(async move {
                        loop {
                            let was_answered = is_answered.load(std::sync::atomic::Ordering::SeqCst);
                            let status = bearer.heartbeat(&world).await.status;
                            if was_answered {
                                return status;
                            }
                        }
                    })
                })
                .collect();
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            assert_eq!(revoke(&world, &bearer.host_id, &bearer.key).await.status, 200);
            is_answered.store(true, std::sync::atomic::Ordering::SeqCst);
            for asked in asking {
                assert_eq!(asked.await.unwrap(), 401, "round {round}");
            }
        }
    }

    async fn a_suspended_host_is_let_in_again_as_soon_as_it_resumes(world) {
        let bearer = join_with_secret(&world, "printer", [7; 32], json!({})).await;
        assert_eq!(bearer.heartbeat(&world).await.status, 200);
        let path = format!("/v1/hosts/{}", bearer.host_id);
        world.must("POST", &format!("{path}/suspend"), None).await;
        bearer.heartbeat(&world).await.problem(403, "host_suspended");
        world.must("POST", &format!("{path}/resume"), None).await;
        assert_eq!(bearer.heartbeat(&world).await.status, 200);
    }
}

/// The header of a well-formed agent key that nobody was given.
fn unknown_key() -> String {
    use muster_ids::{Bearer, BearerKind, PublicId};
    use secrecy::ExposeSecret;
    let bearer = Bearer::new(BearerKind::AgentKey, PublicId::from_entropy([9; 16]), [9; 32]);
    format!("authorization: Bearer {}\r\n", bearer.expose().expose_secret())
}
