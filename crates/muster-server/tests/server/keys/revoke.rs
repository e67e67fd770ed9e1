//! One key is revoked and the host stays: cut, told, refused everywhere, and a way back.

use std::time::Duration;

use muster_proof::instruction::verify_revoked;
use muster_server::channel::Command;
use muster_wire::channel::{ServerMessage, close};
use serde_json::json;

use crate::keys::scene::{repo, revoke};
use crate::world::{Machine, both};

both! {
    async fn b20_a_revoked_key_pair_is_cut_told_and_refused_before_the_reply(world) {
        let host = world.join("alpha", repo()).await;
        let host_id = host.host_id.to_string();
        let (mut socket, _) = host.connect(&world, None).await;
        let site_key = world.site_key().await;
        let answer = revoke(&world, &host_id, &host.key_name().to_string()).await;
        assert_eq!((answer.status, answer.text("state")), (200, "revoked".to_owned()), "{answer:?}");
        assert!(!world.app.hub.is_connected(host.host_id));
        let ServerMessage::Revoked { statement } = socket.message().await else { panic!("no statement") };
        let thumbprint = world.app.installation.instruction_thumbprint();
        let revoked = verify_revoked(&statement, &thumbprint).unwrap();
        assert_eq!((revoked.host_id, revoked.key), (host.host_id, host.key_name()));
        assert_eq!(revoked.reason, "revoked");
        socket.closes_with(close::REVOKED).await;
        let refused = host.heartbeat(&world).await;
        refused.problem(401, "key_revoked");
        assert_eq!(verify_revoked(&refused.text("revoked"), &thumbprint).unwrap().key, host.key_name());
        let proof = host.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &proof, None).await.problem(401, "key_revoked");
        host.post(&world, &format!("/v1/hosts/{host_id}/leave"), None).await.problem(401, "key_revoked");
        // The door knows it, too, whatever ticket comes with it.
        let key = host.key_name();
        let at_the_door = Machine { key: host.key, ..Machine::new("alpha") }.enroll(&world, &site_key).await;
        at_the_door.problem(401, "key_revoked");
        let told = verify_revoked(&at_the_door.text("revoked"), &thumbprint).unwrap();
        assert_eq!((told.key, told.reason.as_str()), (key, "revoked"));
    }

    /// The reply to the first revocation may have been lost, and with it the cut.
    async fn who_revokes_a_key_again_cuts_what_is_still_open(world) {
        let host = world.join("alpha", repo()).await;
        let (host_id, key) = (host.host_id, host.key_name());
        revoke(&world, &host_id.to_string(), &key.to_string()).await;
        let mut left = world.app.hub.register(host_id, key, "127.0.0.1").unwrap();
        revoke(&world, &host_id.to_string(), &key.to_string()).await;
        assert!(matches!(left.commands.try_recv(), Ok(Command::Revoked { .. })));
        assert!(!world.app.hub.is_connected(host_id));
    }

    async fn the_host_stays_with_its_secrets_and_rejoins(world) {
        let host = world.join("alpha", repo()).await;
        let host_id = host.host_id.to_string();
        let name = host.key_name().to_string();
        revoke(&world, &host_id, &name).await;
        let again = revoke(&world, &host_id, &name).await;
        assert_eq!((again.status, again.text("state")), (200, "revoked".to_owned()), "what ended stays as it ended");
        let told = world.audited_times("key.revoked", 1).await;
        assert_eq!((&told[0]["target"], &told[0]["outcome"]), (&json!(name), &json!("ok")));
        assert_eq!(world.events("key.revoked").await, [name]);
        let shown = world.host(&host).await;
        assert_eq!((&shown["state"], &shown["keys"]), (&json!("active"), &json!([])));
        let path = format!("/v1/hosts/{host_id}/registration-token");
        let token = world.must("POST", &path, Some(json!({ "rejoin": true }))).await;
        let rejoined = Machine::new("alpha").join(&world, token["token"].as_str().unwrap()).await;
        assert_eq!(rejoined.host_id, host.host_id);
        let (_socket, _) = rejoined.connect(&world, None).await;
        let keys = world.must("GET", &format!("/v1/hosts/{host_id}/keys"), None).await;
        let states: Vec<_> = keys["items"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
        assert_eq!(states.len(), 2);
        assert!(states.contains(&json!("active")) && states.contains(&json!("revoked")));
    }

    async fn keys_are_listed_page_by_page(world) {
        let host = world.join("alpha", json!({})).await;
        let host_id = host.host_id.to_string();
        for _ in 0..3 {
            world.clock.advance(Duration::from_secs(1));
            let path = format!("/v1/hosts/{host_id}/registration-token");
            let token = world.must("POST", &path, Some(json!({ "rejoin": true }))).await;
            Machine::new("alpha").join(&world, token["token"].as_str().unwrap()).await;
        }
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.must("GET", &format!("/v1/hosts/{host_id}/keys?limit=3{cursor}"), None).await;
            seen.extend(page["items"].as_array().unwrap().iter().map(|key| key["name"].clone()));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), 4);
        assert_eq!(seen[3], json!(host.key_name()));
        let other = world.join("beta", json!({})).await;
        let path = format!("/v1/hosts/{}/keys?limit=3{cursor}", other.host_id);
        world.admin("GET", &path, None).await.problem(400, "invalid_cursor");
    }
}
