//! What somebody should look at.

use std::time::Duration;

use muster_server::unit::{Author, Fact};
use muster_store::{Priority, Tx};
use muster_wire::happening::Happening;
use muster_wire::overview::AttentionKind;
use serde_json::{Value, json};

use crate::fleet::{all_are_back, overview, repo};
use crate::world::{Machine, World, both};

/// Returns the kinds that are shown, in order.
fn kinds(shown: &Value) -> Vec<String> {
    let attention = shown["attention"].as_array().unwrap();
    attention.iter().map(|one| one["kind"].as_str().unwrap().to_owned()).collect()
}

/// Returns the count of a kind and the names of what is shown of it.
fn of(shown: &Value, kind: &str) -> (u64, Vec<String>) {
    let attention = shown["attention"].as_array().unwrap();
    let one =
        attention.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {shown}"));
    assert_eq!(one["more"], false);
    let names = one["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned());
    (one["count"].as_u64().unwrap(), names.collect())
}

fn one(name: &str) -> (u64, Vec<String>) {
    (1, vec![name.to_owned()])
}

async fn set_secret(world: &World, path: &str) {
    let secret = json!({ "url": "rest:https://backup.example/", "password": "another" });
    let set = world.admin("PUT", &format!("{path}/secrets/repo"), Some(secret)).await;
    assert!(matches!(set.status, 200 | 201), "{set:?}");
}

both! {
    async fn a_fleet_that_is_well_asks_for_nothing(world) {
        let host = world.join("alpha", repo()).await;
        let (_socket, _) = host.connect(&world, None).await;
        assert_eq!(overview(&world, "").await["attention"], json!([]));
    }

    async fn hosts_and_their_secrets_are_named_and_the_kinds_are_in_order(world) {
        let (silent, exposed) = (world.join("silent", json!({})).await, world.join("exposed", repo()).await);
        let drifting = world.join("drifting", repo()).await;
        silent.heartbeat(&world).await;
        for host in [&exposed, &drifting] {
            let (mut socket, _) = host.connect(&world, None).await;
            socket.send(json!({ "type": "goodbye", "reason": "shutdown" })).await;
            world.becomes(&format!("/v1/hosts/{}", host.host_id), "/presence/status", "offline").await;
        }
        let keys = format!("/v1/hosts/{}/keys", exposed.host_id);
        world.must("POST", &format!("{keys}/{}/revoke", exposed.key_name()), None).await;
        set_secret(&world, &format!("/v1/hosts/{}", drifting.host_id)).await;
        let token = world.enrolment_token(json!({})).await;
        let mut twin = Machine::new("twin");
        twin.uid = Machine::new("silent").uid;
        assert_eq!(twin.enroll(&world, &token).await.status, 202);
        all_are_back(&world).await;
        let shown = overview(&world, "").await;
        let expected = ["claims_waiting", "secrets_exposed", "hosts_unreachable", "config_drifted"];
        assert_eq!(kinds(&shown), expected, "{shown}");
        assert_eq!(of(&shown, "hosts_unreachable"), one("silent"));
        assert_eq!(of(&shown, "secrets_exposed"), one("exposed: repo"));
        assert_eq!(of(&shown, "config_drifted"), one("drifting"));
        assert_eq!(of(&shown, "claims_waiting"), one("twin"));
        let items = &shown["attention"][2]["items"][0];
        assert_eq!(items["id"], silent.host_id.to_string());
        set_secret(&world, &format!("/v1/hosts/{}", exposed.host_id)).await;
        assert!(!kinds(&overview(&world, "").await).contains(&"secrets_exposed".to_owned()), "its value changed");
    }

    async fn site_keys_that_lapse_within_a_week_are_named(world) {
        let site_id = world.default_site().await;
        for days in [3, 20] {
            let key = json!({ "site_id": site_id, "expires_in_secs": days * 86_400 });
            world.must("POST", "/v1/site-keys", Some(key)).await;
        }
        assert_eq!(of(&overview(&world, "").await, "site_keys_expiring"), one("default"));
        world.clock.advance(Duration::from_secs(14 * 86_400));
        assert_eq!(of(&overview(&world, "").await, "site_keys_expiring"), one("default"), "the other one by now");
    }

    async fn who_may_not_see_endpoints_or_events_is_not_told_of_them(world) {
        let hook = json!({ "name": "hook", "target": { "webhook": { "url": "http://127.0.0.1:9/" } } });
        let made = world.must("POST", "/v1/endpoints", Some(hook)).await;
        let (id, now) = (made["endpoint"]["id"].as_str().unwrap().parse().unwrap(), world.app.clock.now());
        let gave_up = world.app.store.write(Priority::Normal, move |tx: &mut Tx<'_>| tx.endpoint_gives_up(id, now));
        assert!(gave_up.await.unwrap());
        let unreadable = world.app.change(Priority::Normal, now, |unit| {
            let team_id = unit.tx.platform_team_id()?.unwrap();
            let fact = Fact::new(Happening::SecretUnreadable, team_id, &Author::system(), "secret x");
            unit.happened(fact.outcome("unreadable"));
            Ok(())
        });
        unreadable.await.unwrap();
        let shown = overview(&world, "").await;
        assert_eq!(of(&shown, "endpoints_failing"), one("hook"));
        assert_eq!(of(&shown, "secrets_unreadable"), one("secret x"));
        let limited = json!({ "name": "sees hosts", "scopes": ["see_fleet"] });
        let token = world.must("POST", "/v1/me/tokens", Some(limited)).await["token"].as_str().unwrap().to_owned();
        let shown = world.ask("GET", "/v1/overview", &format!("authorization: Bearer {token}\r\n"), None).await;
        assert_eq!((shown.status, &shown.body["attention"]), (200, &json!([])));
    }
}

#[test]
fn a_kind_is_pressing_in_its_order() {
    let words: Vec<&str> = AttentionKind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert_eq!((words[0], words[words.len() - 1]), ("hosts_held", "certificate_expiring"));
}
