//! Secrets: merged, sealed, pushed, never returned; exposed when a key that had them is gone.

use muster_store::{Priority, StoreError, params};
use muster_wire::channel::ServerMessage;
use serde_json::json;

use crate::channel::repo;
use crate::world::{Machine, Told, both};

both! {
    async fn a_secret_is_merged_versioned_and_pushed(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}/secrets/repo", host.host_id);
        let set = world.must("PUT", &path, Some(json!({ "user": "u", "password": "battery" }))).await;
        assert_eq!(set["version"], 2);
        assert_eq!(set["fields"], json!(["password", "url", "user"]));
        let config = socket.config().await;
        let (_, secret) = config.secrets.iter().next().unwrap();
        let expected = json!({ "url": "rest:https://backup.example/", "user": "u", "password": "battery" });
        assert_eq!(serde_json::to_value(&secret.document).unwrap(), expected);
        assert_eq!(secret.version, 2);
        socket.apply(&config).await;
        let set = world.must("PUT", &path, Some(json!({ "user": null }))).await;
        assert_eq!((&set["version"], &set["fields"]), (&json!(3), &json!(["password", "url"])));
        let audited = serde_json::to_string(&world.audited_times("secret.set", 2).await).unwrap();
        assert!(audited.contains(r#""changed":["password","user"]"#), "{audited}");
        assert!(!audited.contains("battery"));
    }

    async fn a_bad_secret_is_refused_with_a_pointer(world) {
        let host = world.join("alpha", repo()).await;
        let path = |name: &str| format!("/v1/hosts/{}/secrets/{name}", host.host_id);
        let put = async |name: &str, body| world.admin("PUT", &path(name), Some(body)).await;
        put("repo", json!({ "url": "rclone:remote:x" })).await.invalid("/url", "scheme_not_allowed");
        put("repo", json!({ "url": "rest:https://u:p@host/" })).await.invalid("/url", "credentials_in_url");
        put("repo", json!({ "password": null })).await.invalid("/password", "missing");
        put("repo", json!({ "pasword": "x" })).await.invalid("", "unknown_field");
        put("new", json!({})).await.invalid("", "empty");
        put("new", json!({ "big": "x".repeat(33_000) })).await.invalid("", "too_long");
        put("new", json!(["a"])).await.invalid("", "wrong_type");
        put("No%20Name", json!({ "a": 1 })).await.problem(400, "invalid_path");
        let nowhere = "/v1/hosts/host_0190c0de00007000800000000000c0de/secrets/repo";
        world.admin("PUT", nowhere, Some(json!({ "a": 1 }))).await.problem(404, "not_found");
        world.admin("GET", "/v1/hosts/host_0190c0de00007000800000000000c0de/secrets", None).await
            .problem(404, "not_found");
        let listed = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 1);
        assert_eq!(listed["items"][0]["version"], 1);
    }

    async fn a_secret_is_exposed_from_the_end_of_a_key_that_had_it_to_its_next_change(world) {
        let host = world.join("alpha", repo()).await;
        host.connect(&world, None).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        world.becomes(&format!("{path}/secrets"), "/items/0/deliveries/0/key", &host.key_name().to_string()).await;
        let rejoin = json!({ "rejoin": true });
        let minted = world.must("POST", &format!("{path}/registration-token"), Some(rejoin)).await;
        let rejoined = Machine::new("alpha").join(&world, minted["token"].as_str().unwrap()).await;
        assert_eq!(rejoined.host_id, host.host_id);
        let listed = world.must("GET", &format!("{path}/secrets"), None).await;
        assert_eq!(listed["items"][0]["exposed"], true);
        world.must("PUT", &format!("{path}/secrets/repo"), Some(json!({ "password": "changed" }))).await;
        let listed = world.must("GET", &format!("{path}/secrets"), None).await;
        assert_eq!(listed["items"][0]["exposed"], false);
        rejoined.connect(&world, None).await;
    }

    async fn a_swapped_row_fails_closed_and_alerts(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.join("beta", json!({ "repo": { "url": "/srv/b", "password": "theirs" } })).await;
        let (one, two) = (host.host_id.to_string(), other.host_id.to_string());
        let swap = world.app.store.write(Priority::Normal, move |tx| {
            tx.execute(
                "UPDATE secret SET blob = (SELECT blob FROM secret WHERE owner_id = $1) WHERE owner_id = $2",
                params![two, one],
            )
        });
        assert_eq!(swap.await.map_err(|error: StoreError| error.to_string()), Ok(1));
        let path = format!("/v1/hosts/{}/secrets/repo", host.host_id);
        world.admin("PUT", &path, Some(json!({ "user": "u" }))).await.problem(500, "internal");
        assert_eq!(world.events("secret.unreadable").await.len(), 1);
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        socket.acknowledge_only(&generation, json!([])).await;
        let ServerMessage::Goodbye { reason, .. } = socket.message().await else { panic!("no goodbye") };
        assert_eq!(reason.as_str(), "secret_unreadable");
        assert!(matches!(socket.next().await, Told::Closed(..)));
        assert_eq!(world.events("secret.unreadable").await.len(), 2);
    }

    async fn two_people_setting_one_secret_at_once_both_win(world) {
        let host = world.join("alpha", repo()).await;
        let path = format!("/v1/hosts/{}/secrets/shared", host.host_id);
        let puts = (0..8).map(|n| world.admin("PUT", &path, Some(json!({ format!("f{n}"): n }))));
        let answers = futures_util::future::join_all(puts).await;
        assert!(answers.iter().all(|answer| answer.status == 200), "{answers:?}");
        let listed = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(listed["items"][1]["fields"].as_array().unwrap().len(), 8);
        assert_eq!(listed["items"][1]["version"], 8);
    }

    async fn a_secret_that_was_sent_and_never_confirmed_is_exposed_when_its_key_ends(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        socket.acknowledge_only(&generation, json!([])).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        socket.config().await;
        drop(socket);
        world.disconnected(&host).await;
        let listed = world.must("GET", &format!("{path}/secrets"), None).await;
        assert_eq!((&listed["items"][0]["exposed"], &listed["items"][0]["deliveries"]), (&json!(false), &json!([])));
        let minted = world.must("POST", &format!("{path}/registration-token"), Some(json!({ "rejoin": true }))).await;
        let rejoined = Machine::new("alpha").join(&world, minted["token"].as_str().unwrap()).await;
        assert_eq!(rejoined.host_id, host.host_id);
        let listed = world.must("GET", &format!("{path}/secrets"), None).await;
        assert_eq!((&listed["items"][0]["exposed"], &listed["items"][0]["deliveries"]), (&json!(true), &json!([])));
        assert!(world.audited("secret.delivered").await.is_empty());
    }

    async fn a_host_without_a_configuration_row_is_a_failure_and_not_a_revoked_key(world) {
        let host = world.join("alpha", repo()).await;
        let id = host.host_id;
        let gone = world.app.store.write(Priority::Normal, move |tx| {
            tx.execute("DELETE FROM host_config WHERE host_id = $1", params![id])
        });
        assert_eq!(gone.await.map_err(|error: StoreError| error.to_string()), Ok(1));
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        socket.acknowledge_only(&generation, json!([])).await;
        let ServerMessage::Goodbye { reason, .. } = socket.message().await else { panic!("no goodbye") };
        assert_eq!(reason.as_str(), "failed");
    }
}
