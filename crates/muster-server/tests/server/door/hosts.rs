//! `/v1/hosts`: its steps, its list, and what another team may know of it.

use muster_proof::instruction::verify_revoked;
use serde_json::json;

use crate::door::scene::{Machine, scenes};

scenes! {
    async fn b20_a_retired_key_is_refused_at_every_door_with_a_signed_statement(server) {
        let site = server.admin.default_site().await;
        let (site_key, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("old");
        let host_id = machine.admitted(&server, &site_key, 201).await;
        server.admin.put(&format!("/v1/hosts/{host_id}/tags"), &json!({ "tags": ["x"] })).await.expect(200);
        let retire = format!("/v1/hosts/{host_id}/retire");
        server.admin.post(&retire, &json!({ "preview_version": "stale" })).await.refused(409, "preview_stale");
        let retired = server.admin.retire(&host_id).await.expect(200);
        assert_eq!((&retired["state"], &retired["tags"], &retired["keys"]), (&json!("retired"), &json!([]), &json!([])));
        let (one_time, _) = server.admin.enrolment_token(json!({})).await;
        for token in [&site_key, &one_time] {
            let refused = machine.enroll(&server, token).await;
            refused.refused(401, "key_revoked");
            let statement = refused.body["revoked"].as_str().unwrap().to_owned();
            let signer = server.app.installation.instruction_thumbprint();
            let revoked = verify_revoked(&statement, &signer).unwrap();
            assert_eq!((revoked.host_id.to_string(), revoked.reason.as_str()), (host_id.clone(), "retired"));
        }
        server.admin.retire(&host_id).await.refused(409, "not_possible");
        server.admin.step(&format!("/v1/hosts/{host_id}/resume")).await.refused(409, "not_possible");
        // Its hardware comes back with another key: a person decides, and it is another host.
        let claim_id = machine.twin().waits(&server, &site_key, "retired").await;
        let decided = server.admin.decide(&claim_id, "new").await.expect(200);
        assert_ne!(decided["result_host_id"], host_id.as_str());
    }

    async fn b15_a_token_of_a_retired_host_stays_spent(server) {
        let (token, _) = server.admin.enrolment_token(json!({})).await;
        let host_id = Machine::new("gone").admitted(&server, &token, 201).await;
        server.admin.retire(&host_id).await.expect(200);
        Machine::new("thief").enroll(&server, &token).await.refused(401, "enrollment_rejected");
        let invited = server.admin.post("/v1/hosts", &json!({ "name": "never" })).await.expect(201);
        server.admin.retire(invited["host"]["id"].as_str().unwrap()).await.expect(200);
        let token = invited["registration"]["token"].as_str().unwrap();
        Machine::new("late").enroll(&server, token).await.refused(401, "enrollment_rejected");
    }

    async fn b20_a_suspended_host_is_refused_until_it_resumes(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        server.admin.step(&format!("/v1/hosts/{host_id}/suspend")).await.expect(200);
        let refused = machine.enroll(&server, &token).await;
        refused.refused(403, "host_suspended");
        assert_eq!(refused.header("retry-after"), Some("30"));
        server.admin.step(&format!("/v1/hosts/{host_id}/suspend")).await.refused(409, "not_possible");
        let resumed = server.admin.step(&format!("/v1/hosts/{host_id}/resume")).await.expect(200);
        assert_eq!(resumed["state"], "active");
        assert_eq!(machine.admitted(&server, &token, 200).await, host_id);
    }

    async fn the_list_is_filtered_and_paged(server) {
        let site = server.admin.default_site().await;
        let (token, _) = server.admin.site_key(&site).await;
        let mut ids = Vec::new();
        for name in ["alpha", "beta", "Beton"] {
            ids.push(Machine::new(name).admitted(&server, &token, 201).await);
        }
        server.admin.put(&format!("/v1/hosts/{}/tags", ids[1]), &json!({ "tags": ["b", "a"] })).await.expect(200);
        let invited = server.admin.post("/v1/hosts", &json!({ "name": "invited" })).await.expect(201);
        ids.push(invited["host"]["id"].as_str().unwrap().to_owned());
        let list = async |query: String| {
            let page = server.admin.get(&format!("/v1/hosts?{query}")).await.expect(200);
            let items = page["items"].as_array().unwrap().iter();
            (items.map(|host| host["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>(), page["next_cursor"].clone())
        };
        assert_eq!(list(String::new()).await.0, ids);
        assert_eq!(list("tag=a".to_owned()).await.0, [ids[1].clone()]);
        assert_eq!(list("tag=none".to_owned()).await.0, [""; 0]);
        assert_eq!(list("q=BET".to_owned()).await.0, ids[1..3]);
        assert_eq!(list("state=invited".to_owned()).await.0, ids[3..]);
        assert_eq!(list(format!("site_id={site}&presence=never_seen")).await.0, ids);
        assert_eq!(list("presence=online".to_owned()).await.0, [""; 0]);
        let (first, cursor) = list("limit=3&presence=never_seen".to_owned()).await;
        assert_eq!(first, ids[..3]);
        let (rest, end) = list(format!("limit=3&cursor={}", cursor.as_str().unwrap())).await;
        assert_eq!((rest, end), (ids[3..].to_vec(), json!(null)));
        for bad in ["limit=0", "limit=-1", "state=gone", "site_id=x", "cursor=forged", "sort=name", "tag=%00", "q="] {
            server.admin.get(&format!("/v1/hosts?{bad}")).await.body["code"].as_str().unwrap();
            assert_eq!(server.admin.get(&format!("/v1/hosts?{bad}")).await.status, 400, "{bad}");
        }
    }

    async fn b17_another_team_gets_the_404_of_an_absent_id_on_every_route(server) {
        let (olga, rita) = (server.owner("one").await, server.owner("two").await);
        let site = olga.default_site().await;
        let (token, ticket_id) = olga.site_key(&site).await;
        let machine = Machine::new("pc");
        let host_id = machine.admitted(&server, &token, 201).await;
        assert_eq!(olga.host(&host_id).await["kind"], "team");
        let claim_id = machine.twin().waits(&server, &token, "collision").await;
        let before = (olga.host(&host_id).await, olga.claim(&claim_id).await);
        let absent = |id: &str| {
            let (kind, _) = id.split_once('_').unwrap_or(("", ""));
            if kind.is_empty() { "AAAAAAAAAAAA".to_owned() } else { format!("{kind}_{}", "0".repeat(32)) }
        };
        let version = json!("x");
        let tags = json!({ "tags": ["evil"] });
        let decision = json!({ "verdict": "new", "evidence_version": "x" });
        let retire = json!({ "preview_version": version });
        let routes = [
            ("GET", "/v1/hosts/{}", &host_id, None),
            ("GET", "/v1/hosts/{}/retirement", &host_id, None),
            ("POST", "/v1/hosts/{}/retire", &host_id, Some(&retire)),
            ("POST", "/v1/hosts/{}/suspend", &host_id, None),
            ("POST", "/v1/hosts/{}/resume", &host_id, None),
            ("PUT", "/v1/hosts/{}/tags", &host_id, Some(&tags)),
            ("POST", "/v1/hosts/{}/registration-token", &host_id, Some(&json!({ "rejoin": true }))),
            ("GET", "/v1/tickets/{}", &ticket_id, None),
            ("POST", "/v1/tickets/{}/revoke", &ticket_id, None),
            ("GET", "/v1/tickets/{}/refusals", &ticket_id, None),
            ("GET", "/v1/claims/{}", &claim_id, None),
            ("POST", "/v1/claims/{}/decision", &claim_id, Some(&decision)),
            ("POST", "/v1/claims/{}/clear", &claim_id, None),
        ];
        for (method, path, id, body) in routes {
            let foreign = rita.send(method, &path.replace("{}", id), body, &[]).await;
            let unknown = rita.send(method, &path.replace("{}", &absent(id)), body, &[]).await;
            foreign.refused(404, "not_found");
            assert_eq!(foreign.body_without_request_id(), unknown.body_without_request_id(), "{method} {path}");
            assert_eq!(unknown.status, 404);
        }
        for (path, body) in [
            ("/v1/enrolment-tokens", json!({ "site_id": site })),
            ("/v1/site-keys", json!({ "site_id": site })),
            ("/v1/hosts", json!({ "name": "h", "site_id": site })),
        ] {
            rita.post(path, &body).await.refused(404, "not_found");
        }
        for list in ["/v1/hosts", "/v1/tickets", "/v1/claims"] {
            let filtered = rita.get(&format!("{list}?limit=9")).await.expect(200);
            assert_eq!(filtered["items"], json!([]), "{list}");
        }
        assert_eq!((olga.host(&host_id).await, olga.claim(&claim_id).await), before);
        machine.admitted(&server, &token, 200).await;
    }

    async fn b16_a_key_of_one_team_is_nobody_at_the_door_of_another(server) {
        let (olga, rita) = (server.owner("one").await, server.owner("two").await);
        let (theirs, _) = olga.site_key(&olga.default_site().await).await;
        let (ours, _) = rita.site_key(&rita.default_site().await).await;
        let machine = Machine::new("pc");
        machine.admitted(&server, &theirs, 201).await;
        machine.enroll(&server, &ours).await.refused(409, "key_in_use");
        // The same hardware in two teams is nobody's business but theirs.
        machine.twin().admitted(&server, &ours, 201).await;
    }
}
