//! `/v1/hosts/changes`: shown, then done to all of them in one transaction.

use muster_store::params;
use serde_json::{Value, json};

use crate::many::{NOBODY, crowd, ids};
use crate::world::{Answer, Joined, Told, World, both};

async fn preview(world: &World, hosts: &Value, change: &Value) -> Value {
    world.must("POST", "/v1/hosts/changes/preview", Some(json!({ "hosts": hosts, "change": change }))).await
}

async fn apply(world: &World, hosts: &Value, change: &Value, version: &Value) -> Answer {
    let body = json!({ "hosts": hosts, "change": change, "preview_version": version });
    world.admin("POST", "/v1/hosts/changes", Some(body)).await
}

/// Does what a preview shows, and returns both.
async fn change(world: &World, hosts: &Value, change: &Value) -> (Value, Value) {
    let shown = preview(world, hosts, change).await;
    let done = apply(world, hosts, change, &shown["preview_version"]).await;
    assert_eq!(done.status, 200, "{done:?}");
    (shown, done.body)
}

fn outcomes(answer: &Value) -> Vec<&str> {
    answer["items"].as_array().unwrap().iter().map(|item| item["outcome"].as_str().unwrap()).collect()
}

async fn state(world: &World, host: &Joined) -> Value {
    world.host(host).await["state"].clone()
}

/// Counts what living hosts have: secrets, tags, open jobs, open tickets of their own, active keys, uids.
async fn left(world: &World) -> [u64; 6] {
    let counted = world.app.look(|tx| {
        let mut count = |sql: &'static str| tx.query_one(sql, params![], |row| row.get(0));
        Ok([
            count("SELECT count(*) FROM secret")?,
            count("SELECT count(*) FROM host_tag")?,
            count("SELECT count(*) FROM job WHERE state = 'queued'")?,
            count("SELECT count(*) FROM ticket WHERE host_id IS NOT NULL AND revoked_at IS NULL")?,
            count("SELECT count(*) FROM host_key WHERE state = 'active'")?,
            count("SELECT count(*) FROM host WHERE owns_uid = 1")?,
        ])
    });
    counted.await.unwrap()
}

