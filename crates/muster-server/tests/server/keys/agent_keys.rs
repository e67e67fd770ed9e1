//! Agent keys for machines that cannot hold a key pair: who gets one, how many, and what of them is ever shown.

use std::time::Duration;

use muster_server::uses::Used;
use serde_json::json;

use crate::keys::scene::{
    Bearer, bytes, enroll_with_secret, invite, join_with_secret, mint, repo, revoke, site, twin,
};
use crate::world::{Machine, both};

both! {
    async fn an_invited_host_is_admitted_with_the_key_a_person_mints(world) {
        let (host_id, registration) = invite(&world, "printer").await;
        let minted = mint(&world, &host_id).await;
        assert_eq!(minted.status, 201, "{minted:?}");
        let bearer = Bearer::of_minted(&host_id, &minted.body);
        let shown = world.must("GET", &format!("/v1/hosts/{host_id}"), None).await;
        assert_eq!((&shown["state"], &shown["keys"]), (&json!("active"), &json!([bearer.key])));
        assert_eq!(shown["presence"]["status"], "never_seen");
        assert_eq!(bearer.heartbeat(&world).await.status, 200);
        // The key was the admission: the token that would have registered the host opens nothing more.
        Machine::new("printer").enroll(&world, &registration).await.problem(401, "enrollment_rejected");
        for action in ["key.minted", "host.enrolled", "ticket.revoked"] {
            world.audited_times(action, 1).await;
        }
        assert_eq!(world.events("key.minted").await, [bearer.key]);
    }

    async fn a_key_is_shown_once_and_the_same_request_gets_the_same_one(world) {
        let (host_id, _) = invite(&world, "printer").await;
        let path = format!("/v1/hosts/{host_id}/agent-keys");
        let headers = format!("authorization: Bearer {}\r\nidempotency-key: mint-once-1\r\n", world.admin);
        let first = world.ask("POST", &path, &headers, Some(json!({}))).await;
        let again = world.ask("POST", &path, &headers, Some(json!({}))).await;
        assert_eq!((first.status, again.status), (201, 201));
        assert_eq!(first.body, again.body);
        let secret = first.text("token");
        let secret = &secret[secret.len() - 20..];
        let listed = world.admin("GET", &format!("/v1/hosts/{host_id}/keys"), None).await;
        let keys = listed.body["items"].as_array().unwrap();
        assert_eq!(keys.len(), 1);
        assert_eq!((&keys[0]["kind"], &keys[0]["state"]), (&json!("agent_key"), &json!("active")));
        assert!(keys[0]["created_by"].as_str().unwrap().starts_with("user_"));
        assert!(!listed.raw_body.contains(secret));
        let trail = world.admin("GET", "/v1/audit?limit=200", None).await;
        assert!(!trail.raw_body.contains(secret));
    }

    async fn n3_a_host_never_has_a_third_key(world) {
        let (host_id, _) = invite(&world, "printer").await;
        assert_eq!(mint(&world, &host_id).await.status, 201);
        let many = futures_util::future::join_all((0..6).map(|_| mint(&world, &host_id))).await;
        let made = many.iter().filter(|answer| answer.status == 201).count();
        assert_eq!(made, 1, "{many:?}");
        many.iter().filter(|answer| answer.status != 201).for_each(|answer| answer.problem(409, "too_many_keys"));
        let shown = world.must("GET", &format!("/v1/hosts/{host_id}"), None).await;
        assert_eq!(shown["keys"].as_array().unwrap().len(), 2);
        revoke(&world, &host_id, shown["keys"][0].as_str().unwrap()).await;
        assert_eq!(mint(&world, &host_id).await.status, 201, "one ended, one may come");
        mint(&world, &host_id).await.problem(409, "too_many_keys");
    }

    async fn a_host_has_a_key_pair_or_agent_keys(world) {
        let host = world.join("alpha", json!({})).await;
        let host_id = host.host_id.to_string();
        mint(&world, &host_id).await.problem(409, "host_has_key_pair");
        // A revoked key pair comes back with another one, not with less.
        assert_eq!(revoke(&world, &host_id, &host.key_name().to_string()).await.status, 200);
        mint(&world, &host_id).await.problem(409, "host_has_key_pair");
        let bearer = join_with_secret(&world, "beta", [3; 32], json!({})).await;
        world.must("POST", &format!("/v1/hosts/{}/suspend", bearer.host_id), None).await;
        mint(&world, &bearer.host_id).await.problem(409, "not_possible");
        world.must("POST", &format!("/v1/hosts/{}/resume", bearer.host_id), None).await;
        // What a machine made itself is an agent key like any other: one more may be minted, and none is needed.
        assert_eq!(mint(&world, &bearer.host_id).await.status, 201);
        // A rejoin with a key pair ends both.
        world.clock.advance(Duration::from_secs(1));
        let path = format!("/v1/hosts/{}/registration-token", bearer.host_id);
        let token = world.must("POST", &path, Some(json!({ "rejoin": true }))).await;
        let token = token["token"].as_str().unwrap().to_owned();
        assert_eq!(Machine::new("beta").enroll(&world, &token).await.status, 200);
        bearer.heartbeat(&world).await.problem(401, "key_revoked");
        world.audited_times("key.rotated", 2).await;
        mint(&world, &bearer.host_id).await.problem(409, "host_has_key_pair");
    }

    async fn k12_keys_and_hosts_of_others_are_as_absent_as_those_that_are_not_there(world) {
        let (mine, _) = invite(&world, "mine").await;
        let minted = mint(&world, &mine).await;
        let key = Bearer::of_minted(&mine, &minted.body);
        let (other, _) = invite(&world, "other").await;
        assert_eq!(mint(&world, &other).await.status, 201);
        let absent_key = "agk:000000000000";
        let absent_host = "host_00000000000000000000000000000000";
        let stranger = world.team("strangers").await.owner();
        let admin = format!("authorization: Bearer {}\r\n", world.admin);
        let mut answers = Vec::new();
        for (headers, host, name) in [
            (&admin, mine.as_str(), absent_key),
            (&admin, other.as_str(), key.key.as_str()),
            (&admin, absent_host, key.key.as_str()),
            (&stranger, mine.as_str(), key.key.as_str()),
        ] {
            let path = format!("/v1/hosts/{host}/keys/{name}/revoke");
            answers.push(bytes(&world.ask("POST", &path, headers, None).await));
        }
        for path in [format!("/v1/hosts/{mine}/agent-keys"), format!("/v1/hosts/{absent_host}/agent-keys")] {
            answers.push(bytes(&world.ask("POST", &path, &stranger, Some(json!({}))).await));
        }
        for path in [format!("/v1/hosts/{mine}/keys"), format!("/v1/hosts/{absent_host}/keys")] {
            answers.push(bytes(&world.ask("GET", &path, &stranger, None).await));
        }
        assert!(answers.iter().all(|answer| answer == &answers[0] && answer.0 == 404), "{answers:?}");
        assert_eq!(key.heartbeat(&world).await.status, 200);
        world.audited_times("key.revoked", 0).await;
    }

    async fn the_use_of_an_agent_key_is_noted_while_it_may_be_used(world) {
        let bearer = join_with_secret(&world, "alpha", [5; 32], json!({})).await;
        let used = Used::AgentKey(bearer.key.strip_prefix("agk:").unwrap().parse().unwrap());
        assert_eq!(world.app.uses.of(used), None);
        bearer.heartbeat(&world).await;
        assert_eq!(world.app.uses.of(used), Some(world.app.clock.now()));
        world.app.uses.take(usize::MAX);
        revoke(&world, &bearer.host_id, &bearer.key).await;
        bearer.heartbeat(&world).await.problem(401, "key_revoked");
        assert_eq!(world.app.uses.of(used), None, "a revoked key is not in use");
    }

    /// `reimage = auto` gives a quiet host to a newcomer; what a person took away stays away.
    async fn b16_a_key_that_a_person_revoked_keeps_the_host_from_being_taken_over(world) {
        let policy = json!({ "reimage": "auto" });
        let (site_id, site_key) = site(&world, "auto", policy).await;
        let mut hosts = Vec::new();
        for (n, name) in ["quiet", "revoked", "newest-revoked"].into_iter().enumerate() {
            let body = json!({ "site_id": site_id });
            let token = world.must("POST", "/v1/enrolment-tokens", Some(body)).await;
            let token = token["token"].as_str().unwrap().to_owned();
            let secret = [n as u8 + 20; 32];
            let joined = enroll_with_secret(&world, &twin(name), &secret, &token).await;
            assert_eq!(joined.status, 201, "{joined:?}");
            let (host_id, key) = (joined.text("host_id"), format!("agk:{}", joined.text("agent_key_id")));
            let bearer = world.app.keyring.agent_key(&secret);
            let header = format!("authorization: Bearer {}\r\n", secrecy::ExposeSecret::expose_secret(&bearer.expose()));
            let bearer = Bearer { host_id, key, header };
            assert_eq!(bearer.heartbeat(&world).await.status, 200);
            hosts.push(bearer);
        }
        world.clock.advance(Duration::from_secs(60));
        assert_eq!(revoke(&world, &hosts[1].host_id, &hosts[1].key).await.status, 200);
        let second = mint(&world, &hosts[2].host_id).await;
        let second = Bearer::of_minted(&hosts[2].host_id, &second.body);
        assert_eq!(revoke(&world, &hosts[2].host_id, &second.key).await.status, 200);
        world.clock.advance(Duration::from_secs(25 * 3600));
        let taken = twin("quiet").enroll(&world, &site_key).await;
        assert_eq!((taken.status, taken.text("disposition")), (200, "rekeyed".to_owned()), "{taken:?}");
        for name in ["revoked", "newest-revoked"] {
            let waits = twin(name).enroll(&world, &site_key).await;
            assert_eq!((waits.status, waits.text("reason")), (202, "reimage".to_owned()), "{name}: {waits:?}");
        }
    }

    async fn a_secret_that_two_keys_received_is_exposed_when_one_of_them_ends(world) {
        let bearer = join_with_secret(&world, "alpha", [6; 32], repo()).await;
        let (mut socket, _, config) = bearer.connect(&world, None).await;
        assert_eq!(config.secrets.iter().count(), 1);
        world.audited_times("secret.delivered", 1).await;
        let secrets = format!("/v1/hosts/{}/secrets", bearer.host_id);
        assert_eq!(world.must("GET", &secrets, None).await["items"][0]["exposed"], false);
        revoke(&world, &bearer.host_id, &bearer.key).await;
        socket.next().await;
        assert_eq!(world.must("GET", &secrets, None).await["items"][0]["exposed"], true);
    }
}
