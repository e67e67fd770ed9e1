//! Expiry: tickets lose what they carry, claims let go of what they hold.

use std::time::Duration;

use muster_server::reconcile;
use muster_store::{Priority, StoreError, params};
use serde_json::json;

use crate::channel::repo;
use crate::world::{Machine, World, both};

async fn secrets(world: &World) -> i64 {
    let count = |tx: &mut muster_store::Tx<'_>| {
        tx.query_one("SELECT count(*) FROM secret", params![], |row| row.get(0))
    };
    world.app.look(count).await.unwrap()
}

both! {
    /// The clock was right, or it was ahead: what lapsed by it was seen to be over.
    async fn c08_what_lapsed_stays_over_when_the_clock_is_set_back(world) {
        const HOUR: Duration = Duration::from_secs(3600);
        let minted = world.must("POST", "/v1/enrolment-tokens", Some(json!({ "secrets": repo() }))).await;
        let (token, ticket) = (minted["token"].as_str().unwrap(), &minted["ticket"]["id"]);
        let site_id = world.default_site().await;
        let body = json!({ "site_id": site_id, "expires_in_secs": 600 });
        let key = world.must("POST", "/v1/site-keys", Some(body)).await;
        let short = json!({ "name": "short", "expires_in_secs": 600 });
        let api_token = world.must("POST", "/v1/me/tokens", Some(short)).await;
        let header = format!("authorization: Bearer {}\r\n", api_token["token"].as_str().unwrap());
        let invitation = world.must("POST", "/v1/invitations", Some(json!({ "name": "Bea", "role": "viewer" }))).await;
        assert_eq!(world.ask("GET", "/v1/me", &header, None).await.status, 200);
        world.clock.advance(HOUR * 80);
        reconcile::expire(&world.app).await.unwrap();
        world.clock.set_wall(world.app.clock.now().minus(HOUR * 80));
        assert_eq!(Machine::new("one").enroll(&world, token).await.status, 401);
        assert_eq!(Machine::new("two").enroll(&world, key["token"].as_str().unwrap()).await.status, 401);
        assert_eq!(world.ask("GET", "/v1/me", &header, None).await.status, 401);
        for id in [ticket, &key["ticket"]["id"]] {
            let shown = world.must("GET", &format!("/v1/tickets/{}", id.as_str().unwrap()), None).await;
            assert_eq!(shown["status"], "expired", "{shown}");
        }
        let tokens = world.must("GET", "/v1/me/tokens", None).await;
        let shown = tokens["items"].as_array().unwrap().iter().find(|token| token["name"] == "short").unwrap();
        assert_eq!((&shown["status"], &shown["revoked_at"]), (&json!("expired"), &json!(null)), "{shown}");
        let invitations = world.must("GET", "/v1/invitations", None).await;
        assert_eq!(invitations["items"][0]["id"], invitation["invitation"]["id"]);
        assert_eq!(invitations["items"][0]["status"], "expired", "{invitations}");
    }

    async fn a_ticket_that_opens_no_door_loses_its_secrets(world) {
        let kept = world.enrolment_token(repo()).await;
        world.clock.advance(Duration::from_secs(1800));
        let minted = world.must("POST", "/v1/enrolment-tokens", Some(json!({ "secrets": repo() }))).await;
        let id = minted["ticket"]["id"].as_str().unwrap().to_owned();
        assert!(!reconcile::expire(&world.app).await.unwrap());
        assert_eq!(secrets(&world).await, 2);
        world.must("POST", &format!("/v1/tickets/{id}/revoke"), None).await;
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(secrets(&world).await, 1);
        world.clock.advance(Duration::from_secs(1900));
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(secrets(&world).await, 0);
        assert_eq!(Machine::new("late").enroll(&world, &kept).await.status, 401);
    }

    async fn a_claim_nobody_decides_lapses_after_a_week(world) {
        let key = world.site_key().await;
        let owner = Machine::new("alpha").join(&world, &key).await;
        owner.heartbeat(&world).await;
        let waiting = Machine::new("alpha").enroll(&world, &key).await;
        assert_eq!(waiting.status, 202, "{waiting:?}");
        let path = format!("/v1/claims/{}", waiting.text("claim_id"));
        world.clock.advance(Duration::from_secs(6 * 24 * 3600));
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(world.must("GET", &path, None).await["state"], "waiting");
        world.clock.advance(Duration::from_secs(2 * 24 * 3600));
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(world.must("GET", &path, None).await["state"], "expired");
        assert_eq!(world.events("claim.expired").await.len(), 1);
    }

    async fn a_secret_that_cannot_be_read_is_destroyed_with_the_others(world) {
        for name in ["a", "b"] {
            world.enrolment_token(json!({ name: { "value": name } })).await;
        }
        let spoil = world.app.store.write(Priority::Normal, |tx| {
            tx.execute("UPDATE secret SET fields = 'spoilt' WHERE name = 'a'", params![])
        });
        assert_eq!(spoil.await.map_err(|error: StoreError| error.to_string()), Ok(1));
        world.clock.advance(Duration::from_secs(2 * 24 * 3600));
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(secrets(&world).await, 0);
    }
}
