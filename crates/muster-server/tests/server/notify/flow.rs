//! When messages go: gathered, in quiet hours, through them, and after a mail server was away.
//!
//! The clock starts at 2027-01-15, 08:00 UTC, a Friday.

use muster_ids::HostId;
use muster_testkit::receiver::Receiver;
use muster_wire::happening::Happening;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::notify::desk::{Desk, endpoint, minutes};
use crate::world::both;

const HEARD: [Happening; 2] = [Happening::HostBack, Happening::CloneSuspected];

fn quiet(from: &str, to: &str, urgent_breaks_quiet: bool) -> Value {
    let hours = json!({
        "from": from, "to": to, "time_zone": "UTC", "urgent_breaks_quiet": urgent_breaks_quiet,
    });
    json!({ "quiet_hours": hours })
}

both! {
    async fn what_happens_in_quiet_hours_is_told_after_them_in_order(world) {
        let desk = Desk::open(&world, &HEARD, quiet("07:00", "08:10", false)).await;
        for number in [3, 1, 2] {
            desk.happens(&world, Happening::HostBack, number).await;
        }
        desk.happens(&world, Happening::CloneSuspected, 4).await;
        minutes(&world, 9).await;
        assert_eq!(desk.told(), Vec::<Vec<u128>>::new());
        minutes(&world, 1).await;
        assert_eq!(desk.told(), [[3, 1, 2, 4]]);
    }

    async fn what_cannot_wait_breaks_through_quiet_hours(world) {
        let desk = Desk::open(&world, &HEARD, quiet("07:00", "08:10", true)).await;
        desk.happens(&world, Happening::HostBack, 1).await;
        desk.happens(&world, Happening::CloneSuspected, 2).await;
        assert_eq!(desk.told(), [[2]]);
        assert!(desk.mail()[0].0.starts_with("[Muster] URGENT: "), "{:?}", desk.mail());
        minutes(&world, 10).await;
        assert_eq!(desk.told(), [[2], [1]]);
    }

    async fn what_cannot_wait_is_behind_no_backlog(world) {
        let desk = Desk::open(&world, &HEARD, quiet("07:00", "08:10", true)).await;
        for batch in 0..6 {
            desk.happens_to_all(&world, Happening::HostBack, batch * 100..(batch + 1) * 100).await;
        }
        desk.happens(&world, Happening::CloneSuspected, 9000).await;
        assert_eq!(desk.told(), [[9000]]);
        minutes(&world, 1).await;
        desk.happens(&world, Happening::CloneSuspected, 9001).await;
        assert_eq!(desk.told(), [[9000], [9001]]);
        minutes(&world, 10).await;
        assert_eq!(desk.told()[2..].concat().len(), 100, "two messages that list 50 each");
    }

    async fn the_first_event_opens_a_window(world) {
        let desk = Desk::open(&world, &HEARD, json!({ "group_for_secs": 120 })).await;
        desk.happens(&world, Happening::HostBack, 1).await;
        minutes(&world, 1).await;
        desk.happens(&world, Happening::HostBack, 2).await;
        assert_eq!(desk.told(), Vec::<Vec<u128>>::new());
        minutes(&world, 1).await;
        assert_eq!(desk.told(), [[1, 2]]);
        desk.happens(&world, Happening::HostBack, 3).await;
        minutes(&world, 2).await;
        assert_eq!(desk.told(), [vec![1, 2], vec![3]]);
    }

    async fn a_window_that_closes_in_quiet_hours_waits_for_their_end(world) {
        let hours = json!({ "from": "08:01", "to": "08:05", "time_zone": "UTC" });
        let desk = Desk::open(&world, &HEARD, json!({ "group_for_secs": 120, "quiet_hours": hours })).await;
        desk.happens(&world, Happening::HostBack, 1).await;
        minutes(&world, 4).await;
        assert_eq!(desk.told(), Vec::<Vec<u128>>::new());
        minutes(&world, 1).await;
        assert_eq!(desk.told(), [[1]]);
    }

    async fn a_mail_server_that_was_away_for_an_hour_gets_everything_in_order_and_once(world) {
        let desk = Desk::open(&world, &HEARD, json!({})).await;
        desk.server.refuse(true).unwrap();
        for number in 1..=12 {
            desk.happens(&world, Happening::HostBack, number).await;
            minutes(&world, 5).await;
        }
        assert_eq!(desk.told(), Vec::<Vec<u128>>::new());
        desk.server.refuse(false).unwrap();
        minutes(&world, 72).await;
        assert_eq!(desk.told().concat(), (1..=12).collect::<Vec<u128>>());
        let path = format!("/v1/endpoints/{}/deliveries?limit=100", desk.endpoint_id);
        let log = world.must("GET", &path, None).await;
        let log = log["items"].as_array().unwrap();
        assert_eq!(log.len(), 12);
        assert!(log.iter().all(|delivery| delivery["state"] == "delivered"), "{log:?}");
        // A mail keeps no host's order, and its log says which host it was about all the same; the newest is first.
        let host = |number: u128| json!(HostId::from_uuid(Uuid::from_u128(number)));
        let hosts: Vec<&Value> = log.iter().map(|delivery| &delivery["host_id"]).collect();
        assert_eq!(hosts, (1..=12).rev().map(host).collect::<Vec<Value>>().iter().collect::<Vec<_>>());
        // What was tried in vain for an hour was the first alone; what came behind it waited.
        assert!(log.iter().filter(|delivery| delivery["attempts"].as_u64() > Some(1)).count() < 12);
    }

    async fn a_message_tells_of_fifty_events_and_counts_the_rest(world) {
        let desk = Desk::open(&world, &HEARD, json!({ "group_for_secs": 60 })).await;
        for number in 1..=53 {
            desk.happens(&world, Happening::HostBack, number).await;
        }
        minutes(&world, 1).await;
        assert_eq!(desk.told(), [(1..=50).collect::<Vec<u128>>()]);
        assert!(desk.mail()[0].1.contains("and 3 more"));
    }

    async fn a_paused_endpoint_is_left_in_peace_and_gets_what_waited(world) {
        let desk = Desk::open(&world, &HEARD, json!({ "group_for_secs": 60 })).await;
        desk.happens(&world, Happening::HostBack, 1).await;
        let path = format!("/v1/endpoints/{}", desk.endpoint_id);
        world.must("POST", &format!("{path}/pause"), None).await;
        desk.happens(&world, Happening::HostBack, 2).await;
        minutes(&world, 5).await;
        assert_eq!(desk.told(), Vec::<Vec<u128>>::new());
        world.must("POST", &format!("{path}/resume"), None).await;
        minutes(&world, 2).await;
        assert_eq!(desk.told().concat(), [1, 2]);
    }

    async fn a_test_message_says_that_it_is_one(world) {
        let desk = Desk::open(&world, &HEARD, json!({})).await;
        let path = format!("/v1/endpoints/{}/test", desk.endpoint_id);
        let tested = world.must("POST", &path, None).await;
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(true), &json!(250)));
        let (subject, text) = desk.mail().remove(0);
        assert!(subject.contains("test") && text.contains("Nothing happened"), "{subject} {text}");
        desk.server.refuse(true).unwrap();
        let tested = world.must("POST", &path, None).await;
        assert_eq!((&tested["delivered"], &tested["status"]), (&json!(false), &json!(451)));
    }
}

