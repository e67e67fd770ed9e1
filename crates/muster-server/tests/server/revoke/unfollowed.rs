//! A row of the log counts as read when it was followed, and following it waits for nobody: not for agents that say
//! nothing, not for a database that hangs.

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use muster_domain::revocation::{REFUSE_AFTER, Sight};
use muster_edge::Clock;
use muster_ids::{HostId, KeyName, SiteId, TeamId};
use muster_server::channel::{Command, Registration};
use muster_server::effects::{Cut, CutReason, Ended};
use muster_server::enrol::retire;
use muster_server::reconcile::Follower;
use muster_server::unit::{Author, Unit};
use muster_store::Priority;
use muster_store::rows::{HostKeyRow, HostRow, KeyState};
use muster_wire::host::{HostKind, HostState};
use muster_wire::parting::RevokedReason;
use serde_json::json;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::keys::scene::repo;
use crate::revoke::PROMISED;
use crate::revoke::sight::Steps;
use crate::world::{World, both, until};

const MANY: u32 = 1000;

/// A retired host as another node leaves it, with its row in the log.
fn retired(unit: &mut Unit<'_, '_>, (team_id, site_id): (TeamId, SiteId), n: u32) -> (HostId, KeyName) {
    let (host_id, now) = (HostId::from_uuid(Uuid::from_u128(u128::from(n) + 1)), unit.now);
    let key: KeyName = format!("agk:{n:012}").parse().unwrap();
    let host = HostRow {
        id: host_id,
        team_id,
        site_id,
        kind: HostKind::Shared,
        name: format!("m{n}"),
        state: HostState::Retired,
        provider: None,
        zone: None,
        arrival: None,
        created_at: now,
        enrolled_at: None,
        retired_at: Some(now),
        ephemeral_hours: None,
    };
    assert!(unit.tx.host_insert(&host).unwrap());
    unit.tx.host_rows_insert(host_id, 0).unwrap();
    let key_row = HostKeyRow {
        name: key,
        team_id,
        host_id,
        material: vec![7; 32],
        state: KeyState::Revoked,
        ticket_id: None,
        created_by: None,
        created_at: now,
        ended_at: Some(now),
        ended_by: None,
        first_used_at: None,
        last_used_at: None,
    };
    assert!(unit.tx.host_key_insert(&key_row).unwrap());
    unit.end(team_id, Ended::Host(host_id), "retired").unwrap();
    (host_id, key)
}

/// Reads that hang until this is dropped.
struct Hanging(Arc<(Mutex<bool>, Condvar)>);

impl Hanging {
    fn begin(world: &World, count: usize) -> Self {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        for n in 0..count {
            let (app, gate) = (world.app.clone(), Arc::clone(&gate));
            tokio::spawn(async move {
                let wait = move || {
                    let is_open = gate.0.lock().unwrap();
                    drop(gate.1.wait_while(is_open, |is_open| !*is_open).unwrap());
                };
                let read = move |_: &mut muster_store::Tx<'_>| {
                    wait();
                    Ok(())
                };
                if n % 2 == 0 { app.look(read).await } else { app.look_first(read).await }
            });
        }
        Self(gate)
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        *self.0.0.lock().unwrap() = true;
        self.0.1.notify_all();
    }
}

/// An agent that obeys; returns what it was told.
fn obedient(mut channel: Registration) -> JoinHandle<Option<Command>> {
    tokio::spawn(async move {
        let told = tokio::select! {
            told = channel.commands.recv() => told,
            () = channel.abort.cancelled() => None,
        };
        channel.closed.cancel();
        told
    })
}

