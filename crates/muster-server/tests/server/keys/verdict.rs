//! The verdict `move`: the machine takes the host over, and the host comes to its site.

use muster_wire::channel::{ServerMessage, close};
use serde_json::json;

use crate::keys::scene::{bytes, decide, repo, site, twin, waiting};
use crate::world::{Joined, Machine, World, both};

/// A host at the default site, and a machine of its hardware that waits at another one.
async fn conflict(world: &World) -> (Joined, Machine, String, String, String) {
    let host = world.join("alpha", repo()).await;
    let (there, there_key) = site(world, "there", json!({})).await;
    let machine = twin("alpha");
    let first = machine.enroll(world, &there_key).await;
    first.problem(409, "site_conflict");
    assert!(!first.raw_body.contains(&host.host_id.to_string()[5..]), "it learns of no host");
    assert_eq!(bytes(&first), bytes(&machine.enroll(world, &there_key).await));
    let claims = waiting(world).await;
    assert_eq!(claims.len(), 1);
    (host, machine, there, there_key, claims[0]["id"].as_str().unwrap().to_owned())
}

both! {
    async fn k8_the_host_moves_with_the_machine_when_a_person_says_so(world) {
        let (host, machine, there, there_key, claim_id) = conflict(&world).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let claim = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
        assert_eq!(claim["verdicts"], json!(["move", "new", "reject"]));
        assert_eq!((&claim["site_id"], &claim["contested"]["secrets"]), (&json!(there), &json!(["repo"])));
        assert_eq!(claim["contested"]["site_id"], world.default_site().await.as_str());
        let decided = decide(&world, &claim_id, "move", true).await;
        assert_eq!((decided.status, decided.text("state")), (200, "moved".to_owned()), "{decided:?}");
        assert_eq!(decided.text("result_host_id"), host.host_id.to_string());
        assert!(matches!(socket.message().await, ServerMessage::Revoked { .. }));
        socket.closes_with(close::REVOKED).await;
        host.heartbeat(&world).await.problem(401, "key_revoked");
        let shown = world.host(&host).await;
        let key = muster_ids::KeyName::Pair(machine.key.thumbprint());
        assert_eq!((&shown["site_id"], &shown["keys"]), (&json!(there), &json!([key])));
        let joined = machine.join(&world, &there_key).await;
        assert_eq!(joined.host_id, host.host_id);
        let mut socket = joined.dial(&world).await;
        let generation = socket.welcome(&joined, &world, None).await;
        assert_eq!(socket.acknowledge(&generation, json!([])).await.secrets.iter().count(), 1);
        for action in ["host.moved", "host.rekeyed", "key.rotated", "claim.decided"] {
            world.audited_times(action, 1).await;
        }
    }

    async fn without_secrets_they_are_destroyed(world) {
        let (host, _, _, _, claim_id) = conflict(&world).await;
        assert_eq!(decide(&world, &claim_id, "move", false).await.status, 200);
        let left = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(left["items"], json!([]));
    }

    async fn other_claims_on_the_host_are_closed_with_the_move(world) {
        let (_, _, _, _, claim_id) = conflict(&world).await;
        let here = world.site_key().await;
        let third = twin("alpha");
        assert_eq!(third.enroll(&world, &here).await.status, 202);
        assert_eq!(decide(&world, &claim_id, "move", true).await.status, 200);
        assert_eq!(waiting(&world).await.len(), 0);
        third.enroll(&world, &here).await.problem(409, "site_conflict");
    }

    async fn b16_a_move_on_evidence_that_changed_is_refused(world) {
        let (host, _, there, _, claim_id) = conflict(&world).await;
        let seen = world.must("GET", &format!("/v1/claims/{claim_id}"), None).await;
        let decision = json!({
            "verdict": "move", "evidence_version": seen["evidence_version"], "with_secrets": true
        });
        let path = format!("/v1/claims/{claim_id}/decision");
        // A secret more than the person saw.
        let secret = format!("/v1/hosts/{}/secrets/api", host.host_id);
        world.must("PUT", &secret, Some(json!({ "token": "t" }))).await;
        let before = world.host(&host).await;
        world.admin("POST", &path, Some(decision.clone())).await.problem(409, "claim_stale");
        assert_eq!(world.host(&host).await, before);
        // The host came to the site meanwhile: there is nothing to move, and the machine asks again.
        let body = json!({ "site_id": there });
        world.must("POST", &format!("/v1/hosts/{}/move", host.host_id), Some(body)).await;
        world.admin("POST", &path, Some(decision)).await.problem(409, "claim_not_waiting");
    }

    async fn the_verdict_fits_a_conflict_of_sites_and_a_host_that_is_active(world) {
        let (host, _, _, _, claim_id) = conflict(&world).await;
        decide(&world, &claim_id, "replace", true).await.problem(409, "verdict_not_possible");
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        decide(&world, &claim_id, "move", true).await.problem(409, "not_possible");
        assert_eq!(world.host(&host).await["state"], "suspended");
        world.must("POST", &format!("/v1/hosts/{}/resume", host.host_id), None).await;
        let here = world.site_key().await;
        let contests = twin("alpha").enroll(&world, &here).await;
        let id = contests.text("claim_id");
        decide(&world, &id, "move", true).await.problem(409, "verdict_not_possible");
        assert_eq!(decide(&world, &claim_id, "reject", false).await.status, 200);
    }
}