both! {
    async fn every_kind_is_refused_where_it_cannot_be(world) {
        let hours = |zone: &str, to: &str| json!({ "from": "22:00", "to": to, "time_zone": zone });
        let slack = |url: &str| json!({ "slack": { "url": url } });
        let mail = |server: &str, security: &str| {
            json!({ "email": { "server": server, "port": 25, "security": security, "from": "a@example.org",
                "to": ["b@example.org"] } })
        };
        let mut half = mail("mail.example.org", "tls");
        half["email"]["user"] = json!("muster");
        let table = [
            (slack("https://hooks.example.org/a"), Some(hours("Mars/Olympus", "07:00")), "/quiet_hours/time_zone"),
            (slack("https://hooks.example.org/a"), Some(hours("UTC", "22:00")), "/quiet_hours/to"),
            (slack("https://169.254.169.254/"), None, "/target/slack/url"),
            (slack("https://[::1]/"), None, "/target/slack/url"),
            (slack("http://1.1.1.1/"), None, "/target/slack/url"),
            (mail("10.0.0.1", "tls"), None, "/target/email/server"),
            (mail("1.1.1.1", "plain"), None, "/target/email/server"),
            (half, None, "/target/email/password"),
        ];
        for (target, hours, pointer) in table {
            let mut body = json!({ "name": "desk", "target": target });
            if let Some(hours) = hours {
                body["quiet_hours"] = hours;
            }
            let answer = world.admin("POST", "/v1/endpoints", Some(body)).await;
            assert_eq!(answer.status, 422, "{pointer}: {answer:?}");
            assert!(answer.body.to_string().contains(pointer), "{pointer}: {answer:?}");
        }
    }

    async fn a_chat_that_asks_for_patience_is_left_alone(world) {
        let receiver = Receiver::start().await.unwrap();
        let target = json!({ "slack": { "url": format!("{}/services/word", receiver.url()) } });
        let desk = Desk::open(&world, &[Happening::HostEnrolled], json!({})).await;
        endpoint(&world, "chat", target, &HEARD, json!({})).await;
        receiver.answers(429, "retry-after: 600\r\n");
        desk.happens(&world, Happening::HostBack, 1).await;
        minutes(&world, 9).await;
        assert_eq!(receiver.take().len(), 1);
        receiver.answers(200, "");
        minutes(&world, 6).await;
        assert_eq!(receiver.take().len(), 1);
        world.work().await;
        assert_eq!(receiver.take(), []);
    }
}
