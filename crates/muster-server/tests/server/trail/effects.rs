//! What follows a commit: it happens whoever hung up meanwhile.

use std::sync::{Arc, Barrier};
use std::time::Duration;

use muster_ids::{HostId, KeyName, KeyThumbprint};
use muster_server::channel::Command;
use muster_server::effects::{Cut, CutReason};
use muster_store::{Priority, params};
use muster_wire::parting::{GoodbyeReason, RevokedReason};

use crate::world::{Backend, World, both};

both! {
    /// A dropped request must not leave a revoked socket open, or an agent without its new secret.
    async fn what_follows_a_commit_outlives_the_request(world) {
        let host_id = HostId::from_uuid(world.app.entropy.uuid(world.app.clock.now()));
        let key = KeyName::Pair(KeyThumbprint::from_digest([7; 32]));
        let mut place = world.app.hub.register(host_id, key, "127.0.0.1").unwrap();
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

/// PostgreSQL: the reply to the COMMIT is lost, so nobody knows whether the key still holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_have_lost_a_key_is_cut_when_the_reply_to_the_commit_is_lost() {
    const CUT: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                        WHERE datname = current_database() AND pid <> pg_backend_pid()";
    let world = World::start(Backend::Postgres).await;
    let host_id = HostId::from_uuid(world.app.entropy.uuid(world.app.clock.now()));
    let key = KeyName::Pair(KeyThumbprint::from_digest([7; 32]));
    let mut place = world.app.hub.register(host_id, key, "127.0.0.1").unwrap();
    let (store, runtime) = (world.app.store.clone(), tokio::runtime::Handle::current());
    let change = world.app.change(Priority::Urgent, world.app.clock.now(), move |unit| {
        let decided_at = unit.now;
        let reason = CutReason::Revoked { reason: RevokedReason::Revoked };
        let team_id = unit.tx.platform_team_id()?.unwrap();
        unit.tx.revocation_insert(team_id, "nobody", "revoked", decided_at)?;
        unit.effects.cuts.push(Cut { host_id, key, reason, decided_at });
        let read = |tx: &mut muster_store::Tx<'_>| tx.query_one(CUT, params![], |row| row.get::<i64>(0));
        assert!(runtime.block_on(store.read_urgent(read))? > 0);
        Ok(())
    });
    let changed = change.await;
    assert!(changed.is_err(), "{changed:?}");
    let told = place.commands.try_recv();
    assert!(
        matches!(told, Ok(Command::Leave { reason: GoodbyeReason::Restart, .. })),
        "nothing is signed: {told:?}"
    );
    assert!(place.abort.is_cancelled());
}
