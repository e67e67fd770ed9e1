//! Ephemeral hosts: retired once they were away for as long as their ticket said, and never before.

use std::time::Duration;

use muster_domain::presence::{AWAY_ABOVE, RECONNECT_WINDOW};
use muster_server::reconcile;
use serde_json::{Value, json};

use crate::world::{Joined, Machine, World, both};

const HOUR: Duration = Duration::from_secs(3600);

async fn join(world: &World, name: &str, hours: Value) -> Joined {
    let body = json!({ "ephemeral_hours": hours });
    let minted = world.must("POST", "/v1/enrolment-tokens", Some(body)).await;
    let host = Machine::new(name).join(world, minted["token"].as_str().unwrap()).await;
    assert_eq!(host.heartbeat(world).await.status, 200);
    assert_eq!(world.host(&host).await["ephemeral_hours"], hours);
    host
}

async fn retire_away(world: &World) -> usize {
    reconcile::flush(&world.app).await.unwrap();
    reconcile::retire_away(&world.app).await.unwrap()
}

/// Lets time go by on a server that is there all the time. Returns how many hosts it retired.
async fn pass(world: &World, span: Duration) -> usize {
    let (mut left, mut retired) = (span, retire_away(world).await);
    while !left.is_zero() {
        let step = left.min(AWAY_ABOVE);
        world.clock.advance(step);
        left -= step;
        retired += retire_away(world).await;
    }
    retired
}

both! {
    async fn a_host_that_is_away_for_long_enough_is_retired_and_no_other(world) {
        let (short, long) = (join(&world, "short", json!(2)).await, join(&world, "long", json!(48)).await);
        let stays = join(&world, "stays", Value::Null).await;
        world.clock.advance(HOUR);
        assert_eq!(short.heartbeat(&world).await.status, 200);
        assert_eq!(pass(&world, 2 * HOUR - Duration::from_secs(1)).await, 0);
        assert_eq!(pass(&world, Duration::from_secs(1)).await, 1);
        assert_eq!(retire_away(&world).await, 0);
        assert_eq!(world.host(&short).await["state"], "retired");
        assert_eq!((world.host(&long).await["state"].clone(), world.host(&stays).await["state"].clone()), (json!("active"), json!("active")));
        assert_eq!(short.heartbeat(&world).await.status, 401, "its key is gone");
        assert_eq!(world.events("host.retired").await, [short.host_id.to_string()]);
        let entry = &world.audited_times("host.retired", 1).await[0];
        assert_eq!((&entry["actor"], &entry["details"]["reason"]), (&json!("system"), &json!("ephemeral_and_away")));
    }

    async fn a_connected_host_is_never_retired(world) {
        let host = join(&world, "alpha", json!(1)).await;
        let (_socket, _) = host.connect(&world, None).await;
        world.clock.advance(100 * HOUR);
        assert_eq!(retire_away(&world).await, 0);
        assert_eq!(world.host(&host).await["state"], "active");
    }

    async fn a_server_that_was_down_retires_nobody_before_all_could_come_back(world) {
        let (back, gone) = (join(&world, "back", json!(1)).await, join(&world, "gone", json!(1)).await);
        reconcile::flush(&world.app).await.unwrap();
        // Hours went by, and this server runs for less than the reconnect window: it was just started.
        world.clock.set_wall(world.app.clock.now().plus(5 * HOUR));
        assert_eq!(retire_away(&world).await, 0);
        world.clock.advance(RECONNECT_WINDOW / 2);
        assert_eq!(retire_away(&world).await, 0);
        assert_eq!(back.heartbeat(&world).await.status, 200);
        world.clock.advance(RECONNECT_WINDOW / 2);
        assert_eq!(retire_away(&world).await, 1);
        assert_eq!((world.host(&back).await["state"].clone(), world.host(&gone).await["state"].clone()), (json!("active"), json!("retired")));
    }

    async fn a_host_that_resumes_gets_its_time_anew(world) {
        let host = join(&world, "alpha", json!(1)).await;
        let path = format!("/v1/hosts/{}", host.host_id);
        world.must("POST", &format!("{path}/suspend"), None).await;
        world.clock.advance(5 * HOUR);
        assert_eq!(retire_away(&world).await, 0, "a person looks into it");
        world.must("POST", &format!("{path}/resume"), None).await;
        assert_eq!(pass(&world, HOUR - Duration::from_secs(1)).await, 0);
        assert_eq!(pass(&world, Duration::from_secs(1)).await, 1);
    }

    async fn a_server_that_was_paused_retires_nobody_before_all_could_come_back(world) {
        let (back, gone) = (join(&world, "back", json!(1)).await, join(&world, "gone", json!(1)).await);
        world.clock.advance(RECONNECT_WINDOW);
        assert_eq!(retire_away(&world).await, 0);
        // The machine of the server was suspended, or its database was away: no round, and nobody could be heard.
        world.clock.advance(5 * HOUR);
        assert_eq!(retire_away(&world).await, 0);
        assert_eq!(pass(&world, RECONNECT_WINDOW / 2).await, 0);
        assert_eq!(back.heartbeat(&world).await.status, 200);
        assert_eq!(pass(&world, RECONNECT_WINDOW / 2).await, 1);
        assert_eq!((world.host(&back).await["state"].clone(), world.host(&gone).await["state"].clone()), (json!("active"), json!("retired")));
    }

    async fn every_door_makes_ephemeral_hosts(world) {
        let site_id = world.default_site().await;
        let key = world.must("POST", "/v1/site-keys", Some(json!({ "site_id": site_id, "ephemeral_hours": 7 }))).await;
        let host = Machine::new("a").join(&world, key["token"].as_str().unwrap()).await;
        assert_eq!(world.host(&host).await["ephemeral_hours"], 7);
        let invited = world.must("POST", "/v1/hosts", Some(json!({ "name": "b", "ephemeral_hours": 8 }))).await;
        let host = Machine::new("b").join(&world, invited["registration"]["token"].as_str().unwrap()).await;
        assert_eq!(world.host(&host).await["ephemeral_hours"], 8);
        let path = format!("/v1/hosts/{}/registration-token", host.host_id);
        let rejoin = json!({ "rejoin": true, "ephemeral_hours": 9 });
        let minted = world.must("POST", &path, Some(rejoin)).await;
        let mut machine = Machine::new("b");
        machine.key = muster_proof::HostKey::generate();
        let host = machine.join(&world, minted["token"].as_str().unwrap()).await;
        assert_eq!(world.host(&host).await["ephemeral_hours"], 9);
        for hours in [0, 8761] {
            let refused = world.admin("POST", "/v1/hosts", Some(json!({ "name": "c", "ephemeral_hours": hours }))).await;
            refused.invalid("/ephemeral_hours", "out_of_range");
        }
    }
}
