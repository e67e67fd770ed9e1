//! Pages of events.

use serde_json::{Value, json};

use crate::events::scene::host;
use crate::world::both;

fn subjects(page: &Value) -> Vec<&str> {
    page["items"].as_array().unwrap().iter().map(|event| event["subject"].as_str().unwrap()).collect()
}

both! {
    async fn pages_follow_each_other_in_both_orders(world) {
        let team = world.own_team().await;
        for n in 0..5 {
            world.tell(team, Some(host(n % 2)), &format!("event {n}")).await;
        }
        world.seal().await;
        let base = "/v1/events?kind=host.back";
        let all = ["event 0", "event 1", "event 2", "event 3", "event 4"];
        for (order, expected) in [("asc", all.to_vec()), ("desc", all.iter().rev().copied().collect())] {
            let (mut cursor, mut seen) = (String::new(), Vec::new());
            loop {
                let page = world.must("GET", &format!("{base}&limit=2&order={order}{cursor}"), None).await;
                seen.extend(subjects(&page).iter().map(|subject| (*subject).to_owned()));
                match page["next_cursor"].as_str() {
                    Some(next) => cursor = format!("&cursor={next}"),
                    None => break,
                }
            }
            assert_eq!(seen, expected);
        }
        let of_host = world.must("GET", &format!("{base}&host_id={}", host(1)), None).await;
        assert_eq!(subjects(&of_host), ["event 1", "event 3"]);
        let newest = world.must("GET", &format!("{base}&host_id={}&order=desc", host(1)), None).await;
        assert_eq!(subjects(&newest), ["event 3", "event 1"]);
        let about = world.must("GET", "/v1/events?subject=event%203", None).await;
        assert_eq!(subjects(&about), ["event 3"]);
        let position = of_host["items"][0]["position"].as_u64().unwrap();
        let after = world.must("GET", &format!("{base}&after={position}"), None).await;
        assert_eq!(subjects(&after), ["event 2", "event 3", "event 4"]);
    }

    async fn what_has_no_place_yet_is_not_shown_and_foreign_events_never_are(world) {
        let own = world.own_team().await;
        let team = world.team("other").await;
        world.tell(team.id, Some(host(1)), "foreign").await;
        world.seal().await;
        world.tell(own, Some(host(1)), "unsealed").await;
        let page = world.must("GET", "/v1/events?kind=host.back", None).await;
        assert_eq!(page["items"], json!([]));
        let of_host = format!("/v1/events?host_id={}", host(1));
        assert_eq!(world.must("GET", &of_host, None).await["items"], json!([]));
        let theirs = world.ask("GET", "/v1/events?kind=host.back", &team.owner(), None).await;
        assert_eq!(subjects(&theirs.body), ["foreign"]);
    }

    async fn kinds_are_listed_and_others_refused(world) {
        let kinds = world.must("GET", "/v1/event-kinds", None).await;
        let words: Vec<&str> =
            kinds["items"].as_array().unwrap().iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
        assert!(words.contains(&"host.enrolled") && words.contains(&"claim.opened"));
        assert!(!words.contains(&"channel.violation"), "nobody is told of it");
        for query in ["kind=channel.violation", "kind=", "after=-1", "host_id=host_1", "order=up", "kind=host.back&kind=host.back"] {
            let refused = world.admin("GET", &format!("/v1/events?{query}"), None).await;
            assert_eq!(refused.status, 400, "{query}: {refused:?}");
        }
    }
}