both! {
    async fn b20_a_row_whose_cut_failed_is_cut_at_the_next_look(world) {
        let (elsewhere, mut steps) = (world.with_outbound(&[]).await, Steps::new());
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let host = world.join("alpha", repo()).await;
        let agent = obedient(world.app.hub.register(host.host_id, host.key_name(), "192.0.2.7").unwrap());
        let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
        let host_id = host.host_id;
        let revoked = elsewhere.change(Priority::Urgent, elsewhere.clock.now(), move |unit| {
            let host = retire::locked(unit, platform, host_id)?;
            retire::retire_locked(unit, &[&host], &Author::system(), retire::Why::Person)
        });
        revoked.await.unwrap();
        // The log can be read, and who is to be cut cannot.
        steps.run(&world, "ALTER TABLE host_key RENAME TO hidden").await;
        world.clock.advance(REFUSE_AFTER);
        assert!(follower.follow(&world.app).await.is_err());
        assert!(world.app.hub.is_connected(host_id));
        let sight = world.app.revocations.sight(world.app.clock.monotonic());
        assert_eq!(sight, Sight::Dim, "a row that was not followed was not read");
        steps.run(&world, "ALTER TABLE hidden RENAME TO host_key").await;
        assert!(follower.follow(&world.app).await.unwrap() > 0);
        assert!(!world.app.hub.is_connected(host_id));
        assert!(matches!(agent.await.unwrap(), Some(Command::Revoked { .. })));
        assert_eq!(follower.follow(&world.app).await.unwrap(), 0, "and only once");
        assert_eq!(world.app.revocations.sight(world.app.clock.monotonic()), Sight::Clear);
    }

    async fn b20_a_thousand_rows_of_another_node_are_cut_within_two_seconds(world) {
        let elsewhere = world.with_outbound(&[]).await;
        let mut follower = Follower::new(&world.app);
        follower.follow(&world.app).await.unwrap();
        let platform = world.app.look(|tx| tx.platform_team_id()).await.unwrap().unwrap();
        let site_id: SiteId = world.default_site().await.parse().unwrap();
        let mut ended = Vec::new();
        for from in (0..MANY).step_by(100) {
            let some = elsewhere.change(Priority::Urgent, elsewhere.clock.now(), move |unit| {
                let hosts = (from..from + 100).map(|n| retired(unit, (platform, site_id), n));
                Ok(hosts.collect::<Vec<_>>())
            });
            ended.extend(some.await.unwrap());
        }
        // Agents that take no word of it: each is waited for as long as last words may take.
        for (host_id, key) in ended {
            let channel = world.app.hub.register(host_id, key, "192.0.2.7").unwrap();
            tokio::spawn(async move {
                channel.abort.cancelled().await;
                channel.closed.cancel();
                drop(channel.commands);
            });
        }
        let clock = Clock::system();
        assert_eq!(follower.follow(&world.app).await.unwrap(), MANY as usize);
        let took = clock.monotonic();
        assert!(world.app.hub.is_empty());
        println!("{MANY} channels were cut in {took:?}");
        assert!(took < PROMISED, "{took:?}");
    }

    async fn b20_a_cut_during_an_overlap_does_not_wait_for_the_database(world) {
        for (step, body) in [("next", None), ("switch", Some(json!({ "force": true })))] {
            world.must("POST", &format!("/v1/installation/instruction-key/{step}"), body).await;
        }
        let host = world.join("alpha", repo()).await;
        let agent = obedient(world.app.hub.register(host.host_id, host.key_name(), "192.0.2.7").unwrap());
        let hanging = Hanging::begin(&world, 32);
        until("no read is answered", async || {
            let read = world.app.look_first(|tx| tx.platform_team_id());
            tokio::time::timeout(Duration::from_millis(100), read).await.is_err()
        })
        .await;
        let cut = Cut {
            host_id: host.host_id,
            key: host.key_name(),
            reason: CutReason::Revoked { reason: RevokedReason::Ended },
            decided_at: world.app.clock.now(),
        };
        tokio::time::timeout(PROMISED, world.app.hub.cut(&world.app, cut)).await.expect("cut without an answer");
        assert!(!world.app.hub.is_connected(host.host_id));
        assert!(matches!(agent.await.unwrap(), Some(Command::Revoked { .. })));
        drop(hanging);
    }
}
