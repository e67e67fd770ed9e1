//! The counts, which are those of the lists.

use std::time::Duration;

use muster_domain::presence::OFFLINE_AFTER;
use muster_ids::HostId;
use serde_json::{Value, json};

use crate::fleet::{all_are_back, overview, pass, repo};
use crate::world::{Joined, Machine, World, both};

/// How many hosts a list shows, however many pages that takes.
async fn listed(world: &World, query: &str) -> u64 {
    let (mut count, mut cursor) = (0, String::new());
    loop {
        let page = world.must("GET", &format!("/v1/hosts?{query}&limit=3{cursor}"), None).await;
        count += page["items"].as_array().unwrap().len() as u64;
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return count,
        }
    }
}

/// Expects that the overview tells what the lists show, and returns it.
async fn agree(world: &World) -> Value {
    let shown = overview(world, "").await;
    for status in ["online", "unreachable", "offline", "never_seen"] {
        let active = listed(world, &format!("state=active&presence={status}")).await;
        assert_eq!(shown["presence"][status], active, "{status}: {shown}");
    }
    for state in ["invited", "active", "suspended", "retired"] {
        assert_eq!(shown["hosts"][state], listed(world, &format!("state={state}")).await, "{state}: {shown}");
    }
    shown
}

async fn post(world: &World, host: &Joined, what: &str) {
    world.must("POST", &format!("/v1/hosts/{}/{what}", host.host_id), None).await;
}

async fn hold(world: &World, host_id: HostId) {
    let now = world.app.clock.now();
    let held = world.app.store.write(muster_store::Priority::Normal, move |tx: &mut muster_store::Tx<'_>| {
        let team_id = tx.platform_team_id()?.unwrap();
        tx.host_hold(team_id, host_id, now)
    });
    assert!(held.await.unwrap());
}

both! {
    async fn counts_are_those_of_the_lists(world) {
        let key = world.site_key().await;
        let join = async |name: &str| Machine::new(name).join(&world, &key).await;
        let (connected, silent, leaving) = (join("a").await, join("b").await, join("c").await);
        let (_never, suspended, retired, held) =
            (join("d").await, join("e").await, join("f").await, join("g").await);
        world.must("POST", "/v1/hosts", Some(json!({ "name": "invited" }))).await;
        agree(&world).await;
        for host in [&silent, &suspended, &retired, &held] {
            assert_eq!(host.heartbeat(&world).await.status, 200);
        }
        let (_socket, _) = connected.connect(&world, None).await;
        let (mut socket, _) = leaving.connect(&world, None).await;
        socket.send(json!({ "type": "goodbye", "reason": "shutdown" })).await;
        world.becomes(&format!("/v1/hosts/{}", leaving.host_id), "/presence/status", "offline").await;
        agree(&world).await;
        post(&world, &suspended, "suspend").await;
        assert_eq!(world.retire(&retired).await.status, 200);
        hold(&world, held.host_id).await;
        all_are_back(&world).await;
        let shown = agree(&world).await;
        assert_eq!(shown["hosts"], json!({ "invited": 1, "active": 5, "suspended": 1, "retired": 1, "held": 1 }));
        let expected = json!({ "online": 1, "unreachable": 2, "offline": 1, "never_seen": 1 });
        assert_eq!(shown["presence"], expected);
        muster_server::reconcile::flush(&world.app).await.unwrap();
        assert_eq!(agree(&world).await["presence"], expected, "flushed or not");
        pass(&world, OFFLINE_AFTER).await;
        let shown = agree(&world).await;
        assert_eq!(shown["presence"], json!({ "online": 1, "unreachable": 0, "offline": 3, "never_seen": 1 }));
        assert_eq!(silent.heartbeat(&world).await.status, 200);
        post(&world, &suspended, "resume").await;
        let shown = agree(&world).await;
        assert_eq!(shown["presence"], json!({ "online": 2, "unreachable": 0, "offline": 3, "never_seen": 1 }));
        world.clock.advance(Duration::from_secs(7200));
        let shown = agree(&world).await;
        assert_eq!(shown["presence"]["online"], 4, "a server that was away misses nobody at once");
    }

    async fn a_team_sees_its_own_fleet(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        let other = world.team("other").await;
        let shown = overview(&world, "").await;
        assert_eq!((&shown["hosts"]["active"], &shown["presence"]["online"]), (&json!(1), &json!(1)));
        let theirs = world.ask("GET", "/v1/overview", &other.owner(), None).await;
        assert_eq!(theirs.status, 200, "{theirs:?}");
        assert_eq!(theirs.body["hosts"]["active"], 0);
        assert_eq!((&theirs.body["attention"], &theirs.body["presence_history"]), (&json!([]), &json!([])));
    }

    async fn the_first_who_asks_waits_for_the_first_count(world) {
        let _host = world.join("alpha", repo()).await;
        // Nobody waits for what a census notes: after an upgrade that is a row for each host.
        let noting = world.app.census.noting.lock().await;
        let shown = world.must("GET", "/v1/overview", None).await;
        drop(noting);
        assert_eq!(shown["hosts"]["active"], 1);
        let _other = world.join("beta", repo()).await;
        let shown = world.must("GET", "/v1/overview", None).await;
        assert_eq!(shown["hosts"]["active"], 1, "nobody counts again within a moment");
        world.clock.advance(Duration::from_millis(250));
        let shown = world.must("GET", "/v1/overview", None).await;
        assert_eq!(shown["hosts"]["active"], 2, "a small fleet is counted when it is asked for");
    }

    async fn work_that_waits_is_counted(world) {
        let host = world.join("alpha", repo()).await;
        let path = format!("/v1/hosts/{}/jobs", host.host_id);
        world.must("POST", &path, Some(json!({ "work": { "kind": "backup", "paths": ["/etc"] } }))).await;
        let token = world.enrolment_token(json!({})).await;
        let mut twin = Machine::new("twin");
        twin.uid = Machine::new("alpha").uid;
        assert_eq!(twin.enroll(&world, &token).await.status, 202);
        let shown = overview(&world, "").await;
        assert_eq!((&shown["jobs_open"], &shown["claims_open"], &shown["jobs_failed_day"]), (&json!(1), &json!(1), &json!(0)));
    }

    async fn what_is_asked_is_bounded(world) {
        for query in ["?hours=0", "?hours=169", "?hours=x", "?days=1"] {
            let answer = world.admin("GET", &format!("/v1/overview{query}"), None).await;
            assert!(matches!(answer.status, 400 | 422), "{query}: {answer:?}");
        }
    }
}
