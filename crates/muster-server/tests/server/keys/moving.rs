//! A host moves to another site: it stays who it is, and what contested it is judged anew.

use std::time::Duration;

use muster_wire::channel::ServerMessage;
use serde_json::{Value, json};

use crate::keys::scene::{bytes, decide, invite, repo, site, twin, waiting};
use crate::world::{Answer, Machine, World, both};

async fn move_to(world: &World, host_id: impl std::fmt::Display, site_id: &str) -> Answer {
    let body = json!({ "site_id": site_id });
    world.admin("POST", &format!("/v1/hosts/{host_id}/move"), Some(body)).await
}

/// What must not change.
fn identity(host: &Value) -> Value {
    let mut host = host.clone();
    host["site_id"] = Value::Null;
    host["presence"] = Value::Null;
    host
}

both! {
    async fn a_host_that_moves_keeps_id_keys_tags_secrets_and_socket(world) {
        let host = world.join("alpha", repo()).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        world.must("PUT", &format!("{path}/tags"), Some(json!({ "tags": ["web"] }))).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        world.audited_times("host_config.applied", 1).await;
        let before = world.host(&host).await;
        let (there, _) = site(&world, "there", json!({})).await;
        let moved = move_to(&world, host.host_id, &there).await;
        assert_eq!((moved.status, moved.text("site_id")), (200, there.clone()));
        assert_eq!(identity(&moved.body), identity(&before));
        assert!(world.app.hub.is_connected(host.host_id));
        // The same socket still gets what its host gets.
        let changed = json!({ "document": { "password": "another horse" } });
        world.must("PUT", &format!("{path}/secrets/repo"), Some(changed["document"].clone())).await;
        let ServerMessage::ConfigUpdate { config } = socket.message().await else { panic!("no configuration") };
        assert_eq!(config.secrets.iter().count(), 1);
        drop(socket);
        world.disconnected(&host).await;
        host.connect(&world, Some(generation)).await;
        let told = world.audited_times("host.moved", 1).await;
        assert_eq!(told[0]["target"], json!(host.host_id));
        assert_eq!(told[0]["changed"], json!(["site_id"]));
        assert_eq!(told[0]["details"], json!({ "from": before["site_id"], "to": there, "claim_id": null }));
        for action in ["key.revoked", "key.rotated", "host.rekeyed"] {
            world.audited_times(action, 0).await;
        }
    }

    async fn b17_nothing_moves_to_or_from_another_team(world) {
        let host = world.join("alpha", json!({})).await;
        let here = world.host(&host).await["site_id"].as_str().unwrap().to_owned();
        let stranger = world.team("strangers").await.owner();
        let made = world.ask("POST", "/v1/sites", &stranger, Some(json!({ "name": "theirs" }))).await;
        let theirs = made.text("id");
        let absent = "site_00000000000000000000000000000000";
        let path = format!("/v1/hosts/{}/move", host.host_id);
        let mut answers = vec![bytes(&move_to(&world, host.host_id, absent).await)];
        answers.push(bytes(&move_to(&world, host.host_id, &theirs).await));
        answers.push(bytes(&move_to(&world, "host_00000000000000000000000000000000", &here).await));
        for site_id in [theirs.as_str(), here.as_str(), absent] {
            let body = json!({ "site_id": site_id });
            answers.push(bytes(&world.ask("POST", &path, &stranger, Some(body)).await));
        }
        assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 404), "{answers:?}");
        assert_eq!(world.host(&host).await["site_id"], here.as_str());
        world.audited_times("host.moved", 0).await;
    }

    async fn a_host_moves_only_where_it_does_not_stand_and_while_it_lives(world) {
        let host = world.join("alpha", json!({})).await;
        let here = world.default_site().await;
        let (there, _) = site(&world, "there", json!({})).await;
        move_to(&world, host.host_id, &here).await.problem(409, "already_there");
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        assert_eq!(move_to(&world, host.host_id, &there).await.status, 200);
        assert_eq!(world.host(&host).await["state"], "suspended");
        world.retire(&host).await;
        move_to(&world, host.host_id, &here).await.problem(409, "not_possible");
        move_to(&world, host.host_id, &there).await.problem(409, "not_possible");
    }

    async fn claims_on_it_are_closed_and_their_machines_judged_anew(world) {
        let host = world.join("alpha", json!({})).await;
        let here = world.site_key().await;
        let (there, there_key) = site(&world, "there", json!({})).await;
        let (contests, conflicts) = (twin("alpha"), twin("alpha"));
        assert_eq!(contests.enroll(&world, &here).await.status, 202);
        conflicts.enroll(&world, &there_key).await.problem(409, "site_conflict");
        let before: Vec<Value> = waiting(&world).await;
        assert_eq!(before.len(), 2);
        assert_eq!(move_to(&world, host.host_id, &there).await.status, 200);
        for claim in &before {
            let path = format!("/v1/claims/{}", claim["id"].as_str().unwrap());
            assert_eq!(world.must("GET", &path, None).await["state"], "closed");
            decide(&world, claim["id"].as_str().unwrap(), "new", false).await.problem(409, "claim_not_waiting");
        }
        world.audited_times("claim.decided", 2).await;
        // What was its own site is another one now, and the other way round.
        contests.enroll(&world, &here).await.problem(409, "site_conflict");
        let at_home = conflicts.enroll(&world, &there_key).await;
        assert_eq!((at_home.status, at_home.text("reason")), (202, "collision".to_owned()));
    }

    async fn it_comes_home_with_any_key_of_its_team_and_stays_where_it_was_moved(world) {
        let here = world.site_key().await;
        let machine = Machine::new("alpha");
        let host_id = machine.enroll(&world, &here).await.text("host_id");
        let (there, there_key) = site(&world, "there", json!({})).await;
        assert_eq!(move_to(&world, &host_id, &there).await.status, 200);
        for site_key in [here, there_key] {
            let again = machine.enroll(&world, &site_key).await;
            assert_eq!((again.status, again.text("disposition")), (200, "reuse".to_owned()));
            assert_eq!(again.text("host_id"), host_id);
        }
        let shown = world.must("GET", &format!("/v1/hosts/{host_id}"), None).await;
        assert_eq!(shown["site_id"], there.as_str());
    }

    /// Door 2 admits the named host, wherever it stands by then.
    async fn the_registration_token_of_an_invited_host_follows_it(world) {
        let (there, there_key) = site(&world, "there", json!({})).await;
        let (host_id, token) = invite(&world, "web-1").await;
        let (contested, contested_token) = invite(&world, "web-2").await;
        let owner = Machine::new("owner").join(&world, &there_key).await;
        let here_key = world.site_key().await;
        let here_owner = Machine::new("here").join(&world, &here_key).await;
        // The machine of the second one waits at the site the host is about to leave.
        let waits = twin("here");
        let asked = waits.enroll(&world, &contested_token).await;
        assert_eq!((asked.status, asked.text("reason")), (202, "uid_taken".to_owned()));
        for id in [&host_id, &contested] {
            assert_eq!(move_to(&world, id, &there).await.status, 200);
        }
        assert_eq!(waiting(&world).await.len(), 0);
        waits.enroll(&world, &contested_token).await.problem(409, "site_conflict");
        let registered = Machine::new("web-1").enroll(&world, &token).await;
        assert_eq!((registered.status, registered.text("host_id")), (201, host_id.clone()), "{registered:?}");
        let shown = world.must("GET", &format!("/v1/hosts/{host_id}"), None).await;
        assert_eq!(shown["site_id"], there.as_str());
        assert_eq!(world.host(&here_owner).await["state"], "active");
        assert_eq!(world.host(&owner).await["site_id"], there.as_str());
    }

    /// A person moves the host while another one lets a machine take it over: one of them comes first.
    async fn i6_a_move_and_a_verdict_at_once_leave_one_of_two_orders(world) {
        let (there, _) = site(&world, "there", json!({})).await;
        let here = world.default_site().await;
        for round in 0..6 {
            let name = format!("pc-{round}");
            let host = world.join(&name, json!({})).await;
            let site_key = world.site_key().await;
            let newcomer = twin(&name);
            assert_eq!(newcomer.enroll(&world, &site_key).await.status, 202);
            let claim_id = waiting(&world).await[0]["id"].as_str().unwrap().to_owned();
            let (moved, decided) =
                tokio::join!(move_to(&world, host.host_id, &there), decide(&world, &claim_id, "replace", false));
            assert_eq!(moved.status, 200, "{moved:?}");
            let shown = world.host(&host).await;
            assert_eq!(shown["site_id"], there.as_str());
            let new_key = muster_ids::KeyName::Pair(newcomer.key.thumbprint());
            if decided.status == 200 {
                assert_eq!(shown["keys"], json!([new_key]));
                assert_eq!(newcomer.enroll(&world, &site_key).await.status, 200);
            } else {
                let code = decided.body["code"].as_str().unwrap();
                assert!(["claim_not_waiting", "claim_stale"].contains(&code), "{decided:?}");
                assert_eq!(shown["keys"], json!([host.key_name()]));
                newcomer.enroll(&world, &site_key).await.problem(409, "site_conflict");
                let open = waiting(&world).await;
                decide(&world, open[0]["id"].as_str().unwrap(), "reject", false).await;
            }
            assert_ne!(here, there);
            world.clock.advance(Duration::from_secs(1));
        }
    }
}
