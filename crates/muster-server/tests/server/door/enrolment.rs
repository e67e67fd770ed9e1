//! `POST /v1/enroll`: one ticket, one host; a retry is safe; a refusal says nothing.

use serde_json::json;

use crate::door::scene::{Answer, Machine, scenes};

scenes! {
    async fn b15_of_64_machines_with_one_token_exactly_one_becomes_a_host(server) {
        let server = std::sync::Arc::new(server);
        let (token, _) = server.admin.enrolment_token(json!({})).await;
        let knocks: Vec<_> = (0..64)
            .map(|n| {
                let (server, token) = (server.clone(), token.clone());
                tokio::spawn(async move { Machine::new(&format!("m{n}")).enroll(&server, &token).await })
            })
            .collect();
        let mut statuses = Vec::new();
        for knock in knocks {
            statuses.push(knock.await.unwrap().status);
        }
        assert_eq!(statuses.iter().filter(|status| **status == 201).count(), 1, "{statuses:?}");
        assert_eq!(statuses.iter().filter(|status| **status == 401).count(), 63, "{statuses:?}");
        assert_eq!(server.admin.hosts().await.len(), 1);
    }

    async fn c02_a_retry_by_the_same_key_gets_the_same_host_and_another_key_gets_none(server) {
        let (token, id) = server.admin.enrolment_token(json!({})).await;
        let machine = Machine::new("web1");
        let first = machine.enroll(&server, &token).await.expect(201);
        assert_eq!(first["disposition"], "new");
        let again = machine.enroll(&server, &token).await.expect(200);
        assert_eq!((&again["host_id"], &again["disposition"]), (&first["host_id"], &first["disposition"]));
        assert_eq!(again["replayed"], true);
        Machine::new("web2").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        server.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        assert_eq!(machine.admitted(&server, &token, 200).await, first["host_id"]);
        let refusals = server.admin.get(&format!("/v1/tickets/{id}/refusals")).await.expect(200);
        assert_eq!(refusals["items"][0]["cause"], "spent_by_another_key");
        assert_eq!(refusals["items"][0]["count"], 1);
    }

    async fn a_ticket_carries_name_tags_and_secrets_to_its_host(server) {
        let request = json!({
            "host_name": "Mail at night", "tags": ["prod", "mail"],
            "secrets": { "repo": { "url": "rest:https://backup.example/h/", "password": "p" } }
        });
        let minted = server.admin.post("/v1/enrolment-tokens", &request).await.expect(201);
        assert_eq!(minted["ticket"]["secrets"], json!(["repo"]));
        assert_eq!(minted["ticket"]["status"], "open");
        assert!(minted["join_string"].as_str().unwrap().starts_with("muster1."));
        let token = minted["token"].as_str().unwrap();
        let host_id = Machine::new("mail").admitted(&server, token, 201).await;
        let host = server.admin.host(&host_id).await;
        assert_eq!(host["name"], "Mail at night");
        assert_eq!(host["tags"], json!(["mail", "prod"]));
        assert_eq!((&host["kind"], &host["state"], &host["door"]), (&json!("shared"), &json!("active"), &json!(1)));
        assert_eq!(host["presence"]["status"], "never_seen");
        assert_eq!(host["reported"]["hostname"], "mail");
        let preview = server.admin.get(&format!("/v1/hosts/{host_id}/retirement")).await.expect(200);
        assert_eq!(preview["secrets"], json!(["repo"]));
        let path = format!("/v1/tickets/{}", minted["ticket"]["id"].as_str().unwrap());
        let ticket = server.admin.get(&path).await.expect(200);
        assert_eq!((&ticket["status"], &ticket["uses"], &ticket["secrets"]), (&json!("spent"), &json!(1), &json!([])));
        assert_eq!(ticket["last_host_id"], host_id.as_str());
    }

    async fn b11_every_refused_ticket_gets_the_same_bytes(server) {
        let (good, id) = server.admin.enrolment_token(json!({})).await;
        let (other, _) = server.admin.enrolment_token(json!({})).await;
        let (spent, _) = server.admin.enrolment_token(json!({})).await;
        Machine::new("first").admitted(&server, &spent, 201).await;
        let mut answers: Vec<Answer> = Vec::new();
        let stranger = || Machine::new("stranger");
        answers.push(stranger().enroll(&server, &spent).await);
        // The right id with the secret of another token, its checksum made anew.
        let secret = other.splitn(3, '_').nth(2).unwrap();
        answers.push(stranger().enroll(&server, &forged("mse", &id, secret)).await);
        answers.push(stranger().enroll(&server, &forged("mse", "AAAAAAAAAAAA", secret)).await);
        answers.push(stranger().enroll(&server, &forged("mss", &id, good.splitn(3, '_').nth(2).unwrap())).await);
        answers.push(stranger().enroll(&server, &server.admin.token).await);
        answers.push(stranger().enroll(&server, "mse_nonsense").await);
        server.admin.step(&format!("/v1/tickets/{id}/revoke")).await.expect(200);
        answers.push(stranger().enroll(&server, &good).await);
        let expected = answers[0].body_without_request_id();
        for answer in &answers {
            answer.refused(401, "enrollment_rejected");
            assert_eq!(answer.body_without_request_id(), expected);
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
            assert_eq!(answer.head.lines().count(), answers[0].head.lines().count());
        }
        assert_eq!(server.admin.hosts().await.len(), 1);
    }

    async fn a_wrong_secret_is_counted_after_the_reply(server) {
        let (_, id) = server.admin.enrolment_token(json!({})).await;
        let (other, _) = server.admin.enrolment_token(json!({})).await;
        let token = forged("mse", &id, other.splitn(3, '_').nth(2).unwrap());
        Machine::new("m").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        let path = format!("/v1/tickets/{id}/refusals");
        server.becomes(&path, "/items/0/cause", "wrong_secret").await;
    }

    async fn a_machine_without_a_key_pair_joins_and_joins_again(server) {
        let (token, _) = server.admin.enrolment_token(json!({})).await;
        let machine = Machine::without_pair("printer");
        let first = machine.enroll(&server, &token).await.expect(201);
        assert_eq!(first["agent_key_id"].as_str().unwrap().len(), 12);
        let again = machine.enroll(&server, &token).await.expect(200);
        assert_eq!((&again["host_id"], &again["agent_key_id"]), (&first["host_id"], &first["agent_key_id"]));
        Machine::without_pair("other").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let needs_pair = Machine::without_pair("tv").enroll(&server, &site_key).await;
        needs_pair.refused(422, "validation");
        assert_eq!(needs_pair.body["errors"][0]["pointer"], "/agent_secret");
    }

    async fn both_keys_or_neither_is_refused_with_a_pointer(server) {
        let (token, _) = server.admin.enrolment_token(json!({})).await;
        let machine = Machine::new("m");
        let mut both = machine.request();
        both["agent_secret"] = "A".repeat(43).into();
        let answer = machine.enroll_with(&server, &token, &both).await;
        answer.refused(422, "validation");
        assert_eq!(answer.body["errors"][0]["pointer"], "/agent_secret");
        let bearer = format!("authorization: Bearer {token}\r\n");
        let answer = server.ask("POST", "/v1/enroll", &bearer, Some(machine.request())).await;
        answer.invalid("/agent_secret", "missing");
    }

    async fn an_invited_host_is_registered_with_the_newest_token_only(server) {
        let request = json!({ "name": "db1", "provider": "Hetzner", "zone": "fsn1", "tags": ["db"] });
        let invited = server.admin.post("/v1/hosts", &request).await.expect(201);
        let host_id = invited["host"]["id"].as_str().unwrap();
        assert_eq!(invited["host"]["state"], "invited");
        let path = format!("/v1/hosts/{host_id}/registration-token");
        let newer = server.admin.post(&path, &json!({})).await.expect(201);
        let machine = Machine::new("db1");
        let older = invited["registration"]["token"].as_str().unwrap();
        machine.enroll(&server, older).await.refused(401, "enrollment_rejected");
        let token = newer["token"].as_str().unwrap();
        let reply = machine.enroll(&server, token).await.expect(201);
        assert_eq!((&reply["host_id"], &reply["disposition"]), (&json!(host_id), &json!("registered")));
        assert_eq!(machine.enroll(&server, token).await.expect(200)["replayed"], true);
        let host = server.admin.host(host_id).await;
        assert_eq!((&host["state"], &host["door"], &host["tags"]), (&json!("active"), &json!(2), &json!(["db"])));
        assert_eq!((&host["provider"], &host["zone"]), (&json!("Hetzner"), &json!("fsn1")));
        server.admin.post(&path, &json!({})).await.refused(409, "host_not_invited");
    }

    async fn a_rejoin_token_gives_an_active_host_a_new_key(server) {
        let (token, _) = server.admin.enrolment_token(json!({})).await;
        let machine = Machine::new("web");
        let host_id = machine.admitted(&server, &token, 201).await;
        let path = format!("/v1/hosts/{host_id}/registration-token");
        let rejoin = server.admin.post(&path, &json!({ "rejoin": true })).await.expect(201);
        let fresh = machine.twin();
        let reply = fresh.enroll(&server, rejoin["token"].as_str().unwrap()).await.expect(200);
        assert_eq!((&reply["host_id"], &reply["disposition"]), (&json!(host_id), &json!("rejoined")));
        let former = machine.enroll(&server, &token).await;
        former.refused(401, "key_revoked");
        assert!(former.body["revoked"].is_string());
        assert_eq!(fresh.enroll(&server, rejoin["token"].as_str().unwrap()).await.expect(200)["replayed"], true);
    }

    async fn a_site_key_admits_many_and_reuses_the_same_key(server) {
        let site = server.admin.default_site().await;
        let (token, id) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc1");
        let host_id = machine.admitted(&server, &token, 201).await;
        Machine::new("pc2").admitted(&server, &token, 201).await;
        let mut renamed = machine.request();
        renamed["hostname"] = "pc1-renamed".into();
        let again = machine.enroll_with(&server, &token, &renamed).await.expect(200);
        assert_eq!((&again["host_id"], &again["disposition"]), (&json!(host_id), &json!("reuse")));
        let host = server.admin.host(&host_id).await;
        assert_eq!(host["reported"]["hostname"], "pc1-renamed");
        assert_eq!(host["name"], "pc1");
        let ticket = server.admin.get(&format!("/v1/tickets/{id}")).await.expect(200);
        assert_eq!((&ticket["uses"], &ticket["status"]), (&json!(2), &json!("open")));
        let (one_time, one_time_id) = server.admin.enrolment_token(json!({})).await;
        machine.enroll(&server, &one_time).await.refused(409, "key_in_use");
        let path = format!("/v1/tickets/{one_time_id}");
        assert_eq!(server.admin.get(&path).await.expect(200)["status"], "open");
    }

    async fn a_site_key_with_two_uses_admits_two(server) {
        let site = server.admin.default_site().await;
        let minted = server.admin.post("/v1/site-keys", &json!({ "site_id": site, "max_uses": 2 })).await;
        let minted = minted.expect(201);
        let token = minted["token"].as_str().unwrap();
        let first = Machine::new("a");
        first.admitted(&server, token, 201).await;
        Machine::new("b").admitted(&server, token, 201).await;
        Machine::new("c").enroll(&server, token).await.refused(401, "enrollment_rejected");
        first.admitted(&server, token, 200).await;
    }

    async fn c27_machines_with_one_uid_that_start_together_make_one_host_and_claims(server) {
        let server = std::sync::Arc::new(server);
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let original = Machine::new("twin");
        let knocks: Vec<_> = (0..6)
            .map(|_| {
                let (server, token, twin) = (server.clone(), token.clone(), original.twin());
                tokio::spawn(async move { twin.enroll(&server, &token).await.status })
            })
            .collect();
        let mut statuses = Vec::new();
        for knock in knocks {
            statuses.push(knock.await.unwrap());
        }
        statuses.sort_unstable();
        assert_eq!(statuses, [201, 202, 202, 202, 202, 202]);
        assert_eq!(server.admin.hosts().await.len(), 1);
        original.enroll(&server, &token).await.refused(503, "too_many_claims");
    }

    async fn a_second_key_on_a_spent_ticket_is_told_once(server) {
        let (token, id) = server.admin.enrolment_token(json!({})).await;
        Machine::new("first").admitted(&server, &token, 201).await;
        for _ in 0..3 {
            Machine::new("second").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        }
        let refusals = server.admin.get(&format!("/v1/tickets/{id}/refusals")).await.expect(200);
        assert_eq!(refusals["items"][0]["count"], 3);
        Machine::new("third").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        let refusals = server.admin.get(&format!("/v1/tickets/{id}/refusals")).await.expect(200);
        assert_eq!(refusals["items"][0]["count"], 4);
        assert_eq!(server.events("token.presented_by_second_key").await, std::slice::from_ref(&id));
        assert_eq!(server.events("host.enrolled").await.len(), 1);
    }

    async fn every_step_is_in_the_audit_trail_and_no_credential_is(server) {
        let (token, ticket_id) = server.admin.enrolment_token(json!({ "secrets": { "api": { "k": "canary" } } })).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let claim_id = machine.twin().waits(&server, &site_key, "collision").await;
        server.admin.decide(&claim_id, "reject").await.expect(200);
        server.admin.retire(&host_id).await.expect(200);
        let minted = server.audited("ticket.minted").await;
        assert_eq!((minted.len(), &minted[0]["target"]), (2, &json!(ticket_id)));
        let enrolled = server.audited("host.enrolled").await;
        assert_eq!(enrolled[0]["target"], host_id.as_str());
        assert!(enrolled[0]["actor"].as_str().unwrap().starts_with("jkt:"));
        assert_eq!(server.audited("claim.opened").await[0]["target"], claim_id.as_str());
        assert_eq!(server.audited("claim.decided").await[0]["details"]["verdict"], "rejected");
        assert_eq!(server.audited("host.retired").await[0]["target"], host_id.as_str());
        let whole = server.admin.get("/v1/audit?limit=200").await.raw_body.clone();
        for secret in [&token[20..], &site_key[20..], "canary"] {
            assert!(!whole.contains(secret), "a credential is in the audit trail");
        }
    }
}

/// Puts a bearer string together as somebody would who knows the form and not the secret.
fn forged(kind: &str, id: &str, secret_and_check: &str) -> String {
    let bytes = data_encoding::BASE64URL_NOPAD.decode(&secret_and_check.as_bytes()[..43]).unwrap();
    let kind = muster_ids::BearerKind::from_prefix(kind).unwrap();
    let bearer = muster_ids::Bearer::new(kind, id.parse().unwrap(), bytes.try_into().unwrap());
    secrecy::ExposeSecret::expose_secret(&bearer.expose()).to_owned()
}
