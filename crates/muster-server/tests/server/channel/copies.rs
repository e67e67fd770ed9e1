//! Two holders of one identity: generations, and two connections at once.

use std::time::Duration;

use muster_wire::channel::close;
use serde_json::json;

use crate::channel::repo;
use crate::world::both;

both! {
    async fn a_lost_acknowledgement_gets_the_same_generation_again(world) {
        let host = world.join("alpha", repo()).await;
        let mut socket = host.dial(&world).await;
        let first = socket.welcome(&host, &world, None).await;
        drop(socket);
        let mut socket = host.dial(&world).await;
        assert_eq!(socket.welcome(&host, &world, None).await, first);
        drop(socket);
        // The agent had it on disk after all: it is current.
        let mut socket = host.dial(&world).await;
        let second = socket.welcome(&host, &world, Some(first.clone())).await;
        assert_ne!(second, first);
        socket.acknowledge(&second, json!([])).await;
        assert!(world.events("clone.suspected").await.is_empty());
    }

    async fn c10_a_stale_generation_gets_nothing_and_changes_nothing(world) {
        let host = world.join("alpha", repo()).await;
        let (socket, first) = host.connect(&world, None).await;
        drop(socket);
        let (socket, second) = host.connect(&world, Some(first.clone())).await;
        drop(socket);
        for stale in [None, Some(first)] {
            let mut copy = host.dial(&world).await;
            copy.boot_id = "copy".to_owned();
            let claims = copy.claims(&host, &world, stale);
            copy.hello(&host, &claims).await;
            copy.closes_with(close::GENERATION_STALE).await;
        }
        assert_eq!(world.events("clone.suspected").await, [host.host_id.to_string()], "once for one start");
        world.audited_times("clone.suspected", 1).await;
        let (_socket, _) = host.connect(&world, Some(second)).await;
    }

    async fn c10_the_copy_leaves_when_the_first_connection_answers(world) {
        let host = world.join("alpha", repo()).await;
        let (mut first, generation) = host.connect(&world, None).await;
        let mut copy = host.dial(&world).await;
        copy.boot_id = "copy".to_owned();
        let claims = copy.claims(&host, &world, Some(generation));
        copy.hello(&host, &claims).await;
        // Listening answers pings.
        let (told, ()) = tokio::join!(first.within(Duration::from_secs(1)), copy.closes_with(close::FENCED));
        assert_eq!(told, None, "the first connection is not disturbed");
        assert_eq!(world.events("clone.suspected").await.len(), 1);
        first.heartbeat().await;
        assert!(world.app.hub.is_connected(host.host_id));
    }

    async fn c11_a_first_connection_that_is_silent_is_fenced(world) {
        let host = world.join("alpha", repo()).await;
        let (_deaf, generation) = host.connect(&world, None).await;
        let (_second, _) = host.connect(&world, Some(generation)).await;
        assert!(world.events("clone.suspected").await.is_empty());
        assert_eq!(world.app.hub.len(), 1);
    }
}
