//! `require_key`: per site, and per ticket at every door.

use serde_json::{Value, json};

use crate::door::scene::{Machine, scenes, token_and_id};

scenes! {
    async fn every_door_can_ask_for_a_key_pair(scene) {
        let site = scene.admin.site("lax", json!({ "require_key": false })).await;
        let bound = |mut body: Value| {
            body["require_key"] = json!(true);
            body
        };
        let mint = async |path: &str, body: Value| {
            token_and_id(&scene.admin.post(path, &body).await.expect(201)).0
        };
        let invite = async |body: Value| {
            let made = scene.admin.post("/v1/hosts", &body).await.expect(201);
            (made["registration"]["token"].as_str().unwrap().to_owned(), made["host"]["id"].clone())
        };
        let (invited, host) = invite(bound(json!({ "name": "h", "site_id": site }))).await;
        let tokens = [
            mint("/v1/enrolment-tokens", bound(json!({ "site_id": site }))).await,
            mint("/v1/site-keys", bound(json!({ "site_id": site }))).await,
            invited,
        ];
        for token in &tokens {
            let refused = Machine::without_pair("old").enroll(&scene, token).await;
            refused.invalid("/agent_secret", "key_pair_required");
            // The ticket is not spent by the refusal.
            Machine::new("new").admitted(&scene, token, 201).await;
        }
        let rejoin = format!("/v1/hosts/{}/registration-token", host.as_str().unwrap());
        let token = mint(&rejoin, json!({ "rejoin": true, "require_key": true })).await;
        Machine::without_pair("old").enroll(&scene, &token).await.invalid("/agent_secret", "key_pair_required");
        let token = mint("/v1/site-keys", json!({ "site_id": site })).await;
        Machine::without_pair("old").admitted(&scene, &token, 201).await;
    }

    async fn a_reissued_invitation_asks_for_a_key_pair_as_before(scene) {
        let body = json!({ "name": "h", "require_key": true, "ephemeral_hours": 5 });
        let made = scene.admin.post("/v1/hosts", &body).await.expect(201);
        assert_eq!((&made["host"]["ephemeral_hours"], &made["registration"]["ticket"]["require_key"]), (&json!(5), &json!(true)));
        let path = format!("/v1/hosts/{}/registration-token", made["host"]["id"].as_str().unwrap());
        let again = scene.admin.post(&path, &json!({})).await.expect(201);
        assert_eq!((&again["ticket"]["require_key"], &again["ticket"]["ephemeral_hours"]), (&json!(true), &json!(5)));
        let lax = scene.admin.post(&path, &json!({ "require_key": false })).await.expect(201);
        assert_eq!(lax["ticket"]["require_key"], false);
        let (token, _) = token_and_id(&lax);
        Machine::without_pair("old").admitted(&scene, &token, 201).await;
    }

    async fn an_invitation_lives_as_long_as_was_said(scene) {
        let made = scene.admin.post("/v1/hosts", &json!({ "name": "h", "expires_in_secs": 86400 })).await.expect(201);
        let ticket = &made["registration"]["ticket"];
        let moment = |field: &str| ticket[field].as_str().unwrap().parse::<muster_ids::Timestamp>().unwrap();
        assert_eq!(moment("expires_at").since(moment("created_at")).as_secs(), 86400);
        let refused = scene.admin.post("/v1/hosts", &json!({ "name": "h", "expires_in_secs": 1 })).await;
        refused.invalid("/expires_in_secs", "out_of_range");
    }
}
