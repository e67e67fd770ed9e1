//! Why machines were not admitted, where operators look.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::door::scene::{Answer, Machine, Scene, scenes, token_and_id};

fn request_id(answer: &Answer) -> String {
    answer.header("x-request-id").unwrap().to_owned()
}

async fn causes(scene: &Scene, ticket: &str) -> BTreeMap<String, u64> {
    let page = scene.admin.get(&format!("/v1/tickets/{ticket}/refusals")).await.expect(200);
    let row = |row: &Value| (row["cause"].as_str().unwrap().to_owned(), row["count"].as_u64().unwrap());
    page["items"].as_array().unwrap().iter().map(row).collect()
}

async fn found(scene: &Scene, request: &str) -> Vec<Value> {
    let page = scene.admin.get(&format!("/v1/refusals?request_id={request}")).await.expect(200);
    page["items"].as_array().unwrap().clone()
}

#[track_caller]
fn assert_counted(causes: &BTreeMap<String, u64>, expected: &[(&str, u64)]) {
    let expected: BTreeMap<String, u64> = expected.iter().map(|(word, n)| ((*word).to_owned(), *n)).collect();
    assert_eq!(*causes, expected);
}

scenes! {
    async fn every_cause_of_a_one_time_token_is_counted(scene) {
        let (token, id) = scene.admin.enrolment_token(json!({ "require_key": true })).await;
        let wrong = format!("{}{}", &token[..20], "x".repeat(token.len() - 20));
        assert_eq!(Machine::new("typo").enroll(&scene, &wrong).await.status, 401, "no bearer string at all");
        let other = forged(&token, "mse");
        Machine::new("guess").enroll(&scene, &other).await.refused(401, "enrollment_rejected");
        Machine::new("guess").enroll(&scene, &other).await.refused(401, "enrollment_rejected");
        Machine::new("kind").enroll(&scene, &forged(&token, "mss")).await.refused(401, "enrollment_rejected");
        Machine::without_pair("old").enroll(&scene, &token).await.invalid("/agent_secret", "key_pair_required");
        Machine::new("m").admitted(&scene, &token, 201).await;
        Machine::new("second").enroll(&scene, &token).await.refused(401, "enrollment_rejected");
        let expected =
            [("wrong_secret", 2), ("wrong_kind", 1), ("key_required", 1), ("spent_by_another_key", 1)];
        assert_counted(&causes(&scene, &id).await, &expected);
        assert_eq!(scene.events("token.presented_by_second_key").await, [id]);
    }

    async fn every_cause_of_a_site_key_is_counted(scene) {
        let site = scene.admin.site("one", json!({ "require_key": false, "surge": 3 })).await;
        let (token, id) = scene.admin.site_key(&site).await;
        let elsewhere = scene.admin.site("two", json!({})).await;
        let (other, other_id) = scene.admin.site_key(&elsewhere).await;
        let machine = Machine::new("m");
        let host = machine.admitted(&scene, &token, 201).await;
        let clone = machine.twin();
        clone.waits(&scene, &token, "collision").await;
        clone.waits(&scene, &token, "collision").await;
        let conflict = machine.twin();
        for _ in 0..3 {
            conflict.enroll(&scene, &other).await.refused(409, "site_conflict");
        }
        scene.admin.step(&format!("/v1/hosts/{host}/suspend")).await.expect(200);
        machine.enroll(&scene, &token).await.refused(403, "host_suspended");
        scene.admin.step(&format!("/v1/hosts/{host}/resume")).await.expect(200);
        scene.admin.retire(&host).await.expect(200);
        machine.enroll(&scene, &token).await.refused(401, "key_revoked");
        machine.twin().waits(&scene, &token, "retired").await;
        let rejected = Machine::new("r");
        for n in 0..2 {
            Machine::new(&format!("n{n}")).admitted(&scene, &token, 201).await;
        }
        let claim = rejected.waits(&scene, &token, "surge").await;
        scene.admin.decide(&claim, "reject").await.expect(200);
        rejected.enroll(&scene, &token).await.refused(403, "claim_rejected");
        scene.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        Machine::new("late").enroll(&scene, &token).await.refused(401, "enrollment_rejected");
        let expected = [
            ("waits_collision", 1), ("host_suspended", 1), ("key_revoked", 1), ("waits_retired", 1),
            ("waits_surge", 1), ("claim_rejected", 1), ("revoked", 1),
        ];
        assert_counted(&causes(&scene, &id).await, &expected);
        assert_counted(&causes(&scene, &other_id).await, &[("site_conflict", 3)]);
    }

    async fn what_a_machine_quotes_is_found_by_its_own_team_alone(scene) {
        let site = scene.admin.default_site().await;
        let body = json!({ "site_id": site, "expires_in_secs": 300 });
        let (token, id) = token_and_id(&scene.admin.post("/v1/site-keys", &body).await.expect(201));
        scene.clock.advance(Duration::from_secs(301));
        let mut quoted = Vec::new();
        for n in 0..3 {
            quoted.push(request_id(&Machine::new(&format!("m{n}")).enroll(&scene, &token).await));
        }
        for request in &quoted {
            let items = found(&scene, request).await;
            assert_eq!(items.len(), 1, "{request}");
            assert_eq!((&items[0]["ticket_id"], &items[0]["cause"]), (&json!(id), &json!("expired")));
            assert_eq!((&items[0]["request_id"], &items[0]["source"]), (&json!(request), &json!("127.0.0.1")));
        }
        let olga = scene.owner("one").await;
        let foreign = olga.get(&format!("/v1/refusals?request_id={}", quoted[0])).await;
        let absent = olga.get("/v1/refusals?request_id=req_00000000000000000000000000000000").await;
        assert_eq!((foreign.status, &foreign.raw_body), (200, &absent.raw_body));
        scene.admin.get("/v1/refusals").await.refused(400, "invalid_query");
    }

    async fn a_flood_fills_neither_a_ticket_nor_what_is_no_ticket(scene) {
        let site = scene.admin.default_site().await;
        let (token, id) = scene.admin.site_key(&site).await;
        scene.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        let unknown = token.replace(&id, "0aB1cD2eF3gH");
        let unknown = forged(&unknown, "mss");
        let mut first = String::new();
        for n in 0..40 {
            let answer = Machine::new(&format!("m{n}")).enroll(&scene, &token).await;
            if n == 0 {
                first = request_id(&answer);
            }
            Machine::new(&format!("u{n}")).enroll(&scene, &unknown).await.refused(401, "enrollment_rejected");
        }
        assert_counted(&causes(&scene, &id).await, &[("revoked", 40)]);
        assert!(found(&scene, &first).await.is_empty(), "the oldest made place");
        let rows = |sql: &'static str| {
            scene.app.look(move |tx| tx.query_one(sql, muster_store::params![], |row| row.get::<i64>(0)))
        };
        assert_eq!(rows("SELECT count(*) FROM refusal").await.unwrap(), 1);
        assert_eq!(rows("SELECT count(*) FROM refused_request").await.unwrap(), 32);
    }
}

/// The same id with a secret, or a kind, that is not its own; well-formed.
fn forged(token: &str, kind: &str) -> String {
    use secrecy::ExposeSecret;
    let id =
        muster_ids::Bearer::parse(token).map_or_else(|| token[4..16].parse().unwrap(), |bearer| bearer.id);
    let kind = match kind {
        "mss" => muster_ids::BearerKind::SiteKey,
        _ => muster_ids::BearerKind::EnrolmentToken,
    };
    muster_ids::Bearer::new(kind, id, [7; 32]).expose().expose_secret().to_owned()
}
