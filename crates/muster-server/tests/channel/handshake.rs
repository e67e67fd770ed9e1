//! From the upgrade to the first work: challenge, hello, welcome, acknowledgement, configuration.

use std::time::Duration;

use muster_proof::{HostKey, hello};
use muster_wire::channel::{ServerMessage, close};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::world::{Machine, Socket, Told, both};

fn repo() -> serde_json::Value {
    json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } })
}

both! {
    async fn the_secret_arrives_before_anything_else(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, None).await;
        let config = socket.acknowledge(&generation, json!([])).await;
        let secrets: Vec<_> = config.secrets.iter().collect();
        assert_eq!(secrets.len(), 1);
        assert_eq!(secrets[0].1.document.expose()["password"], "correct horse");
        socket.heartbeat().await;
        let shown = host_becomes(&world, &host, "online").await;
        assert_eq!(shown["reported"]["hostname"], "reported");
        let delivered = world.audited("secret.delivered").await;
        assert_eq!(delivered.len(), 1, "{delivered:?}");
        assert_eq!(delivered[0]["actor"], host.key_name().to_string());
        let listed = world.must("GET", &format!("/v1/hosts/{}/secrets", host.host_id), None).await;
        assert_eq!(listed["items"][0]["deliveries"][0]["key"], host.key_name().to_string());
        assert_eq!(listed["items"][0]["exposed"], false);
    }
}

async fn host_becomes(world: &crate::world::World, host: &crate::world::Joined, status: &str) -> serde_json::Value {
    for _ in 0..50 {
        let shown = world.must("GET", &format!("/v1/hosts/{}", host.host_id), None).await;
        if shown["presence"]["status"] == status {
            return shown;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the host does not become {status}");
}
