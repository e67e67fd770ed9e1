//! Whoever shows a key that was replaced or revoked is refused as before, and somebody is told: once a key and hour.

use std::time::Duration;

use muster_server::reconcile;
use serde_json::json;

use crate::keys::scene::{join_with_secret, repo, revoke};
use crate::world::{Joined, Machine, World, both};

async fn alarms(world: &World) -> Vec<String> {
    world.app.former_uses.write(&world.app).await.unwrap();
    world.events("key.former_used").await
}

async fn dead(world: &World, name: &str) -> Joined {
    let host = world.join(name, repo()).await;
    assert_eq!(revoke(world, &host.host_id.to_string(), &host.key_name().to_string()).await.status, 200);
    host
}

both! {
    async fn a_former_key_is_an_alarm_wherever_it_is_shown(world) {
        let key = |host: &Joined| host.key_name().to_string();
        let on_http = dead(&world, "alpha").await;
        on_http.heartbeat(&world).await.problem(401, "key_revoked");
        assert_eq!(alarms(&world).await, [key(&on_http)]);

        let on_channel = dead(&world, "beta").await;
        let proof = on_channel.proof(&world, "GET", "/v1/agent/connect", None);
        let answer = world.ask("GET", "/v1/agent/connect", &proof, None).await;
        answer.problem(401, "key_revoked");
        assert_eq!(alarms(&world).await.len(), 2);

        let at_the_door = dead(&world, "gamma").await;
        let ticket = world.site_key().await;
        let machine = Machine { key: at_the_door.key, hostname: "gamma".to_owned(), uid: Machine::new("gamma").uid };
        let answer = machine.enroll(&world, &ticket).await;
        answer.problem(401, "key_revoked");
        assert!(answer.body["revoked"].is_string(), "signed as before");
        assert_eq!(alarms(&world).await.len(), 3);

        let bearer = join_with_secret(&world, "delta", [9; 32], json!({})).await;
        assert_eq!(revoke(&world, &bearer.host_id, &bearer.key).await.status, 200);
        bearer.heartbeat(&world).await.problem(401, "key_revoked");
        assert_eq!(alarms(&world).await.last(), Some(&bearer.key));

        let told = world.audited("key.former_used").await;
        assert_eq!(told.len(), 4);
        assert!(told.iter().all(|entry| entry["outcome"] == "refused" && entry["details"]["source"] == "127.0.0.1"));
    }

    async fn an_hour_of_it_is_one_alarm_a_key(world) {
        let host = dead(&world, "alpha").await;
        for _ in 0..20 {
            host.heartbeat(&world).await.problem(401, "key_revoked");
        }
        assert_eq!(alarms(&world).await.len(), 1);
        world.clock.advance(Duration::from_secs(3600));
        host.heartbeat(&world).await.problem(401, "key_revoked");
        assert_eq!(alarms(&world).await.len(), 2);
        assert_eq!(reconcile::ask_some(&world.app).await.unwrap(), 0);
    }

    async fn a_wrong_proof_by_a_former_key_is_no_alarm(world) {
        let host = dead(&world, "alpha").await;
        let other = world.join("beta", repo()).await;
        // The thief knows the name of the key and does not have it.
        let path = format!("/v1/hosts/{}/heartbeat", host.host_id);
        let proof = other.proof(&world, "POST", &path, Some("{}"));
        let answer = world.ask("POST", &path, &proof, Some(json!({}))).await;
        assert!(answer.status >= 400);
        assert_eq!(alarms(&world).await, [""; 0]);
    }
}
