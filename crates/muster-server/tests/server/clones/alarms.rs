//! What is no alarm: a machine that crashes at any step, and loses what was said to it.

use std::time::Duration;

use serde_json::json;

use crate::clones::scene::{Copied, claims, decide, is_held, is_stale, joined, repo, the_claim, written};
use crate::world::{Joined, World, both};

async fn no_alarm(world: &World, host: &Joined) {
    assert_eq!(claims(world, host, "waiting").await.len(), 0);
    assert!(world.events("clone.suspected").await.is_empty());
    assert!(!is_held(world, host).await);
}

both! {
    async fn c10_a_crash_at_any_step_of_a_connection_is_no_alarm(world) {
        let host = world.join("alpha", repo()).await;
        let mut holds: Option<String> = None;
        for round in 0..3 {
            // Before it says hello.
            drop(host.dial(&world).await);
            // After its hello: the welcome is lost.
            let mut socket = host.dial(&world).await;
            let claims = socket.claims(&host, &world, holds.clone());
            socket.hello(&host, &claims).await;
            drop(socket);
            world.disconnected(&host).await;
            // After the welcome: nothing was written to disk.
            let mut socket = host.dial(&world).await;
            let lost = socket.welcome(&host, &world, holds.clone()).await;
            drop(socket);
            world.disconnected(&host).await;
            // On disk, and lost before it was acknowledged.
            let mut socket = host.dial(&world).await;
            let kept = socket.welcome(&host, &world, holds.clone()).await;
            assert_eq!(kept, lost, "the same one again, until it is acknowledged");
            drop(socket);
            world.disconnected(&host).await;
            // The acknowledgement is sent, and whether it arrived nobody knows.
            let mut socket = host.dial(&world).await;
            let next = socket.welcome(&host, &world, Some(kept)).await;
            socket.acknowledge_only(&next, json!([])).await;
            drop(socket);
            world.disconnected(&host).await;
            holds = Some(next);
            // Long away, and back.
            world.clock.advance(Duration::from_secs(30 * 3600 * (round + 1)));
        }
        let (_socket, _) = host.connect(&world, holds).await;
        no_alarm(&world, &host).await;
    }

    async fn c17_a_restored_snapshot_is_one_question_and_replace_heals_it(world) {
        let (host, first, _) = joined(&world).await;
        // The same machine, from a snapshot of yesterday.
        is_stale(&world, &host, Some(&first), "boot-2").await;
        let copy = Copied { uid: crate::clones::scene::uid("alpha"), ..Copied::holding(&first, "boot-2") };
        let claim_id = copy.waits(&world, &host).await;
        assert_eq!(json!(claim_id), the_claim(&world, &host).await["id"], "one question");
        let decided = decide(&world, &claim_id, "replace", true).await;
        assert_eq!(decided.status, 200, "{decided:?}");
        let answer = copy.asks(&world, &host).await;
        assert_eq!((answer.status, &answer.body["disposition"]), (200, &json!("replaced")), "{answer:?}");
        assert_eq!(answer.text("host_id"), host.host_id.to_string(), "it is the host it was");
        let healed = copy.host(&answer.text("host_id"));
        let mut socket = healed.dial(&world).await;
        let generation = socket.welcome(&healed, &world, None).await;
        let config = socket.acknowledge(&generation, json!([])).await;
        assert_eq!(config.secrets.iter().count(), 1, "with its secrets, as the person said");
        assert_eq!(world.events("clone.suspected").await.len(), 1);
    }

    async fn a_server_that_lost_state_makes_no_machine_a_copy(world) {
        let (host, _, second) = joined(&world).await;
        // Restored to a time before the last connection.
        let key = host.key_name();
        let restored = world.app.store.write(muster_store::Priority::Normal, move |tx| {
            tx.execute(
                "UPDATE key_generation SET committed_counter = 1, issued_epoch = NULL, issued_counter = NULL
                  WHERE key_name = $1",
                muster_store::params![key],
            )?;
            Ok::<_, muster_store::StoreError>(())
        });
        restored.await.unwrap();
        let (_socket, _) = host.connect(&world, Some(second)).await;
        no_alarm(&world, &host).await;
        assert_eq!(world.events("installation.state_lost").await.len(), 1);
        assert_eq!(written(&world).await[2], 0);
    }
}
