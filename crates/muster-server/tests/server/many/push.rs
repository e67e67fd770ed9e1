//! `PUT /v1/secrets/{name}`: for each host what the route of one host does, for all of them or for none.

use serde_json::{Value, json};

use crate::many::{NOBODY, crowd, ids};
use crate::world::{Answer, World, both};

fn document() -> Value {
    json!({ "user": "u", "token": "battery-staple" })
}

async fn secrets(world: &World, host: &str) -> Value {
    world.must("GET", &format!("/v1/hosts/{host}/secrets"), None).await["items"].clone()
}

both! {
    async fn each_host_gets_a_version_a_row_of_the_trail_an_event_and_a_push_of_its_own(world) {
        let hosts = crowd(&world, 3).await;
        world.must("PUT", &format!("/v1/hosts/{}/secrets/api", hosts[1].host_id), Some(json!({ "kept": 1 }))).await;
        let (mut socket, _) = hosts[0].connect(&world, None).await;
        let order = json!({ "hosts": ids(&hosts), "document": document() });
        let set = world.must("PUT", "/v1/secrets/api", Some(order.clone())).await;
        let versions: Vec<_> = set["items"].as_array().unwrap().iter().map(|one| one["version"].clone()).collect();
        assert_eq!(versions, [1, 2, 1]);
        assert_eq!(set["items"][1]["fields"], json!(["kept", "token", "user"]));
        assert_eq!(set["items"][1]["host_id"], hosts[1].host_id.to_string());
        let config = socket.config().await;
        let (_, secret) = config.secrets.iter().next().unwrap();
        assert_eq!(serde_json::to_value(&secret.document).unwrap(), document());
        socket.apply(&config).await;
        world.becomes(
            &format!("/v1/hosts/{}/secrets", hosts[0].host_id),
            "/items/0/deliveries/0/key",
            &hosts[0].key_name().to_string(),
        ).await;
        for (host, shown) in hosts.iter().zip(set["items"].as_array().unwrap()) {
            let stored = secrets(&world, &host.host_id.to_string()).await;
            assert_eq!((&stored[0]["id"], &stored[0]["version"]), (&shown["secret_id"], &shown["version"]));
            assert_eq!(world.host(host).await["config"]["wanted"]["n"], if shown["version"] == 2 { 3 } else { 2 });
        }
        let audited = world.audited_times("secret.set", 4).await;
        let text = serde_json::to_string(&audited).unwrap();
        assert!(text.contains(r#""changed":["token","user"]"#) && !text.contains("battery"), "{text}");
        assert_eq!(world.events("secret.set").await.len(), 4);
        // Said again, it is the next version of the same value, as with one host.
        let again = world.must("PUT", "/v1/secrets/api", Some(order)).await;
        assert_eq!(again["items"][1]["version"], 3);
        let config = socket.config().await;
        assert_eq!(config.secrets.iter().next().unwrap().1.version, 2);
    }

    async fn whoever_is_absent_foreign_or_retired_among_them_stops_the_whole_order(world) {
        let hosts = crowd(&world, 2).await;
        let team = world.team("two").await;
        let invited = world
            .ask("POST", "/v1/hosts", &team.owner(), Some(json!({ "name": "theirs" }))).await
            .body["host"]["id"].as_str().unwrap().to_owned();
        let ours = hosts[0].host_id.to_string();
        let put = async |hosts: Value| {
            world.admin("PUT", "/v1/secrets/api", Some(json!({ "hosts": hosts, "document": document() }))).await
        };
        for other in [NOBODY, invited.as_str()] {
            for (place, named) in [json!([other, ours]), json!([ours, other])].into_iter().enumerate() {
                let refused = put(named).await;
                refused.problem(404, "not_found");
                let at = format!("/hosts/{place}");
                assert_eq!(refused.body["errors"], json!([{ "pointer": at, "code": "not_found" }]));
                assert!(!refused.raw_body.contains(other));
            }
        }
        assert_eq!(world.retire(&hosts[1]).await.status, 200);
        let retired = hosts[1].host_id.to_string();
        for (place, named) in [json!([retired, ours]), json!([ours, retired])].into_iter().enumerate() {
            let refused = put(named).await;
            refused.problem(409, "host_retired");
            let at = format!("/hosts/{place}");
            assert_eq!(refused.body["errors"], json!([{ "pointer": at, "code": "host_retired" }]));
        }
        assert_eq!(secrets(&world, &ours).await, json!([]));
        assert!(world.audited("secret.set").await.is_empty());
    }

    async fn a_bad_order_is_refused_with_a_pointer(world) {
        let hosts = crowd(&world, 2).await;
        let ours = hosts[0].host_id.to_string();
        let put = async |name: &str, body: Value| world.admin("PUT", &format!("/v1/secrets/{name}"), Some(body)).await;
        let of = |hosts: Value, document: Value| json!({ "hosts": hosts, "document": document });
        put("api", of(json!([]), document())).await.invalid("/hosts", "empty");
        put("api", of(json!([ours, ours]), document())).await.invalid("/hosts", "duplicate");
        let many: Vec<String> = (0..101).map(|n| format!("host_{n:032x}")).collect();
        put("api", of(json!(many), document())).await.invalid("/hosts", "too_many");
        put("api", of(ids(&hosts), json!({}))).await.invalid("/document", "empty");
        put("repo", of(ids(&hosts), json!({ "url": "rclone:x" }))).await.invalid("/document/password", "missing");
        let document = json!({ "url": "rclone:remote:x", "password": "p" });
        put("repo", of(ids(&hosts), document)).await.invalid("/document/url", "scheme_not_allowed");
        assert_eq!(secrets(&world, &ours).await, json!([]));
    }

    async fn one_that_does_not_fit_one_host_is_set_on_none(world) {
        let hosts = crowd(&world, 2).await;
        let full = hosts[1].host_id;
        for n in 0..64 {
            world.must("PUT", &format!("/v1/hosts/{full}/secrets/s{n}"), Some(json!({ "a": n }))).await;
        }
        let order = json!({ "hosts": ids(&hosts), "document": document() });
        let at_document_and_host = |answer: &Answer, place: usize, code: &str| {
            answer.problem(422, "validation");
            let host = json!({ "pointer": format!("/hosts/{place}"), "code": code });
            assert_eq!(answer.body["errors"], json!([{ "pointer": "/document", "code": code }, host]), "{answer:?}");
        };
        let refused = world.admin("PUT", "/v1/secrets/api", Some(order.clone())).await;
        at_document_and_host(&refused, 1, "too_many");
        assert_eq!(secrets(&world, &hosts[0].host_id.to_string()).await, json!([]));
        // One it has is no further one.
        world.must("PUT", "/v1/secrets/s0", Some(order)).await;
        let long = "x".repeat(20_000);
        let path = format!("/v1/hosts/{}/secrets/s0", hosts[0].host_id);
        world.must("PUT", &path, Some(json!({ "long": long }))).await;
        let order = json!({ "hosts": [full, hosts[0].host_id], "document": { "other": long } });
        let refused = world.admin("PUT", "/v1/secrets/s0", Some(order)).await;
        at_document_and_host(&refused, 1, "too_long");
        world.admin("PUT", &path, Some(json!({ "other": long }))).await.invalid("", "too_long");
    }

    async fn a_host_that_lacks_what_the_others_have_is_named(world) {
        let hosts = crowd(&world, 3).await;
        let repo = json!({ "url": "rest:https://backup.example/", "password": "p" });
        let order = json!({ "hosts": ids(&hosts[..2]), "document": repo });
        world.must("PUT", "/v1/secrets/repo", Some(order)).await;
        let named = json!([hosts[2].host_id, hosts[0].host_id, hosts[1].host_id]);
        let order = json!({ "hosts": named, "document": { "http_password": "q" } });
        let refused = world.admin("PUT", "/v1/secrets/repo", Some(order)).await;
        refused.problem(422, "validation");
        assert_eq!(refused.body["errors"][1], json!({ "pointer": "/hosts/0", "code": "missing" }), "{refused:?}");
    }

    async fn orders_and_single_settings_at_once_all_count(world) {
        let hosts = crowd(&world, 4).await;
        let path = format!("/v1/hosts/{}/secrets/shared", hosts[2].host_id);
        let orders = (0..4).map(|n| {
            let order = json!({ "hosts": ids(&hosts), "document": { format!("o{n}"): n } });
            world.admin("PUT", "/v1/secrets/shared", Some(order))
        });
        let single = (0..4).map(|n| world.admin("PUT", &path, Some(json!({ format!("s{n}"): n }))));
        let (orders, single) =
            futures_util::future::join(futures_util::future::join_all(orders), futures_util::future::join_all(single)).await;
        assert!(orders.iter().chain(&single).all(|answer| answer.status == 200), "{orders:?} {single:?}");
        for (host, many) in hosts.iter().zip([4, 4, 8, 4]) {
            let stored = secrets(&world, &host.host_id.to_string()).await;
            assert_eq!((&stored[0]["version"], stored[0]["fields"].as_array().unwrap().len()), (&json!(many), many));
        }
    }
}
