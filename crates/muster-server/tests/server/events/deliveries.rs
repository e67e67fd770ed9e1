//! Deliveries: each event arrives, in the order of its host, whatever the receiver and this server go through.

use std::collections::BTreeMap;
use std::time::Duration;

use muster_domain::delivery::TRIED_FOR;
use muster_ids::DeliveryId;
use muster_server::reconcile;
use muster_store::{Priority, Tx, params};
use serde_json::json;

use crate::events::receiver::{Receiver, subject};
use crate::events::scene::host;
use crate::world::both;

const MINUTE: Duration = Duration::from_secs(60);

/// What came about each host, in the order in which it came.
fn by_host(receiver: &Receiver) -> BTreeMap<String, Vec<String>> {
    let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for got in receiver.received() {
        let json = got.json();
        let line = json["data"]["host_id"].as_str().unwrap_or("").to_owned();
        lines.entry(line).or_default().push(subject(&got));
    }
    lines
}

both! {
    async fn a_receiver_that_fails_for_an_hour_gets_everything_in_order_per_host(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.answers(503);
        let mut told: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for minute in 0..60_u128 {
            let about = (minute % 4 != 3).then(|| host(minute % 4));
            let subject = format!("event {minute:02}");
            world.tell(team, about, &subject).await;
            told.entry(about.map(|id| id.to_string()).unwrap_or_default()).or_default().push(subject);
            world.work().await;
            world.clock.advance(MINUTE);
        }
        let tries = receiver.received().len();
        assert!((4..=8).contains(&tries), "an endpoint is tried more and more rarely: {tries} tries in an hour");
        assert!(by_host(&receiver).values().all(|line| line.iter().all(|subject| *subject == line[0])));
        let failing = receiver.received().len();
        receiver.answers(200);
        for _ in 0..90 {
            world.work().await;
            world.clock.advance(MINUTE);
        }
        let arrived: Vec<_> = receiver.received().split_off(failing);
        let mut lines: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for got in &arrived {
            let line = got.json()["data"]["host_id"].as_str().unwrap_or("").to_owned();
            lines.entry(line).or_default().push(subject(got));
        }
        // What is about no host has the order of its subject only.
        lines.get_mut("").unwrap().sort();
        assert_eq!(lines, told);
        assert!(world.log(&endpoint).await.iter().all(|one| one["state"] == "delivered"));
    }

    async fn a_message_that_was_not_written_down_is_sent_again_under_the_same_name(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        world.webhook("siem", &receiver).await;
        world.tell(team, Some(host(1)), "once").await;
        world.seal().await;
        reconcile::spread(&world.app).await.unwrap();
        // The receiver has it and does not answer; the server dies.
        receiver.holds();
        let app = world.app.clone();
        let sending = tokio::spawn(async move { reconcile::deliver(&app).await });
        let first = receiver.received_times(1).await.remove(0);
        sending.abort();
        assert!(sending.await.unwrap_err().is_cancelled());
        receiver.answers(200);
        reconcile::deliver(&world.app).await.unwrap();
        assert_eq!(receiver.received().len(), 1, "it may be on its way from another node");
        world.clock.advance(2 * MINUTE);
        reconcile::deliver(&world.app).await.unwrap();
        let second = receiver.received_times(2).await.remove(1);
        assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
        assert_eq!(first.body, second.body);
        assert!(first.header("webhook-id").is_some());
        world.work().await;
        assert_eq!(receiver.received().len(), 2);
    }

    async fn how_another_node_tried_it_meanwhile_stands(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        world.tell(team, Some(host(1)), "once").await;
        world.seal().await;
        reconcile::spread(&world.app).await.unwrap();
        receiver.holds();
        let app = world.app.clone();
        let late = tokio::spawn(async move { reconcile::deliver(&app).await });
        receiver.received_times(1).await;
        let id: DeliveryId = world.log(&endpoint).await[0]["id"].as_str().unwrap().parse().unwrap();
        let write = move |tx: &mut Tx<'_>| {
            let sql = "UPDATE delivery SET state = 'delivered', attempts = attempts + 1 WHERE id = $1";
            tx.execute(sql, params![id])
        };
        assert_eq!(world.app.store.write(Priority::Normal, write).await.unwrap(), 1);
        // It would be given up, and told of.
        world.clock.advance(TRIED_FOR);
        receiver.answers(500);
        late.await.unwrap().unwrap();
        assert_eq!(world.log(&endpoint).await[0]["state"], "delivered");
        assert!(world.events("endpoint.failing").await.is_empty());
    }

    async fn one_line_that_waits_holds_up_no_other(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        world.webhook("siem", &receiver).await;
        receiver.answers(422);
        world.tell(team, Some(host(1)), "one, first").await;
        world.work().await;
        receiver.answers(200);
        world.tell(team, Some(host(1)), "one, second").await;
        world.tell(team, Some(host(2)), "two").await;
        world.tell(team, None, "nobody's").await;
        world.work().await;
        let mut arrived = receiver.subjects().split_off(1);
        arrived.sort();
        assert_eq!(arrived, ["nobody's", "two"]);
        world.clock.advance(Duration::from_secs(10));
        world.work().await;
        assert_eq!(receiver.subjects()[3..], ["one, first".to_owned(), "one, second".to_owned()]);
    }

    async fn after_three_days_a_delivery_is_given_up_told_of_once_and_later_ones_go_on(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        receiver.answers(500);
        for n in 0..3 {
            world.tell(team, Some(host(1)), &format!("old {n}")).await;
        }
        for _ in 0..80 {
            world.work().await;
            world.clock.advance(60 * MINUTE);
        }
        let states: Vec<_> = world.log(&endpoint).await.iter().map(|one| one["state"].clone()).collect();
        assert_eq!(states, ["failed", "failed", "failed"]);
        assert_eq!(world.events("endpoint.failing").await, std::slice::from_ref(&endpoint));
        let path = format!("/v1/endpoints/{endpoint}");
        assert!(world.must("GET", &path, None).await["failing_since"].is_string());
        receiver.answers(200);
        world.tell(team, Some(host(1)), "new").await;
        world.work().await;
        assert_eq!(receiver.subjects().last().unwrap(), "new");
        assert!(world.must("GET", &path, None).await.get("failing_since").is_none());
        let log = world.log(&endpoint).await;
        assert_eq!((&log[0]["last_status"], &log[3]["last_status"]), (&json!(500), &json!(200)));
        assert_eq!(log[0]["last_error"], "the receiver did not take it");
    }

    async fn a_paused_endpoint_gets_nothing_and_afterwards_everything(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        world.must("POST", &format!("/v1/endpoints/{endpoint}/pause"), None).await;
        for n in 0..3 {
            world.tell(team, Some(host(1)), &format!("event {n}")).await;
        }
        world.clock.advance(4 * 24 * 60 * MINUTE);
        world.work().await;
        assert!(receiver.received().is_empty());
        let resumed = world.must("POST", &format!("/v1/endpoints/{endpoint}/resume"), None).await;
        assert!(resumed.get("paused_at").is_none());
        world.work().await;
        assert_eq!(receiver.subjects(), ["event 0", "event 1", "event 2"]);
    }

    async fn a_delivery_is_made_again_before_what_waits_in_its_line(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        let (endpoint, _) = world.webhook("siem", &receiver).await;
        for n in 0..3 {
            world.tell(team, Some(host(1)), &format!("event {n}")).await;
        }
        world.work().await;
        receiver.answers(500);
        world.tell(team, Some(host(1)), "event 3").await;
        world.work().await;
        let log = world.log(&endpoint).await;
        let id = |n: usize| log[n]["id"].as_str().unwrap().to_owned();
        let again = |id: String| format!("/v1/endpoints/{endpoint}/deliveries/{id}/redeliver");
        world.must("POST", &again(id(1)), None).await;
        world.admin("POST", &again(id(3)), None).await.problem(409, "not_redeliverable");
        receiver.answers(200);
        world.work().await;
        assert_eq!(receiver.subjects()[4..], ["event 1".to_owned(), "event 3".to_owned()]);
        let since = json!({ "since": "2020-01-01T00:00:00.000Z" });
        let path = format!("/v1/endpoints/{endpoint}/redeliver");
        assert_eq!(world.must("POST", &path, Some(since)).await["count"], 4);
        world.work().await;
        assert_eq!(receiver.subjects()[6..], ["event 0", "event 1", "event 2", "event 3"]);
        assert_eq!(world.audited("delivery.asked_again").await.len(), 2);
    }

    async fn only_the_kinds_that_were_asked_for_arrive_and_only_from_then_on(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        world.tell(team, None, "before").await;
        world.seal().await;
        world.webhook("siem", &receiver).await;
        world.enrolment_token(json!({})).await;
        world.tell(team, None, "after").await;
        world.work().await;
        assert_eq!(receiver.subjects(), ["after"]);
    }

    async fn the_server_delivers_by_itself_and_at_once(world) {
        let (team, receiver) = (world.own_team().await, Receiver::start().await);
        world.webhook("siem", &receiver).await;
        let shutdown = tokio_util::sync::CancellationToken::new();
        let tasks = reconcile::spawn_all(&world.app, &shutdown);
        for n in 0..20 {
            world.tell(team, Some(host(n % 3)), &format!("event {n}")).await;
        }
        receiver.received_times(20).await;
        shutdown.cancel();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(receiver.received().len(), 20);
    }
}
