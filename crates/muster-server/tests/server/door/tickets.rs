//! `/v1/tickets` and what mints them.

use std::time::Duration;

use serde_json::json;

use crate::door::scene::{Machine, Person, scenes};

async fn ids(person: &Person, query: &str) -> Vec<String> {
    let page = person.get(&format!("/v1/tickets?{query}")).await.expect(200);
    let items = page["items"].as_array().unwrap().iter();
    items.map(|ticket| ticket["id"].as_str().unwrap().to_owned()).collect()
}

scenes! {
    async fn tickets_are_listed_by_door_and_status(server) {
        let site = server.admin.default_site().await;
        let (_, site_key) = server.admin.site_key(&site).await;
        let (token, spent) = server.admin.enrolment_token(json!({})).await;
        let (_, revoked) = server.admin.enrolment_token(json!({ "expires_in_secs": 300 })).await;
        Machine::new("m").admitted(&server, &token, 201).await;
        server.admin.step(&format!("/v1/tickets/{revoked}/revoke")).await.expect(200);
        let again = server.admin.step(&format!("/v1/tickets/{revoked}/revoke")).await.expect(200);
        assert_eq!(again["status"], "revoked");
        let ids = async |query: &str| ids(&server.admin, query).await;
        assert_eq!(ids("").await.len(), 3);
        assert_eq!(ids("kind=site_key").await, std::slice::from_ref(&site_key));
        assert_eq!(ids("status=spent").await, [spent]);
        assert_eq!(ids("status=revoked&kind=enrolment_token").await, [revoked]);
        assert_eq!(ids("status=spent,open,revoked").await.len(), 3);
        assert_eq!(ids("status=open,expired").await, [site_key]);
        let first = server.admin.get("/v1/tickets?limit=2").await.expect(200);
        let cursor = first["next_cursor"].as_str().unwrap();
        assert_eq!(ids(&format!("limit=2&cursor={cursor}")).await.len(), 1);
    }

    async fn tickets_are_listed_by_site_and_from_either_end(server) {
        let here = server.admin.default_site().await;
        let there = server.admin.site("there", json!({})).await;
        let mut minted = Vec::new();
        for site in [&here, &there, &here] {
            minted.push(server.admin.site_key(site).await.1);
            server.clock.advance(Duration::from_secs(1));
        }
        let [first, second, third] = [0, 1, 2].map(|n| minted[n].as_str());
        let ids = async |query: &str| ids(&server.admin, query).await;
        assert_eq!(ids("order=asc").await, [first, second, third]);
        assert_eq!(ids("order=desc").await, [third, second, first]);
        assert_eq!(ids(&format!("site_id={here}&order=desc")).await, [third, first]);
        assert_eq!(ids(&format!("site_id={there}&status=open,revoked")).await, [second]);
        assert_eq!(ids(&format!("site_id={there}&status=expired,revoked")).await, [""; 0]);
        let page = server.admin.get("/v1/tickets?order=desc&limit=1").await.expect(200);
        let cursor = page["next_cursor"].as_str().unwrap();
        assert_eq!(ids(&format!("order=desc&cursor={cursor}")).await, [second, first]);
        server.admin.get(&format!("/v1/tickets?cursor={cursor}")).await.refused(400, "invalid_cursor");
        for bad in ["order=newest", "status=open,", "status=open,open", "status=gone", "site_id=here"] {
            server.admin.get(&format!("/v1/tickets?{bad}")).await.refused(400, "invalid_query");
        }
    }

    async fn bad_secrets_of_a_token_are_refused_with_a_pointer(server) {
        let table = [
            (json!({ "repo": { "url": "sftp:x", "password": "p" } }), "/secrets/repo/url", "scheme_not_allowed"),
            (json!({ "repo": { "url": "/x" } }), "/secrets/repo/password", "missing"),
            (json!({ "api": {} }), "/secrets/api", "empty"),
        ];
        for (secrets, pointer, code) in table {
            let refused = server.admin.post("/v1/enrolment-tokens", &json!({ "secrets": secrets })).await;
            refused.refused(422, "validation");
            assert_eq!(refused.body["errors"], json!([{ "pointer": pointer, "code": code }]));
        }
        assert_eq!(server.admin.get("/v1/tickets").await.expect(200)["items"], json!([]));
    }

    async fn an_idempotency_key_gives_the_same_token_to_the_same_request(server) {
        let request = json!({ "host_name": "a" });
        let mint = async |person: &crate::door::scene::Person, key: &str, request: &serde_json::Value| {
            person.send("POST", "/v1/enrolment-tokens", Some(request), &[("idempotency-key", key)]).await
        };
        let first = mint(&server.admin, "key-number-1", &request).await.expect(201);
        let again = mint(&server.admin, "key-number-1", &request).await.expect(201);
        assert_eq!(first, again);
        let other = mint(&server.admin, "key-number-1", &json!({ "host_name": "b" })).await;
        other.refused(422, "idempotency_key_reused");
        let olga = server.owner("one").await;
        let hers = mint(&olga, "key-number-1", &request).await.expect(201);
        assert_ne!(hers["token"], first["token"], "a key belongs to who sent it");
        assert_eq!(server.admin.get("/v1/tickets").await.expect(200)["items"].as_array().unwrap().len(), 1);
        let long = "k".repeat(1024);
        for bad in ["short", "with spaces 123", long.as_str()] {
            mint(&server.admin, bad, &request).await.refused(400, "invalid_idempotency_key");
        }
    }

    async fn an_idempotency_key_holds_in_parallel(server) {
        let request = json!({ "name": "h" });
        let posts = (0..8).map(|_| {
            let (admin, request) = (server.admin.clone(), request.clone());
            tokio::spawn(async move {
                let key = [("idempotency-key", "in-parallel")];
                admin.send("POST", "/v1/hosts", Some(&request), &key).await.expect(201)
            })
        });
        let mut replies = Vec::new();
        for post in posts.collect::<Vec<_>>() {
            replies.push(post.await.unwrap());
        }
        assert!(replies.iter().all(|reply| *reply == replies[0]), "one reply for all");
        assert_eq!(server.admin.hosts().await.len(), 1);
    }
}
