//! What was seen of one host.

use std::time::Duration;

use muster_server::reconcile;
use serde_json::{Value, json};

use crate::fleet::{all_are_back, pass, repo};
use crate::world::{Joined, World, both};

const MINUTE: Duration = Duration::from_secs(60);

async fn history(world: &World, host: &Joined) -> Value {
    world.must("GET", &format!("/v1/hosts/{}/history", host.host_id), None).await
}

/// Returns the spans: status, begin and end as hours and minutes.
async fn spans(world: &World, host: &Joined) -> Vec<(String, String, Option<String>)> {
    let time = |at: &Value| at.as_str().map(|at| at[11..16].to_owned());
    let of_span = |span: &Value| {
        (span["status"].as_str().unwrap().to_owned(), time(&span["from"]).unwrap(), time(&span["to"]))
    };
    history(world, host).await["spans"].as_array().unwrap().iter().map(of_span).collect()
}

fn span(status: &str, from: &str, to: Option<&str>) -> (String, String, Option<String>) {
    (status.to_owned(), from.to_owned(), to.map(str::to_owned))
}

async fn count(world: &World) {
    reconcile::count(&world.app).await.unwrap();
}

async fn changes(world: &World, host: &Joined) -> usize {
    let (host_id, from) = (host.host_id, muster_ids::Timestamp::from_millis(0));
    world.app.look(move |tx| tx.presence_changes(host_id, from, 1000)).await.unwrap().len()
}

both! {
    async fn silence_and_return_are_spans_without_gaps(world) {
        let host = world.join("alpha", repo()).await;
        assert_eq!(spans(&world, &host).await, [span("never_seen", "08:00", None)]);
        pass(&world, MINUTE).await;
        host.heartbeat(&world).await;
        count(&world).await;
        all_are_back(&world).await;
        count(&world).await;
        pass(&world, MINUTE * 7).await;
        count(&world).await;
        host.heartbeat(&world).await;
        count(&world).await;
        let expected = [
            span("never_seen", "08:00", Some("08:01")),
            span("online", "08:01", Some("08:02")),
            span("unreachable", "08:02", Some("08:18")),
            span("online", "08:18", None),
        ];
        assert_eq!(spans(&world, &host).await, expected);
        let day = world.must("GET", &format!("/v1/hosts/{}/history?days=1", host.host_id), None).await;
        assert_eq!(day["host_id"], host.host_id.to_string());
        assert_eq!(day["spans"].as_array().unwrap().len(), 4);
        pass(&world, Duration::from_secs(3 * 86_400)).await;
        let last: Vec<_> = history(&world, &host).await["spans"].as_array().unwrap().clone();
        assert_eq!(last.len(), 4, "within its days");
        let day = world.must("GET", &format!("/v1/hosts/{}/history?days=1", host.host_id), None).await;
        assert_eq!(day["spans"].as_array().unwrap().len(), 1, "nothing was noted within that day");
    }

    async fn a_restart_of_an_agent_or_of_the_server_notes_nothing(world) {
        let host = world.join("alpha", repo()).await;
        let (mut socket, generation) = host.connect(&world, None).await;
        count(&world).await;
        all_are_back(&world).await;
        count(&world).await;
        assert_eq!(changes(&world, &host).await, 1);
        socket.send(json!({ "type": "goodbye", "reason": "shutdown" })).await;
        world.becomes(&format!("/v1/hosts/{}", host.host_id), "/presence/status", "offline").await;
        count(&world).await;
        pass(&world, MINUTE).await;
        count(&world).await;
        let (socket, _) = host.connect(&world, Some(generation)).await;
        count(&world).await;
        assert_eq!(changes(&world, &host).await, 1, "a restart of its agent");
        drop(socket);
        world.disconnected(&host).await;
        world.clock.advance(Duration::from_secs(7200));
        world.app.all_are_back();
        count(&world).await;
        assert_eq!(changes(&world, &host).await, 1, "who may still come back");
        all_are_back(&world).await;
        count(&world).await;
        assert_eq!(changes(&world, &host).await, 2, "who did not");
    }

    async fn who_is_suspended_is_offline_and_so_it_stays_in_the_history(world) {
        let host = world.join("alpha", repo()).await;
        host.heartbeat(&world).await;
        count(&world).await;
        world.must("POST", &format!("/v1/hosts/{}/suspend", host.host_id), None).await;
        pass(&world, MINUTE).await;
        count(&world).await;
        let shown = spans(&world, &host).await;
        assert_eq!(shown.last().unwrap(), &span("offline", "08:01", None), "{shown:?}");
    }

    async fn what_is_foreign_or_out_of_bounds_is_not_shown(world) {
        let host = world.join("alpha", repo()).await;
        let other = world.team("other").await;
        let path = format!("/v1/hosts/{}/history", host.host_id);
        world.ask("GET", &path, &other.owner(), None).await.problem(404, "not_found");
        for query in ["?days=0", "?days=31", "?hours=1"] {
            let answer = world.admin("GET", &format!("{path}{query}"), None).await;
            assert!(matches!(answer.status, 400 | 422), "{query}: {answer:?}");
        }
    }

    async fn what_an_agent_says_of_itself_is_kept_when_it_says_it_differently(world) {
        let host = world.join("alpha", repo()).await;
        assert!(world.host(&host).await.get("policy").is_none(), "nobody said so");
        let (socket, generation) = host.connect(&world, None).await;
        drop(socket);
        world.disconnected(&host).await;
        let facts = history(&world, &host).await["facts"].clone();
        assert_eq!((&facts[0]["fact"], &facts[0]["was"], &facts[0]["is"]), (&json!("hostname"), &json!("alpha"), &json!("reported")));
        assert_eq!(facts.as_array().unwrap().len(), 1);
        pass(&world, MINUTE).await;
        let mut socket = host.dial(&world).await;
        let generation = socket.welcome(&host, &world, Some(generation)).await;
        let report = json!({
            "hostname": "reported",
            "facts": { "os": "Debian 13", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20,
                "versions": { "agent": "9.9.9" } },
            "running": [],
            "policy": ["restore", "backup"],
        });
        socket.send(json!({ "type": "generation_acknowledged", "generation": generation, "report": report })).await;
        socket.config().await;
        let shown = world.host(&host).await;
        assert_eq!(shown["policy"], json!(["backup", "restore"]));
        assert_eq!(shown["policy_at"], world.app.clock.now().to_string());
        let facts = history(&world, &host).await["facts"].clone();
        let named: Vec<_> = facts.as_array().unwrap().iter().map(|change| change["fact"].as_str().unwrap()).collect();
        assert_eq!(named, ["versions.agent", "os", "hostname"]);
        assert_eq!((&facts[0]["was"], &facts[0]["is"]), (&json!(null), &json!("9.9.9")));
    }
}