both! {
    async fn tags_are_added_and_removed(world) {
        let hosts = crowd(&world, 3).await;
        world.must("PUT", &format!("/v1/hosts/{}/tags", hosts[0].host_id), Some(json!({ "tags": ["old", "b"] }))).await;
        world.must("PUT", &format!("/v1/hosts/{}/tags", hosts[1].host_id), Some(json!({ "tags": ["new"] }))).await;
        let tags = json!({ "kind": "tags", "add": ["new"], "remove": ["old"] });
        let (shown, done) = change(&world, &ids(&hosts), &tags).await;
        assert_eq!((outcomes(&shown), &shown["changes"]), (vec!["changes", "stays", "changes"], &json!(2)));
        assert_eq!(shown["items"][0]["tags_after"], json!(["b", "new"]));
        assert_eq!(done["changed"], 2);
        let after: Vec<_> = done["items"].as_array().unwrap().iter().map(|item| item["tags"].clone()).collect();
        assert_eq!(after, [json!(["b", "new"]), json!(["new"]), json!(["new"])]);
        assert_eq!(world.audited("host.tags_set").await.len(), 4);
        apply(&world, &ids(&hosts), &tags, &shown["preview_version"]).await.problem(409, "preview_stale");
    }

    async fn suspended_hosts_are_cut_before_the_reply_and_resume(world) {
        let hosts = crowd(&world, 3).await;
        let (mut socket, _) = hosts[0].connect(&world, None).await;
        world.must("POST", &format!("/v1/hosts/{}/suspend", hosts[2].host_id), None).await;
        let (shown, done) = change(&world, &ids(&hosts), &json!({ "kind": "suspend" })).await;
        assert_eq!(outcomes(&shown), ["changes", "changes", "stays"]);
        assert!(!world.app.hub.is_connected(hosts[0].host_id));
        assert!(matches!(socket.next().await, Told::Message(_) | Told::Closed(..)));
        assert_eq!(done["items"][1]["state"], "suspended");
        assert_eq!((world.audited("host.suspended").await.len(), world.events("host.suspended").await.len()), (3, 3));
        let (shown, _) = change(&world, &ids(&hosts), &json!({ "kind": "resume" })).await;
        assert_eq!(outcomes(&shown), ["changes"; 3]);
        assert_eq!(state(&world, &hosts[0]).await, "active");
    }

    async fn hosts_move_and_retire_and_what_is_lost_is_shown(world) {
        let hosts = crowd(&world, 3).await;
        let site = world.must("POST", "/v1/sites", Some(json!({ "name": "annex" }))).await["id"].clone();
        let (_, moved) = change(&world, &ids(&hosts), &json!({ "kind": "move", "site_id": site })).await;
        assert!(moved["items"].as_array().unwrap().iter().all(|item| item["site_id"] == site), "{moved}");
        assert_eq!(world.audited("host.moved").await.len(), 3);
        let gone = &hosts[2];
        assert_eq!(world.retire(gone).await.status, 200);
        world.must("PUT", &format!("/v1/hosts/{}/secrets/api", hosts[0].host_id), Some(json!({ "a": 1 }))).await;
        let (mut socket, _) = hosts[1].connect(&world, None).await;
        let shown = preview(&world, &ids(&hosts), &json!({ "kind": "retire" })).await;
        assert_eq!(outcomes(&shown), ["changes", "changes", "stays"]);
        let alone = world.must("GET", &format!("/v1/hosts/{}/retirement", hosts[0].host_id), None).await;
        assert_eq!(shown["items"][0]["retirement"], alone);
        assert_eq!(alone["secrets"], json!(["api"]));
        assert_eq!(alone["keys"], json!([hosts[0].key_name().to_string()]));
        assert_eq!(shown["items"][1]["retirement"]["connected"], true);
        let done = apply(&world, &ids(&hosts), &json!({ "kind": "retire" }), &shown["preview_version"]).await;
        assert_eq!((done.status, &done.body["changed"]), (200, &json!(2)), "{done:?}");
        assert!(!world.app.hub.is_connected(hosts[1].host_id));
        assert!(matches!(socket.next().await, Told::Message(_) | Told::Closed(..)));
        assert_eq!(state(&world, &hosts[0]).await, "retired");
        assert_eq!((world.audited("host.retired").await.len(), world.audited("key.revoked").await.len()), (3, 3));
    }

    async fn what_changed_since_is_looked_at_again(world) {
        let hosts = crowd(&world, 2).await;
        for (kind, meanwhile) in [("retire", "secrets/api"), ("suspend", "tags")] {
            let shown = preview(&world, &ids(&hosts), &json!({ "kind": kind })).await;
            let body = if meanwhile == "tags" { json!({ "tags": ["t"] }) } else { json!({ "a": 1 }) };
            world.must("PUT", &format!("/v1/hosts/{}/{meanwhile}", hosts[1].host_id), Some(body)).await;
            let done = apply(&world, &ids(&hosts), &json!({ "kind": kind }), &shown["preview_version"]).await;
            done.problem(409, "preview_stale");
            assert_eq!(state(&world, &hosts[0]).await, "active", "{kind}");
        }
        let shown = preview(&world, &ids(&hosts), &json!({ "kind": "suspend" })).await;
        apply(&world, &ids(&hosts), &json!({ "kind": "retire" }), &shown["preview_version"]).await
            .problem(409, "preview_stale");
        apply(&world, &ids(&hosts[..1]), &json!({ "kind": "suspend" }), &shown["preview_version"]).await
            .problem(409, "preview_stale");
    }

    async fn each_change_needs_the_permission_of_one(world) {
        let hosts = crowd(&world, 1).await;
        let scoped = json!({ "name": "robot", "scopes": ["see_fleet", "operate_hosts"] });
        let token = world.must("POST", "/v1/me/tokens", Some(scoped)).await["token"].as_str().unwrap().to_owned();
        let headers = format!("authorization: Bearer {token}\r\n");
        let site = world.default_site().await;
        for (change, status) in [
            (json!({ "kind": "suspend" }), 200),
            (json!({ "kind": "tags", "add": ["a"] }), 200),
            (json!({ "kind": "retire" }), 403),
            (json!({ "kind": "move", "site_id": site }), 403),
        ] {
            let body = json!({ "hosts": ids(&hosts), "change": change });
            let shown = world.ask("POST", "/v1/hosts/changes/preview", &headers, Some(body.clone())).await;
            assert_eq!(shown.status, status, "{change}: {shown:?}");
            if status == 403 {
                let shown = preview(&world, &ids(&hosts), &change).await;
                let mut body = body;
                body["preview_version"] = shown["preview_version"].clone();
                let done = world.ask("POST", "/v1/hosts/changes", &headers, Some(body)).await;
                done.problem(403, "forbidden");
            }
        }
        assert_eq!(state(&world, &hosts[0]).await, "active");
    }

    async fn who_is_absent_or_foreign_stops_it_and_bad_bodies_are_refused(world) {
        let hosts = crowd(&world, 2).await;
        let team = world.team("two").await;
        let site = world.ask("GET", "/v1/sites", &team.owner(), None).await.body["items"][0]["id"].clone();
        let ask = async |hosts: Value, change: Value| {
            world.admin("POST", "/v1/hosts/changes/preview", Some(json!({ "hosts": hosts, "change": change }))).await
        };
        let ours = hosts[0].host_id.to_string();
        let theirs = json!({ "name": "theirs" });
        let theirs = world.ask("POST", "/v1/hosts", &team.owner(), Some(theirs)).await.body["host"]["id"].clone();
        let nowhere = NOBODY.replace("host", "site");
        let not_there = |answer: &Answer, at: &str| {
            answer.problem(404, "not_found");
            assert_eq!(answer.body["errors"], json!([{ "pointer": at, "code": "not_found" }]), "{answer:?}");
        };
        // Who is foreign is refused like who is absent.
        for other in [json!(NOBODY), theirs] {
            for (hosts, at) in [(json!([ours, other]), "/hosts/1"), (json!([other, ours]), "/hosts/0")] {
                not_there(&ask(hosts.clone(), json!({ "kind": "suspend" })).await, at);
                not_there(&apply(&world, &hosts, &json!({ "kind": "suspend" }), &json!("x")).await, at);
            }
        }
        for other in [json!(nowhere), site] {
            let to = json!({ "kind": "move", "site_id": other });
            not_there(&ask(ids(&hosts), to.clone()).await, "/change/site_id");
            not_there(&apply(&world, &ids(&hosts), &to, &json!("x")).await, "/change/site_id");
        }
        ask(json!([]), json!({ "kind": "suspend" })).await.invalid("/hosts", "empty");
        ask(json!([ours, ours]), json!({ "kind": "suspend" })).await.invalid("/hosts", "duplicate");
        ask(ids(&hosts), json!({ "kind": "tags" })).await.invalid("/change/add", "empty");
        let both = json!({ "kind": "tags", "add": ["a"], "remove": ["a"] });
        ask(ids(&hosts), both).await.invalid("/change/remove", "duplicate");
        for bad in [json!({ "kind": "delete" }), json!({ "kind": "suspend", "why": 1 }), json!(["suspend"]), json!({})] {
            assert_eq!(ask(ids(&hosts), bad.clone()).await.status, 422, "{bad}");
        }
    }

    async fn a_hundred_hosts_are_retired_at_once_with_all_they_have(world) {
        let hosts = crowd(&world, 100).await;
        let document = json!({ "url": "rest:https://backup.example/", "password": "correct horse" });
        world.must("PUT", "/v1/secrets/repo", Some(json!({ "hosts": ids(&hosts), "document": document }))).await;
        change(&world, &ids(&hosts), &json!({ "kind": "tags", "add": ["t"] })).await;
        for host in &hosts {
            let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
            world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(job)).await;
            let token = format!("/v1/hosts/{}/registration-token", host.host_id);
            world.must("POST", &token, Some(json!({ "rejoin": true }))).await;
        }
        assert_eq!(left(&world).await, [100; 6]);
        let (shown, done) = change(&world, &ids(&hosts), &json!({ "kind": "retire" })).await;
        assert_eq!((&shown["changes"], &done["changed"]), (&json!(100), &json!(100)));
        assert_eq!(left(&world).await, [0; 6]);
        let expected: Vec<String> = hosts.iter().map(|host| host.host_id.to_string()).collect();
        for kind in ["host.retired", "key.revoked", "job.cancelled", "ticket.revoked"] {
            let (told, audited) = (world.events(kind).await, world.audited(kind).await);
            assert_eq!((told.len(), audited.len()), (100, 100), "{kind}");
            if kind == "host.retired" {
                assert_eq!(told, expected);
            }
            if kind != "ticket.revoked" {
                let mut of: Vec<&str> = audited.iter().map(|row| row["host_id"].as_str().unwrap()).collect();
                of.sort_unstable();
                assert_eq!(of, expected, "{kind}");
            }
        }
        let one = hosts[42].host_id;
        let told = world.app.look(move |tx| {
            tx.query("SELECT kind FROM outbox WHERE host_id = $1 ORDER BY seq DESC LIMIT 3", params![one], |row| row.get(0))
        });
        let told: Vec<String> = told.await.unwrap();
        assert_eq!(told, ["host.retired", "job.cancelled", "key.revoked"], "the end of the host is told last");
    }
}
