//! What follows a commit: it happens whoever hung up meanwhile.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use muster_ids::{HostId, KeyName, KeyThumbprint};
use muster_server::channel::Command;
use muster_store::Priority;

use crate::world::both;

both! {
    /// A dropped request must not leave a revoked socket open, or an agent without its new secret.
    async fn what_follows_a_commit_outlives_the_request(world) {
        let host_id = HostId::from_uuid(world.app.entropy.uuid(world.app.clock.now()));
        let key = KeyName::Pair(KeyThumbprint::from_digest([7; 32]));
        let mut place = world.app.hub.register(host_id, key).unwrap();
        // Holds the transaction until the request is gone.
        let gate = Arc::new(Barrier::new(2));
        let gate_inside = Arc::clone(&gate);
        let change = world.app.change(Priority::Urgent, world.app.clock.now(), move |unit| {
            gate_inside.wait();
            unit.effects.config_changed.push(host_id);
            Ok(())
        });
        // The handler is polled once and dropped, as it is when its client hangs up.
        let mut change = Box::pin(change);
        assert!(futures_util::poll!(&mut change).is_pending());
        drop(change);
        tokio::task::spawn_blocking(move || gate.wait()).await.unwrap();
        let told = tokio::time::timeout(Duration::from_secs(10), place.commands.recv()).await;
        assert!(matches!(told, Ok(Some(Command::ConfigChanged))), "{told:?}");
    }
}
