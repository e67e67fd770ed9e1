//! Every ended key and every closed claim leaves one fact, where its host's events are.

use std::time::Duration;

use muster_server::reconcile;
use muster_store::params;
use serde_json::{Value, json};

use crate::keys::scene::{decide, join_with_secret, mint, site, twin, waiting};
use crate::world::{Machine, World, both};

/// The hosts the events of a kind are about.
async fn about(world: &World, kind: &'static str) -> Vec<Option<muster_ids::HostId>> {
    let read = world.app.look(move |tx| {
        tx.query("SELECT host_id FROM outbox WHERE kind = $1 ORDER BY seq", params![kind], |row| row.get(0))
    });
    read.await.unwrap()
}

fn verdicts(facts: &[Value]) -> Vec<&str> {
    facts.iter().map(|fact| fact["details"]["verdict"].as_str().unwrap()).collect()
}

both! {
    async fn retiring_tells_of_every_key_once(world) {
        let bearer = join_with_secret(&world, "alpha", [7; 32], json!({})).await;
        mint(&world, &bearer.host_id).await;
        let host_id: muster_ids::HostId = bearer.host_id.parse().unwrap();
        let path = format!("/v1/hosts/{host_id}");
        let preview = world.must("GET", &format!("{path}/retirement"), None).await;
        assert_eq!(preview["keys"].as_array().unwrap().len(), 2);
        let body = json!({ "preview_version": preview["preview_version"] });
        world.must("POST", &format!("{path}/retire"), Some(body)).await;
        let ended = world.audited_times("key.revoked", 2).await;
        assert!(ended.iter().all(|fact| fact["details"]["reason"] == "retired"), "{ended:?}");
        assert_eq!(about(&world, "key.revoked").await, [Some(host_id), Some(host_id)]);
        world.audited_times("key.rotated", 0).await;
    }

    async fn a_key_that_takes_the_place_of_another_is_told_of_once(world) {
        let host = world.join("alpha", json!({})).await;
        let site_key = world.site_key().await;
        let newcomer = twin("alpha");
        assert_eq!(newcomer.enroll(&world, &site_key).await.status, 202);
        let claim_id = waiting(&world).await[0]["id"].as_str().unwrap().to_owned();
        assert_eq!(decide(&world, &claim_id, "replace", false).await.status, 200);
        let rotated = world.audited_times("key.rotated", 1).await;
        assert_eq!(rotated[0]["target"], json!(host.key_name()));
        let name = muster_ids::KeyName::Pair(newcomer.key.thumbprint());
        assert_eq!(rotated[0]["details"]["replaced_by"], json!(name));
        assert_eq!(about(&world, "key.rotated").await, [Some(host.host_id)]);
        world.audited_times("key.revoked", 0).await;
    }

    async fn claims_whose_ground_falls_away_are_told_of(world) {
        let host = world.join("alpha", json!({})).await;
        let site_key = world.site_key().await;
        assert_eq!(twin("alpha").enroll(&world, &site_key).await.status, 202);
        // Its ticket is revoked.
        let id = site_key.split('_').nth(1).unwrap();
        world.must("POST", &format!("/v1/tickets/{id}/revoke"), None).await;
        assert_eq!(verdicts(&world.audited_times("claim.decided", 1).await), ["closed"]);
        // The host it contests is retired.
        let site_key = world.site_key().await;
        let machine = twin("alpha");
        assert_eq!(machine.enroll(&world, &site_key).await.status, 202);
        assert_eq!(world.retire(&host).await.status, 200);
        assert_eq!(verdicts(&world.audited_times("claim.decided", 2).await), ["closed"; 2]);
        // Another ticket lets its machine in.
        let (site_id, asking) = site(&world, "asking", json!({ "new": "approve" })).await;
        let waits = Machine::new("beta");
        assert_eq!(waits.enroll(&world, &asking).await.status, 202);
        let token = world.must("POST", "/v1/enrolment-tokens", Some(json!({ "site_id": site_id }))).await;
        assert_eq!(waits.enroll(&world, token["token"].as_str().unwrap()).await.status, 201);
        assert_eq!(verdicts(&world.audited_times("claim.decided", 3).await), ["closed"; 3]);
        let hosts = about(&world, "claim.decided").await;
        assert_eq!(hosts, [Some(host.host_id), Some(host.host_id), None]);
    }

    async fn a_claim_that_lapses_is_told_of_among_the_events_of_the_host_it_contests(world) {
        let host = world.join("alpha", json!({})).await;
        let site_key = world.site_key().await;
        assert_eq!(twin("alpha").enroll(&world, &site_key).await.status, 202);
        world.clock.advance(Duration::from_secs(8 * 24 * 3600));
        reconcile::expire(&world.app).await.unwrap();
        assert_eq!(about(&world, "claim.expired").await, [Some(host.host_id)]);
    }
}
