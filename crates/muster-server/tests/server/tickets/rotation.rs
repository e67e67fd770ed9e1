//! `/v1/site-keys/{ticket_id}/rotate`: two keys for a while, one of them never again after it.

use std::time::Duration;

use serde_json::{Value, json};

use crate::door::scene::{Machine, Scene, scenes, token_and_id};

const HOUR: u64 = 3600;

async fn rotate(scene: &Scene, id: &str, body: Value) -> crate::door::scene::Answer {
    scene.admin.post(&format!("/v1/site-keys/{id}/rotate"), &body).await
}

async fn status(scene: &Scene, id: &str) -> Value {
    scene.admin.get(&format!("/v1/tickets/{id}")).await.expect(200)["status"].clone()
}

scenes! {
    async fn k3_both_keys_admit_until_the_overlap_is_over(scene) {
        let site = scene.admin.default_site().await;
        let (former, former_id) = scene.admin.site_key(&site).await;
        let home = Machine::new("home");
        home.admitted(&scene, &former, 201).await;
        let minted = rotate(&scene, &former_id, json!({ "overlap_secs": HOUR })).await.expect(201);
        let (next, next_id) = token_and_id(&minted);
        let shown = scene.admin.get(&format!("/v1/tickets/{former_id}")).await.expect(200);
        assert_eq!((&shown["status"], &shown["rotation"]["to"]), (&json!("rotated"), &json!(next_id)));
        Machine::new("a").admitted(&scene, &former, 201).await;
        Machine::new("b").admitted(&scene, &next, 201).await;
        scene.clock.advance(Duration::from_secs(HOUR));
        let late = Machine::new("late");
        let refused = late.enroll(&scene, &former).await;
        refused.refused(401, "enrollment_rejected");
        let unknown = late.enroll(&scene, &former.replace(&former_id, "0aB1cD2eF3gH")).await;
        assert_eq!(unknown.status, 401, "the one 401");
        Machine::new("c").admitted(&scene, &next, 201).await;
        home.admitted(&scene, &former, 200).await;
        assert_eq!(status(&scene, &former_id).await, "rotated_out");
        let why = scene.admin.get(&format!("/v1/tickets/{former_id}/refusals")).await.expect(200);
        assert_eq!(why["items"][0]["cause"], "rotated_out");
        assert_eq!(scene.audited("ticket.rotated").await.len(), 1);
        let of_status = async |word: &str| {
            let page = scene.admin.get(&format!("/v1/tickets?status={word}")).await.expect(200);
            page["items"].as_array().unwrap().len()
        };
        assert_eq!((of_status("rotated_out").await, of_status("rotated").await, of_status("open").await), (1, 0, 1));
    }

    async fn the_successor_is_as_the_former_one_was_unless_somebody_says_otherwise(scene) {
        let site = scene.admin.site("lab", json!({ "require_key": false })).await;
        let body = json!({
            "site_id": site, "max_uses": 7, "require_key": true, "ephemeral_hours": 12, "expires_in_secs": 9000,
        });
        let (_, id) = token_and_id(&scene.admin.post("/v1/site-keys", &body).await.expect(201));
        scene.clock.advance(Duration::from_secs(1000));
        let minted = rotate(&scene, &id, json!({})).await.expect(201);
        let ticket = &minted["ticket"];
        assert_eq!(
            (&ticket["site_id"], &ticket["max_uses"], &ticket["require_key"], &ticket["ephemeral_hours"]),
            (&json!(site), &json!(7), &json!(true), &json!(12))
        );
        let life = |ticket: &Value| {
            let moment = |field: &str| ticket[field].as_str().unwrap().parse::<muster_ids::Timestamp>().unwrap();
            moment("expires_at").since(moment("created_at")).as_secs()
        };
        assert_eq!(life(ticket), 9000);
        let (_, next_id) = token_and_id(&minted);
        let asked = json!({ "max_uses": 2, "expires_in_secs": 600 });
        let third = rotate(&scene, &next_id, asked).await.expect(201);
        assert_eq!((&third["ticket"]["max_uses"], life(&third["ticket"])), (&json!(2), 600));
        let former = scene.admin.get(&format!("/v1/tickets/{next_id}")).await.expect(200);
        let until = former["rotation"]["both_admit_until"].as_str().unwrap().parse::<muster_ids::Timestamp>();
        let overlap = until.unwrap().since(scene.app.clock.now()).as_secs();
        assert!((7 * 24 * HOUR - 10..=7 * 24 * HOUR).contains(&overlap), "{overlap}");
    }

    async fn only_the_newest_of_a_chain_is_rotated_and_any_is_revoked_at_once(scene) {
        let site = scene.admin.default_site().await;
        let (former, former_id) = scene.admin.site_key(&site).await;
        let (next, next_id) = token_and_id(&rotate(&scene, &former_id, json!({})).await.expect(201));
        rotate(&scene, &former_id, json!({})).await.refused(409, "already_rotated");
        scene.admin.step(&format!("/v1/tickets/{former_id}/revoke")).await.expect(200);
        Machine::new("a").enroll(&scene, &former).await.refused(401, "enrollment_rejected");
        Machine::new("b").admitted(&scene, &next, 201).await;
        assert_eq!(status(&scene, &former_id).await, "revoked");
        scene.admin.step(&format!("/v1/tickets/{next_id}/revoke")).await.expect(200);
        rotate(&scene, &next_id, json!({})).await.refused(409, "ticket_revoked");
        rotate(&scene, &former_id, json!({})).await.refused(409, "ticket_revoked");
    }

    async fn without_an_overlap_the_former_key_admits_nobody_any_more(scene) {
        let site = scene.admin.default_site().await;
        let (former, former_id) = scene.admin.site_key(&site).await;
        rotate(&scene, &former_id, json!({ "overlap_secs": 0 })).await.expect(201);
        Machine::new("a").enroll(&scene, &former).await.refused(401, "enrollment_rejected");
        let too_long = rotate(&scene, &former_id, json!({ "overlap_secs": 31 * 24 * HOUR })).await;
        too_long.invalid("/overlap_secs", "out_of_range");
    }

    async fn a_lost_reply_of_a_rotation_is_asked_for_again(scene) {
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        let path = format!("/v1/site-keys/{id}/rotate");
        let key = [("idempotency-key", "rotation-1")];
        let first = scene.admin.send("POST", &path, Some(&json!({})), &key).await.expect(201);
        assert_eq!(scene.admin.send("POST", &path, Some(&json!({})), &key).await.expect(201), first);
    }

    async fn no_other_ticket_and_nobody_elses_key_is_rotated(scene) {
        let (_, token) = scene.admin.enrolment_token(json!({})).await;
        let absent = rotate(&scene, "0aB1cD2eF3gH", json!({})).await;
        absent.refused(404, "not_found");
        rotate(&scene, &token, json!({})).await.refused(404, "not_found");
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        let olga = scene.owner("one").await;
        let foreign = olga.post(&format!("/v1/site-keys/{id}/rotate"), &json!({})).await;
        assert_eq!(foreign.body_without_request_id(), absent.body_without_request_id());
        assert_eq!(status(&scene, &id).await, "open");
    }

    async fn people_who_rotate_one_key_at_once_get_one_successor(scene) {
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        let rotations: Vec<_> = (0..6)
            .map(|_| {
                let (admin, path) = (scene.admin.clone(), format!("/v1/site-keys/{id}/rotate"));
                tokio::spawn(async move { admin.post(&path, &json!({})).await.status })
            })
            .collect();
        let mut statuses = Vec::new();
        for rotation in rotations {
            statuses.push(rotation.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 409, 409, 409, 409, 409]);
        assert_eq!(scene.admin.get("/v1/tickets").await.expect(200)["items"].as_array().unwrap().len(), 2);
    }
}
