//! How the presence of a fleet went.

use std::time::Duration;

use muster_server::reconcile;
use serde_json::Value;

use crate::fleet::{all_are_back, overview, pass, repo};
use crate::world::{World, both};

const MINUTE: Duration = Duration::from_secs(60);

fn samples(shown: &Value) -> Vec<(String, u64, u64)> {
    let of_sample = |sample: &Value| {
        let count = |name: &str| sample[name].as_u64().unwrap();
        (sample["at"].as_str().unwrap()[11..16].to_owned(), count("online"), count("unreachable"))
    };
    shown["presence_history"].as_array().unwrap().iter().map(of_sample).collect()
}

async fn count_for(world: &World, times: u32, every: Duration) {
    for _ in 0..times {
        reconcile::count(&world.app).await.unwrap();
        pass(world, every).await;
    }
}

fn sample(at: &str, online: u64, unreachable: u64) -> (String, u64, u64) {
    (at.to_owned(), online, unreachable)
}

both! {
    /// The world begins at eight o'clock.
    async fn a_sample_is_kept_every_five_minutes_and_shown_hour_by_hour_beyond_a_day(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        count_for(&world, 3, MINUTE * 2).await;
        assert_eq!(samples(&overview(&world, "?hours=1").await), [sample("08:00", 1, 0), sample("08:05", 0, 1)]);
        all_are_back(&world).await;
        count_for(&world, 4, MINUTE * 20).await;
        let shown = overview(&world, "").await;
        let all = [
            sample("08:00", 1, 0),
            sample("08:05", 0, 1),
            sample("08:15", 0, 1),
            sample("08:35", 0, 1),
            sample("08:55", 0, 1),
            sample("09:15", 0, 1),
            sample("09:35", 0, 1),
        ];
        assert_eq!(samples(&shown), all);
        let hourly = overview(&world, "?hours=25").await;
        assert_eq!(samples(&hourly), [all[0].clone(), all[5].clone()]);
        let last = overview(&world, "?hours=1").await;
        assert_eq!(samples(&last), all[4..], "from an hour ago on");
    }

    /// Whoever was missed before the server was away is not there because of that.
    async fn a_server_that_was_away_keeps_no_false_sample(world) {
        let (host, other) = (world.join("alpha", repo()).await, world.join("beta", repo()).await);
        host.heartbeat(&world).await;
        other.heartbeat(&world).await;
        pass(&world, Duration::from_secs(300)).await;
        other.heartbeat(&world).await;
        pass(&world, Duration::from_secs(300)).await;
        other.heartbeat(&world).await;
        reconcile::count(&world.app).await.unwrap();
        pass(&world, Duration::from_secs(300)).await;
        other.heartbeat(&world).await;
        let shown = overview(&world, "").await;
        assert_eq!((&shown["presence"]["online"], &shown["presence"]["unreachable"]), (&1.into(), &1.into()));
        world.clock.advance(Duration::from_secs(3600));
        world.app.all_are_back();
        let shown = overview(&world, "").await;
        assert_eq!(shown["presence"]["online"], 2, "as the list shows them");
        let kept = samples(&shown);
        assert_eq!(kept.last().unwrap(), &sample("09:15", 1, 1), "{kept:?}");
    }

    async fn samples_are_dropped_when_they_are_old(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        reconcile::count(&world.app).await.unwrap();
        let from = world.app.clock.now();
        let mut team = world.app.look(|tx| tx.platform_team_id()).await.unwrap();
        let team_id = team.take().unwrap();
        let kept = async || world.app.look(move |tx| tx.fleet_samples(team_id, from)).await.unwrap().len();
        world.clock.advance(Duration::from_secs(8 * 86_400));
        assert!(!reconcile::drop_old(&world.app).await.unwrap());
        assert_eq!(kept().await, 1);
        world.clock.advance(Duration::from_secs(1));
        assert!(reconcile::drop_old(&world.app).await.unwrap());
        assert_eq!(kept().await, 0);
    }
}
