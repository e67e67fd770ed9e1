//! The events and the audit trail of one host.

use std::time::Duration;

use muster_domain::presence::UNREACHABLE_AFTER;
use muster_server::reconcile;
use serde_json::Value;

use crate::fleet::{all_are_back, repo};
use crate::world::both;

fn words(page: &Value, field: &str) -> Vec<String> {
    page["items"].as_array().unwrap().iter().map(|item| item[field].as_str().unwrap().to_owned()).collect()
}

both! {
    async fn the_timeline_of_one_host_is_read_newest_first(world) {
        let (host, other) = (world.join("alpha", repo()).await, world.join("beta", repo()).await);
        for one in [&host, &other] {
            one.heartbeat(&world).await;
        }
        all_are_back(&world).await;
        world.clock.advance(UNREACHABLE_AFTER);
        reconcile::watch(&world.app).await.unwrap();
        world.clock.advance(Duration::from_secs(1));
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        world.seal().await;
        let query = format!("host_id={}&order=desc", host.host_id);
        let events = world.must("GET", &format!("/v1/events?{query}"), None).await;
        assert_eq!(words(&events, "kind"), ["host.suspended", "host.unreachable", "host.enrolled"]);
        let audit = world.must("GET", &format!("/v1/audit?{query}"), None).await;
        assert_eq!(words(&audit, "action"), ["host.suspended", "host.enrolled"]);
        let first = world.must("GET", &format!("/v1/events?{query}&limit=1"), None).await;
        let next = format!("/v1/events?{query}&limit=1&cursor={}", first["next_cursor"].as_str().unwrap());
        assert_eq!(words(&world.must("GET", &next, None).await, "kind"), ["host.unreachable"]);
    }
}
