//! What hosts say about how they are.

use std::time::Duration;

use muster_server::reconcile;
use serde_json::{Value, json};

use crate::fleet::repo;
use crate::world::{Joined, World, both, until};

const HOUR: Duration = Duration::from_secs(3600);

async fn beat(world: &World, host: &Joined, body: Value) {
    let path = format!("/v1/hosts/{}/heartbeat", host.host_id);
    assert_eq!(host.post(world, &path, Some(body)).await.status, 200);
}

async fn vitals(world: &World, host: &Joined) -> Vec<Value> {
    let history = world.must("GET", &format!("/v1/hosts/{}/history", host.host_id), None).await;
    history["vitals"].as_array().unwrap().clone()
}

async fn write(world: &World) {
    reconcile::flush(&world.app).await.unwrap();
    reconcile::write_vitals(&world.app).await.unwrap();
}

both! {
    async fn the_last_word_of_a_host_is_shown_with_it(world) {
        let host = world.join("alpha", repo()).await;
        beat(&world, &host, json!({})).await;
        assert!(world.host(&host).await.get("vitals").is_none(), "it said nothing");
        let now = world.app.clock.now();
        let ahead = muster_ids::Timestamp::from_millis(now.as_millis() + 1500).to_string();
        beat(&world, &host, json!({ "load_percent": 150, "disk_free_gb": 5, "clock": ahead })).await;
        let expected = json!({
            "at": now.to_string(), "load_percent": 150, "disk_free_gb": 5, "disk_free_percent": 25,
            "clock_ahead_ms": 1500,
        });
        assert_eq!(world.host(&host).await["vitals"], expected);
        let listed = world.must("GET", "/v1/hosts", None).await;
        assert_eq!(listed["items"][0]["vitals"], expected);
        let most = json!({ "load_percent": 10_000_000, "disk_free_gb": 1_073_741_824, "clock": "9000-01-01T00:00:00Z" });
        beat(&world, &host, most).await;
        let shown = world.host(&host).await["vitals"].clone();
        assert_eq!((&shown["load_percent"], &shown["disk_free_gb"]), (&json!(10_000_000), &json!(1_073_741_824)));
        assert_eq!((&shown["disk_free_percent"], &shown["clock_ahead_ms"]), (&json!(100), &json!(i32::MAX)));
    }

    async fn a_channel_says_it_too(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        socket.send(json!({ "type": "heartbeat", "heartbeat": { "load_percent": 77 } })).await;
        let shown = async || world.host(&host).await["vitals"]["load_percent"] == 77;
        until("the heartbeat was heard", shown).await;
    }

    /// The world begins at eight o'clock, and the first host has its turn one minute after the hour.
    async fn an_hour_is_kept_once_and_for_some_days(world) {
        let host = world.join("alpha", repo()).await;
        for (minute, load) in [(0, 10), (30, 90), (30, 20)] {
            world.clock.advance(Duration::from_secs(minute));
            beat(&world, &host, json!({ "load_percent": load, "disk_free_gb": 10 })).await;
            write(&world).await;
        }
        let first = json!({ "at": "2027-01-15T08:00:00.000Z", "load_percent": 90, "disk_free_gb": 10, "disk_free_percent": 50 });
        assert_eq!(vitals(&world, &host).await, std::slice::from_ref(&first));
        for _ in 0..2 {
            world.clock.advance(HOUR);
            for load in [30, 40] {
                beat(&world, &host, json!({ "load_percent": load })).await;
                write(&world).await;
            }
        }
        let kept = vitals(&world, &host).await;
        let loads: Vec<_> = kept.iter().map(|sample| sample["load_percent"].clone()).collect();
        assert_eq!((kept[0].clone(), loads), (first, vec![json!(90), json!(30), json!(40)]));
        world.clock.advance(HOUR * 24 * 8);
        reconcile::drop_old(&world.app).await.unwrap();
        let id = host.host_id;
        let stored = async || {
            world.app.look(move |tx| tx.vitals(id, muster_ids::Timestamp::from_millis(0))).await.unwrap().len()
        };
        assert_eq!(stored().await, 3, "its day is not over for eight days");
        world.clock.advance(HOUR * 24);
        reconcile::drop_old(&world.app).await.unwrap();
        assert_eq!(stored().await, 0);
    }
}
