//! Who cannot see what was revoked begins nothing new, then cuts what is open, and goes on by itself.

use std::time::Duration;

use muster_domain::revocation::{CUT_AFTER, REFUSE_AFTER};
use muster_server::reconcile::Follower;
use muster_store::{MIGRATIONS, Migration};
use muster_wire::channel::{ServerMessage, close};
use muster_wire::parting::GoodbyeReason;
use serde_json::json;

use crate::keys::scene::{join_with_secret, repo};
use crate::revoke::Watching;
use crate::world::{Told, World, both, until};

/// Renames tables, one step after the other.
pub(crate) struct Steps(Vec<Migration>);

impl Steps {
    pub(crate) fn new() -> Self {
        Self(MIGRATIONS.to_vec())
    }

    pub(crate) async fn run(&mut self, world: &World, sql: &'static str) {
        self.0.push((u32::try_from(self.0.len()).unwrap() + 1, "test", sql));
        let list: &'static [Migration] = Vec::leak(self.0.clone());
        world.app.store.migrate(list, world.app.clock.now()).await.unwrap();
    }
}

both! {
    async fn b20_a_log_that_cannot_be_read_stops_new_work_then_everything_and_heals(world) {
        let mut steps = Steps::new();
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let bearer = join_with_secret(&world, "printer", [7; 32], json!({})).await;
        let host = world.join("alpha", repo()).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        let watching = Watching::open(&world, &world.admin).await;
        assert_eq!(bearer.heartbeat(&world).await.status, 200);

        steps.run(&world, "ALTER TABLE revocation RENAME TO hidden").await;
        assert!(follower.follow(&world.app).await.is_err());
        world.clock.advance(REFUSE_AFTER - Duration::from_millis(1));
        assert_eq!(bearer.heartbeat(&world).await.status, 200, "a short outage hurts nobody");
        world.clock.advance(Duration::from_millis(1));
        assert!(follower.follow(&world.app).await.is_err());
        let refused = bearer.heartbeat(&world).await;
        refused.problem(503, "revocations_unseen");
        assert_eq!(refused.header("retry-after"), Some("5"));
        host.heartbeat(&world).await.problem(503, "revocations_unseen");
        let upgrade = host.proof(&world, "GET", "/v1/agent/connect", None);
        world.ask("GET", "/v1/agent/connect", &upgrade, None).await.problem(503, "revocations_unseen");
        for path in ["/v1/events/stream", "/v1/audit/export"] {
            world.admin("GET", path, None).await.problem(503, "revocations_unseen");
        }
        assert_eq!(world.admin("GET", "/v1/hosts", None).await.status, 200, "operators see what they can");
        assert!(world.app.hub.is_connected(host.host_id), "what is open stays for now");
        // Work waits.
        let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(job)).await;
        assert_eq!(socket.within(Duration::from_millis(300)).await, None);

        world.clock.advance(CUT_AFTER - REFUSE_AFTER);
        assert!(follower.follow(&world.app).await.is_err());
        let ServerMessage::Goodbye { reason, .. } = socket.message().await else { panic!("not a goodbye") };
        assert_eq!(reason.as_str(), GoodbyeReason::Restart.as_str(), "nothing is signed");
        assert!(matches!(socket.next().await, Told::Closed(close::RESTART, _)));
        assert!(watching.has_ended().await);
        until("everything is cut", async || world.app.hub.is_empty() && world.app.streams.is_empty()).await;
        assert!(world.app.credentials.is_empty());
        assert!(follower.follow(&world.app).await.is_err());

        steps.run(&world, "ALTER TABLE hidden RENAME TO revocation").await;
        follower.follow(&world.app).await.unwrap();
        assert_eq!(bearer.heartbeat(&world).await.status, 200);
        let (mut socket, _) = host.connect(&world, Some(generation)).await;
        assert!(matches!(socket.message().await, ServerMessage::JobRun { .. }));
        drop(Watching::open(&world, &world.admin).await);
    }

    async fn work_that_was_put_off_is_given_when_the_log_is_read_again(world) {
        let mut follower = Follower::new(&world.app);
        let host = world.join("alpha", repo()).await;
        let (mut socket, _) = host.connect(&world, None).await;
        follower.follow(&world.app).await.unwrap();
        world.clock.advance(REFUSE_AFTER);
        let job = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        world.must("POST", &format!("/v1/hosts/{}/jobs", host.host_id), Some(job)).await;
        assert_eq!(socket.within(Duration::from_millis(300)).await, None);
        follower.follow(&world.app).await.unwrap();
        assert!(matches!(socket.message().await, ServerMessage::JobRun { .. }));
    }
}
