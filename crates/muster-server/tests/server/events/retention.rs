//! What is old goes, but not before it arrived.

use std::time::Duration;

use muster_server::reconcile;

use crate::events::receiver::Receiver;
use crate::events::scene::host;
use crate::events::stream::Sse;
use crate::world::{World, both};

const DAY: Duration = Duration::from_secs(24 * 3600);

async fn drop_old(world: &World) {
    while reconcile::drop_old(&world.app).await.unwrap() {}
}

both! {
    async fn old_events_and_deliveries_go(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        world.tell(team, Some(host(1)), "old").await;
        world.work().await;
        world.clock.advance(20 * DAY);
        world.tell(team, Some(host(1)), "young").await;
        world.work().await;
        world.clock.advance(11 * DAY);
        drop_old(&world).await;
        assert_eq!(world.events("host.back").await, ["young"]);
        assert_eq!(world.log(&endpoint).await.len(), 1);
    }

    async fn an_event_that_somebody_waits_for_stays(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.answers(500);
        world.tell(team, Some(host(1)), "waiting").await;
        world.work().await;
        world.tell(team, Some(host(1)), "not spread").await;
        world.seal().await;
        world.clock.advance(31 * DAY);
        drop_old(&world).await;
        assert_eq!(world.events("host.back").await, ["waiting", "not spread"]);
        // A paused endpoint holds nothing back: it may be paused for good.
        world.must("POST", &format!("/v1/endpoints/{endpoint}/pause"), None).await;
        drop_old(&world).await;
        assert!(world.events("host.back").await.is_empty());
        receiver.answers(200);
        world.must("POST", &format!("/v1/endpoints/{endpoint}/resume"), None).await;
        world.tell(team, Some(host(1)), "new").await;
        world.work().await;
        assert_eq!(receiver.subjects(), ["waiting", "new"]);
        let log = world.log(&endpoint).await;
        assert_eq!((&log[0]["state"], &log[0]["last_error"]), (&"failed".into(), &"the event is not kept any more".into()));
    }

    async fn a_stream_says_what_it_cannot_tell_any_more(world) {
        let team = world.own_team().await;
        world.tell(team, None, "first").await;
        world.tell(team, None, "second").await;
        world.seal().await;
        let first = world.must("GET", "/v1/events?kind=host.back&limit=1", None).await;
        let first = first["items"][0]["position"].as_u64().unwrap();
        world.clock.advance(31 * DAY);
        drop_old(&world).await;
        world.tell(team, None, "third").await;
        world.seal().await;
        let mut stream = Sse::open(&world, &world.admin, "?kind=host.back", Some(first)).await;
        let gap = stream.next().await.unwrap();
        assert_eq!((gap.event.as_str(), &gap.data["after"]), ("gap", &first.into()));
        assert!(gap.id > first);
        assert_eq!(stream.next().await.unwrap().data["subject"], "third");
        // A position of before a restore: there is no such event yet.
        let mut ahead = Sse::open(&world, &world.admin, "?kind=host.back", Some(1_000_000)).await;
        assert_eq!(ahead.next().await.unwrap().event, "gap");
        world.tell(team, None, "fourth").await;
        world.seal().await;
        assert_eq!(ahead.next().await.unwrap().data["subject"], "fourth");
    }
}
