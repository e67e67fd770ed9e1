//! Presence: kept in memory, flushed in batches, told when it changes.

use std::time::Duration;

use muster_domain::presence::{RECONNECT_WINDOW, UNREACHABLE_AFTER};
use muster_server::reconcile;
use serde_json::json;

use crate::repo;
use crate::world::{Machine, World, both};

async fn watch(world: &World) {
    reconcile::flush(&world.app).await.unwrap();
    reconcile::watch(&world.app).await.unwrap();
}

both! {
    async fn silence_is_told_once_and_so_is_the_return(world) {
        let host = world.join("alpha", repo()).await;
        let id = host.host_id.to_string();
        assert_eq!(host.heartbeat(&world).await.status, 200);
        world.clock.advance(UNREACHABLE_AFTER * 2);
        watch(&world).await;
        assert!(world.events("host.unreachable").await.is_empty(), "agents have time to come back after a start");
        world.clock.advance(RECONNECT_WINDOW);
        watch(&world).await;
        watch(&world).await;
        assert_eq!(world.events("host.unreachable").await, std::slice::from_ref(&id));
        assert_eq!(world.host(&host).await["presence"]["status"], "unreachable");
        assert_eq!(host.heartbeat(&world).await.status, 200);
        watch(&world).await;
        watch(&world).await;
        assert_eq!(world.events("host.back").await, [id]);
        assert_eq!(world.host(&host).await["presence"]["status"], "online");
    }

    async fn who_is_connected_or_said_goodbye_is_missed_by_nobody(world) {
        let (host, other) = (world.join("alpha", repo()).await, world.join("beta", repo()).await);
        let (_socket, _) = host.connect(&world, None).await;
        let (mut leaving, _) = other.connect(&world, None).await;
        leaving.send(json!({ "type": "goodbye", "reason": "shutdown" })).await;
        world.becomes(&format!("/v1/hosts/{}", other.host_id), "/presence/status", "offline").await;
        world.clock.advance(RECONNECT_WINDOW * 2);
        watch(&world).await;
        assert!(world.events("host.unreachable").await.is_empty());
        assert_eq!(world.host(&host).await["presence"]["status"], "online");
    }

    async fn a_site_that_goes_silent_is_one_event_with_a_count(world) {
        let key = world.site_key().await;
        for n in 0..11 {
            let host = Machine::new(&format!("m{n}")).join(&world, &key).await;
            assert_eq!(host.heartbeat(&world).await.status, 200);
        }
        world.clock.advance(RECONNECT_WINDOW * 2);
        watch(&world).await;
        assert_eq!(world.events("site.unreachable").await.len(), 1);
        assert!(world.events("host.unreachable").await.is_empty());
    }

    async fn a_heartbeat_reaches_the_table_with_the_next_flush(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        world.clock.advance(Duration::from_secs(7));
        host.heartbeat(&world).await;
        let seen_at = async || world.app.look(|tx| tx.presence_page(0, 9)).await.unwrap()[0].seen_at;
        assert_eq!(seen_at().await, None);
        reconcile::flush(&world.app).await.unwrap();
        assert_eq!(seen_at().await, Some(world.app.clock.now()));
        assert!(world.app.presences.take_unflushed().is_empty());
    }
}
