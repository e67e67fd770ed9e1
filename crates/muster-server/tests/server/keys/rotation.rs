//! From the first agent key to the second: no false alarm, nothing lost, and the old one until it is revoked.

use std::time::Duration;

use muster_wire::channel::{ServerMessage, close};
use serde_json::json;

use crate::keys::scene::{Bearer, join_with_secret, mint, repo, revoke};
use crate::world::{Told, World, both, until};

async fn two_keys(world: &World) -> (Bearer, Bearer) {
    let first = join_with_secret(world, "alpha", [8; 32], repo()).await;
    world.clock.advance(Duration::from_secs(5));
    let minted = mint(world, &first.host_id).await;
    let second = Bearer::of_minted(&first.host_id, &minted.body);
    (first, second)
}

async fn no_alarm(world: &World) {
    for kind in ["clone.suspected", "installation.state_lost"] {
        assert_eq!(world.events(kind).await, [""; 0], "{kind}");
    }
}

both! {
    async fn each_key_has_its_own_generations_and_every_secret(world) {
        let (first, second) = two_keys(&world).await;
        let (socket, first_generation, config) = first.connect(&world, None).await;
        assert_eq!(config.secrets.iter().count(), 1);
        drop(socket);
        gone(&world).await;
        let (socket, second_generation, config) = second.connect(&world, None).await;
        assert_eq!(config.secrets.iter().count(), 1);
        drop(socket);
        gone(&world).await;
        // In turn, each with its own generation: neither is stale, and the server lost nothing.
        let (socket, _, _) = first.connect(&world, Some(&first_generation)).await;
        drop(socket);
        gone(&world).await;
        let (socket, _, config) = second.connect(&world, Some(&second_generation)).await;
        assert_eq!(config.secrets.iter().count(), 1);
        no_alarm(&world).await;
        drop(socket);
        gone(&world).await;
        // A copy of the first one's state is still told apart.
        let mut copy = first.hello(&world, None).await;
        copy.closes_with(close::GENERATION_STALE).await;
        assert_eq!(world.events("clone.suspected").await.len(), 1);
    }

    async fn the_newer_key_takes_the_channel_over_and_the_older_one_does_not_take_it_back(world) {
        let (first, second) = two_keys(&world).await;
        let (mut older, first_generation, _) = first.connect(&world, None).await;
        let (mut newer, _, config) = second.connect(&world, None).await;
        assert_eq!(config.secrets.iter().count(), 1);
        let ServerMessage::Goodbye { reason, .. } = older.message().await else { panic!("no goodbye") };
        assert_eq!(reason.as_str(), "superseded");
        older.closes_with(close::TRY_LATER).await;
        let mut again = first.hello(&world, Some(&first_generation)).await;
        again.closes_with(close::TRY_LATER).await;
        newer.heartbeat().await;
        assert_eq!(newer.within(Duration::from_millis(200)).await, None, "the newer one works on");
        no_alarm(&world).await;
        assert_eq!(first.heartbeat(&world).await.status, 200, "the old key is good until it is revoked");
    }

    async fn b20_revoking_the_old_key_cuts_its_socket_only(world) {
        let (first, second) = two_keys(&world).await;
        let (mut newer, _, _) = second.connect(&world, None).await;
        assert_eq!(revoke(&world, &first.host_id, &first.key).await.status, 200);
        assert_eq!(newer.within(Duration::from_millis(200)).await, None);
        first.heartbeat(&world).await.problem(401, "key_revoked");
        world.ask("GET", "/v1/agent/connect", &first.header, None).await.problem(401, "key_revoked");
        assert_eq!(second.heartbeat(&world).await.status, 200);
        // And of the one in use, before the reply.
        let answer = revoke(&world, &second.host_id, &second.key).await;
        assert_eq!((answer.status, answer.text("state")), (200, "revoked".to_owned()));
        assert!(world.app.hub.is_empty());
        assert!(matches!(newer.message().await, ServerMessage::Revoked { .. }));
        assert!(matches!(newer.next().await, Told::Closed(close::REVOKED, _)));
        let shown = world.must("GET", &format!("/v1/hosts/{}", first.host_id), None).await;
        assert_eq!((&shown["state"], &shown["keys"]), (&json!("active"), &json!([])));
        // A host without a key may get one again.
        world.clock.advance(Duration::from_secs(5));
        let third = mint(&world, &first.host_id).await;
        let third = Bearer::of_minted(&first.host_id, &third.body);
        let (_socket, _, config) = third.connect(&world, None).await;
        assert_eq!(config.secrets.iter().count(), 1);
        no_alarm(&world).await;
    }
}

/// Waits until the socket that was dropped is gone.
async fn gone(world: &World) {
    until("the channel is gone", async || world.app.hub.is_empty()).await;
}
