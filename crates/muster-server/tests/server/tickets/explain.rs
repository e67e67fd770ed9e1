//! What a ticket admits, said before and after it is minted.

use serde_json::{Value, json};

use crate::door::scene::{Machine, Person, scenes};

async fn explained(person: &Person, body: &Value) -> Value {
    person.post("/v1/tickets/explain", body).await.expect(200)
}

fn fate(explanation: &Value, machine: &str) -> Value {
    let cases = explanation["cases"].as_array().unwrap();
    let case = cases.iter().find(|case| case["machine"] == machine);
    case.map_or(Value::Null, |case| case["fate"].clone())
}

scenes! {
    async fn what_is_said_before_minting_is_said_after_it(scene) {
        let site = scene.admin.site("berlin", json!({ "surge": 9, "reimage": "auto" })).await;
        let secrets = json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } });
        let token = json!({
            "host_name": "web-1", "site_id": site, "tags": ["web"], "secrets": secrets, "ephemeral_hours": 3,
        });
        let invited = scene.admin.post("/v1/hosts", &json!({ "name": "db-1", "site_id": site })).await.expect(201);
        let host = invited["host"]["id"].as_str().unwrap();
        let key = json!({ "site_id": site, "max_uses": 4, "expires_in_secs": 900 });
        let asked = [
            ("/v1/enrolment-tokens".to_owned(), token.clone(), json!({ "enrolment_token": token })),
            ("/v1/site-keys".to_owned(), key.clone(), json!({ "site_key": key })),
            (
                format!("/v1/hosts/{host}/registration-token"),
                json!({}),
                json!({ "registration_token": { "host_id": host, "token": {} } }),
            ),
        ];
        let before_any = scene.admin.get("/v1/tickets").await.expect(200)["items"].as_array().unwrap().len();
        let mut told = Vec::new();
        for (_, _, asked) in &asked {
            told.push(explained(&scene.admin, asked).await);
        }
        let after = scene.admin.get("/v1/tickets").await.expect(200)["items"].as_array().unwrap().len();
        assert_eq!(before_any, after, "nothing was minted");
        for ((path, body, _), before) in asked.iter().zip(&mut told) {
            let minted = scene.admin.post(path, body).await.expect(201);
            let id = minted["ticket"]["id"].as_str().unwrap();
            let mut after = scene.admin.get(&format!("/v1/tickets/{id}/explain")).await.expect(200);
            assert_eq!(before["until"].is_null(), after["until"].is_null());
            (before["until"], after["until"]) = (Value::Null, Value::Null);
            assert_eq!(*before, after, "{path}");
        }
        let [token, key, registration] = &told[..] else { panic!("three doors") };
        let gives = json!({
            "host_id": null, "rejoin": false, "host_name": "web-1", "tags": ["web"], "secrets": ["repo"],
            "ephemeral_hours": 3,
        });
        assert_eq!((&token["gives"], &token["hosts_left"]), (&gives, &json!(1)));
        assert_eq!((&key["hosts_left"], &key["surge_per_hour"], &key["key_pair_required"]), (&json!(4), &json!(9), &json!(true)));
        assert_eq!(fate(key, "reimaged_long_ago"), json!({ "outcome": "rekeyed" }));
        assert_eq!(fate(key, "new_without_key_pair"), json!({ "outcome": "refused", "cause": "key_required" }));
        assert_eq!(fate(registration, "new"), json!({ "outcome": "registered" }));
    }

    async fn a_ticket_that_is_over_says_why_and_how_many_are_left(scene) {
        let site = scene.admin.default_site().await;
        let (token, id) = scene.admin.enrolment_token(json!({})).await;
        Machine::new("m").admitted(&scene, &token, 201).await;
        let spent = scene.admin.get(&format!("/v1/tickets/{id}/explain")).await.expect(200);
        assert_eq!((&spent["closed_by"], &spent["hosts_left"]), (&json!("spent_by_another_key"), &json!(0)));
        let (_, id) = scene.admin.site_key(&site).await;
        let open = scene.admin.get(&format!("/v1/tickets/{id}/explain")).await.expect(200);
        assert_eq!((&open["closed_by"], &open["hosts_left"], &open["until"]), (&Value::Null, &Value::Null, &Value::Null));
        scene.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        let revoked = scene.admin.get(&format!("/v1/tickets/{id}/explain")).await.expect(200);
        assert_eq!((&revoked["closed_by"], fate(&revoked, "same_host")), (&json!("revoked"), json!({ "outcome": "same" })));
    }

    async fn what_could_not_be_minted_is_not_explained(scene) {
        let ask = async |body: Value| scene.admin.post("/v1/tickets/explain", &body).await;
        let secrets = json!({ "enrolment_token": { "secrets": { "repo": { "url": "/x" } } } });
        ask(secrets).await.invalid("/enrolment_token/secrets/repo/password", "missing");
        ask(json!({ "site_key": { "site_id": "x" } })).await.refused(422, "validation");
        let unknown = ask(json!({ "site_key": { "site_id": "site_00000000000000000000000000000000" } })).await;
        unknown.refused(404, "not_found");
        let invited = scene.admin.post("/v1/hosts", &json!({ "name": "h" })).await.expect(201);
        let host = invited["host"]["id"].clone();
        let rejoin = json!({ "registration_token": { "host_id": host, "token": { "rejoin": true } } });
        ask(rejoin).await.refused(409, "host_not_active");
        let olga = scene.owner("one").await;
        let foreign = json!({ "registration_token": { "host_id": host } });
        let foreign = olga.post("/v1/tickets/explain", &foreign).await;
        assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
        let site = scene.admin.default_site().await;
        let (_, id) = scene.admin.site_key(&site).await;
        let foreign = olga.get(&format!("/v1/tickets/{id}/explain")).await;
        assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id());
    }
}
