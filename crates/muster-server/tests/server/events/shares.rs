//! Who gets how much of the deliverer: a receiver that is away, or a team that has many, takes nothing from others.

use std::sync::Mutex;
use std::time::Duration;

use muster_ids::EndpointId;
use muster_server::reconcile;
use muster_store::{Lock, LockKey, Priority, StoreError, Tx};
use serde_json::json;

use crate::events::receiver::Receiver;
use crate::events::scene::host;
use crate::world::both;

const SECOND: Duration = Duration::from_secs(1);

both! {
    async fn an_endpoint_that_is_away_is_tried_with_one_message_at_a_time(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.answers(503);
        for n in 0..20 {
            world.tell(team, Some(host(n)), &format!("event {n}")).await;
        }
        world.work().await;
        let at_first = receiver.received().len();
        assert!((1..=4).contains(&at_first), "{at_first}");
        world.clock.advance(4 * SECOND);
        world.work().await;
        assert_eq!(receiver.received().len(), at_first);
        for (wait, tries) in [(7, 1), (20, 1), (20, 2), (100, 2), (50, 3)] {
            world.clock.advance(wait * SECOND);
            world.work().await;
            assert_eq!(receiver.received().len(), at_first + tries, "{wait} s later");
        }
        let shown = world.log(&endpoint).await;
        let now = serde_json::to_value(world.app.clock.now()).unwrap();
        let next_at = |one: &serde_json::Value| one["next_at"].as_str().unwrap().to_owned();
        assert!(shown.iter().all(|one| next_at(one).as_str() > now.as_str().unwrap()));
        receiver.answers(200);
        world.clock.advance(15 * 60 * SECOND);
        world.work().await;
        assert_eq!(receiver.received().len(), at_first + 3 + 20, "one that is taken lets everything go");
    }

    async fn a_message_that_is_refused_holds_up_its_own_line_only(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        world.webhook("siem", &receiver).await;
        receiver.answers(400);
        world.tell(team, None, "a").await;
        world.work().await;
        receiver.answers(200);
        for subject in ["b", "a"] {
            world.tell(team, None, subject).await;
        }
        world.work().await;
        assert_eq!(receiver.subjects(), ["a", "b"]);
        world.clock.advance(10 * SECOND);
        world.work().await;
        assert_eq!(receiver.subjects(), ["a", "b", "a", "a"]);
    }

    async fn a_team_whose_receivers_hang_takes_no_other_team_s_places(world) {
        let (slow, receiver) = (Receiver::start().await, Receiver::start().await);
        let (own, other) = (world.own_team().await, world.team("other").await);
        for n in 0..6 {
            let target = json!({ "webhook": { "url": slow.url() } });
            let body = json!({ "name": format!("slow {n}"), "target": target, "events": ["host.back"] });
            let made = world.ask("POST", "/v1/endpoints", &other.owner(), Some(body)).await;
            assert_eq!(made.status, 201);
        }
        world.webhook("siem", &receiver).await;
        slow.holds();
        for n in 0..4 {
            world.tell(other.id, Some(host(n)), "slow").await;
        }
        world.clock.advance(SECOND);
        for n in 0..3 {
            world.tell(own, Some(host(n % 2)), "quick").await;
        }
        world.seal().await;
        while reconcile::spread(&world.app).await.unwrap() > 0 {}
        let app = world.app.clone();
        let delivering = tokio::spawn(async move { reconcile::deliver(&app).await });
        let came = tokio::time::timeout(4 * SECOND, receiver.received_times(3)).await;
        assert!(came.is_ok(), "{} of 3 came", receiver.received().len());
        assert!(slow.received().len() <= 4, "{}", slow.received().len());
        delivering.abort();
    }

    async fn beyond_a_most_the_oldest_are_given_up_and_told_of_once(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        for n in 0..8 {
            world.tell(team, Some(host(1)), &format!("event {n}")).await;
            world.seal().await;
            reconcile::spread_keeping(&world.app, 5).await.unwrap();
        }
        let log = world.log(&endpoint).await;
        let states: Vec<_> = log.iter().map(|one| one["state"].as_str().unwrap()).collect();
        assert_eq!(states, [["failed"; 3].as_slice(), &["waiting"; 5]].concat());
        assert_eq!(log[0]["last_error"], "more waits for it than is kept");
        assert_eq!(world.events("endpoint.failing").await, std::slice::from_ref(&endpoint));
        world.work().await;
        assert_eq!(receiver.subjects(), ["event 3", "event 4", "event 5", "event 6", "event 7"]);
    }

    async fn after_three_days_all_that_is_as_old_is_given_up_with_what_was_tried(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.answers(503);
        for n in 0..10 {
            world.tell(team, Some(host(n)), "old").await;
        }
        for _ in 0..76 {
            world.work().await;
            world.clock.advance(3600 * SECOND);
        }
        assert!(world.log(&endpoint).await.iter().all(|one| one["state"] == "failed"));
        assert_eq!(world.events("endpoint.failing").await, std::slice::from_ref(&endpoint));
    }

    /// A full disk: whoever sent first and wrote down later would send it every second.
    async fn what_cannot_be_written_down_is_not_sent(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        world.tell(team, None, "first").await;
        world.seal().await;
        reconcile::spread(&world.app).await.unwrap();
        let endpoint_id: EndpointId = endpoint.parse().unwrap();
        let (store, (held, holds)) = (world.app.store.clone(), tokio::sync::oneshot::channel());
        let held = Mutex::new(Some(held));
        let nobody_writes = tokio::spawn(async move {
            let hold = move |tx: &mut Tx<'_>| {
                tx.lock(&[Lock::exclusive(LockKey::Endpoint(endpoint_id))])?;
                held.lock().unwrap().take().map(|held| held.send(()));
                std::thread::sleep(SECOND);
                Ok::<_, StoreError>(())
            };
            store.write(Priority::Normal, hold).await
        });
        holds.await.unwrap();
        let app = world.app.clone();
        let delivering = tokio::spawn(async move { reconcile::deliver(&app).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(receiver.received().is_empty());
        // How the one that held everything up ended is its own matter.
        let _ = nobody_writes.await;
        delivering.await.unwrap().unwrap();
        assert_eq!(receiver.subjects(), ["first"]);
    }
}
