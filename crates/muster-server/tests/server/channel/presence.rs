//! Presence: kept in memory, flushed in batches, told when it changes.

use std::time::Duration;

use muster_domain::presence::{RECONNECT_WINDOW, UNREACHABLE_AFTER};
use muster_server::enrol::retire;
use muster_server::reconcile;
use muster_server::unit::Author;
use muster_store::Priority;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::channel::repo;
use crate::world::{Joined, Machine, World, both, until};

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
        for _ in 0..2 {
            world.clock.advance(RECONNECT_WINDOW / 2);
            watch(&world).await;
        }
        watch(&world).await;
        assert_eq!(world.events("host.unreachable").await, std::slice::from_ref(&id));
        assert_eq!(world.host(&host).await["presence"]["status"], "unreachable");
        assert_eq!(host.heartbeat(&world).await.status, 200);
        watch(&world).await;
        watch(&world).await;
        assert_eq!(world.events("host.back").await, [id]);
        assert_eq!(world.host(&host).await["presence"]["status"], "online");
    }

    /// A pause of the server's machine is like a restart: nobody could be heard meanwhile.
    async fn a_server_that_was_away_misses_nobody_before_they_had_time_to_come_back(world) {
        let host = world.join("alpha", repo()).await;
        assert_eq!(host.heartbeat(&world).await.status, 200);
        for _ in 0..3 {
            world.clock.advance(RECONNECT_WINDOW / 2);
            assert_eq!(host.heartbeat(&world).await.status, 200);
            watch(&world).await;
        }
        world.clock.advance(Duration::from_secs(3600));
        watch(&world).await;
        assert_eq!(world.host(&host).await["presence"]["status"], "online", "silence is heard only by who listens");
        world.clock.advance(RECONNECT_WINDOW / 2);
        watch(&world).await;
        assert!(world.events("host.unreachable").await.is_empty());
        world.clock.advance(RECONNECT_WINDOW / 2);
        watch(&world).await;
        assert_eq!(world.events("host.unreachable").await.len(), 1);
        assert_eq!(world.host(&host).await["presence"]["status"], "unreachable");
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

    async fn a_host_that_is_refused_everything_is_offline_at_once(world) {
        let (host, other) = (world.join("alpha", repo()).await, world.join("beta", repo()).await);
        let silent = world.join("gamma", repo()).await;
        let path = |host: &Joined| format!("/v1/hosts/{}", host.host_id);
        let status = async |host: &Joined| world.host(host).await["presence"]["status"].clone();
        let (_socket, _) = host.connect(&world, None).await;
        other.heartbeat(&world).await;
        for host in [&host, &silent] {
            world.must("POST", &format!("{}/suspend", path(host)), None).await;
        }
        assert_eq!(world.retire(&other).await.status, 200);
        assert_eq!((status(&host).await, status(&other).await), (json!("offline"), json!("offline")));
        assert_eq!(status(&silent).await, "never_seen");
        let listed = world.must("GET", "/v1/hosts?presence=offline", None).await;
        assert_eq!(listed["items"].as_array().unwrap().len(), 2);
        reconcile::flush(&world.app).await.unwrap();
        assert_eq!(world.app.presences.of(other.host_id), None, "nothing is kept of a host that is no more");
        assert_eq!(status(&other).await, "offline", "what was last heard was written down");
        world.must("POST", &format!("{}/resume", path(&host)), None).await;
        assert_eq!(status(&host).await, "online");
        world.clock.advance(RECONNECT_WINDOW * 2);
        watch(&world).await;
        assert_eq!(world.events("host.unreachable").await, [host.host_id.to_string()]);
    }

    async fn a_host_is_forgotten_by_whatever_retires_it(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        reconcile::flush(&world.app).await.unwrap();
        assert!(world.app.presences.of(host.host_id).is_some());
        let id = host.host_id;
        let ended = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
            let team_id = unit.tx.platform_team_id()?.unwrap();
            let host = retire::locked(unit, team_id, id)?;
            retire::retire_locked(unit, &[&host], &Author::system(), retire::Why::Person)
        });
        ended.await.unwrap();
        assert_eq!(world.app.presences.of(host.host_id), None);
    }

    async fn background_work_says_when_it_last_went_well(world) {
        let stop = CancellationToken::new();
        let flusher = tokio::spawn(reconcile::flusher(world.app.clone(), stop.clone()));
        let line = format!("muster_reconciled_at_seconds{{reconciler=\"Flusher\"}} {}", world.app.clock.now().as_millis() / 1000);
        until("the flusher went well", async || world.app.metrics.render(world.app.store.committed()).unwrap().contains(&line)).await;
        stop.cancel();
        flusher.await.unwrap();
        let shown = world.ask("GET", "/metrics", "", None).await.raw_body;
        assert!(shown.contains(&line), "{shown}");
        assert!(!shown.contains("reconciler=\"Leases\""), "what never ran never went well");
    }
}
