//! Events through the real binary: followed across a restart, told to webhooks and to people.

use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_testkit::binaries::Running;
use muster_testkit::receiver::{Received, Receiver};
use serde_json::Value;

use crate::cli::Terminal;
use crate::harness::{Backend, Server, until};

const WITHIN: Duration = Duration::from_secs(30);

/// A server that may send to this machine, and its first admin.
async fn with_own_receivers() -> (Server, Terminal) {
    let mut server = Server::prepare(Backend::Sqlite);
    server.add_arguments(&["--allow-outbound", "127.0.0.0/8"]);
    server.launch().await;
    let admin = Terminal::first_admin(&server).await;
    (server, admin)
}

fn lines(log: &Path) -> Vec<Value> {
    let said = fs::read_to_string(log).unwrap_or_default();
    // The last line may be half written.
    let whole = said.rfind('\n').map_or("", |end| &said[..end]);
    whole.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits until a message of this kind came; returns all that came.
async fn told(receiver: &Receiver, kind: &str) -> Vec<Received> {
    let mut came = Vec::new();
    until(&format!("{kind} is not told"), WITHIN, async || {
        came.extend(receiver.take());
        came.iter().any(|one| String::from_utf8_lossy(&one.body).contains(kind)).then_some(())
    })
    .await;
    came
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_misses_nothing_when_the_server_is_killed() {
    let mut server = Server::start(Backend::Sqlite).await;
    let admin = Terminal::first_admin(&server).await;
    let log = server.folder().join("events.log");
    let mut follower = Running::start(
        admin.command(&["events", "--follow", "--after", "0", "--kind", "ticket.minted", "-o", "json"]),
        &log,
    )
    .unwrap();
    for n in 1..=3 {
        let ticket = admin.json(&["ticket", "mint-token", "--name", &format!("web-{n}")]).await;
        let id = ticket["ticket"]["id"].clone();
        until("the event is not told", WITHIN, async || {
            lines(&log).iter().any(|event| event["subject"] == id).then_some(())
        })
        .await;
        if n < 3 {
            server.kill9();
            server.launch().await;
        }
    }
    assert!(follower.is_running(), "{}", follower.said());
    let seen: Vec<u64> = lines(&log).iter().map(|event| event["position"].as_u64().unwrap()).collect();
    assert!(seen.len() == 3 && seen.is_sorted_by(|a, b| a < b), "each once, in order: {seen:?}");

    let rest =
        admin.json(&["events", "--after", &seen[0].to_string(), "--kind", "ticket.minted", "--all"]).await;
    let rest = rest["items"].as_array().unwrap().clone();
    assert_eq!(rest.len(), 2, "what a script asks for after its last position: {rest:?}");
    let table = admin.says(&["events", "--limit", "1"]).await;
    assert!(table.lines().count() == 2 && table.contains("ticket.minted"), "{table}");
    assert!(admin.says(&["events", "--kinds"]).await.contains("host.unreachable"));
    let unknown = admin.run(&["events", "--kind", "nonsense"], None).await;
    assert!(unknown.code == 2 && unknown.err.contains("host.unreachable"), "{}", unknown.said());
    let none = admin.run(&["events", "--kind", "host.back"], None).await;
    assert_eq!((none.code, none.out.as_str()), (0, ""), "{}", none.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webhook_is_tested_fed_paused_and_removed() {
    let (server, admin) = with_own_receivers().await;
    let receiver = Receiver::start().await.unwrap();
    let url = format!("{}/canary-path", receiver.url());
    let file = server.folder().join("hook-url");
    fs::write(&file, &url).unwrap();
    let file = file.to_str().unwrap();
    let create = ["webhook", "create", "siem", "--to-file", file, "--event", "ticket.minted", "-q"];

    receiver.answers(500, "");
    let refused = admin.run(&create, None).await;
    assert!(refused.code == 1 && refused.err.contains("nothing was stored"), "{}", refused.said());
    assert!(admin.json(&["webhook", "list"]).await["items"].as_array().unwrap().is_empty());
    receiver.answers(200, "");
    let secret = admin.says(&create).await;
    assert!(secret.starts_with("whsec_") && secret.lines().count() == 1, "-q writes the secret alone");
    for arguments in [["webhook", "list"], ["webhook", "list"], ["notify", "list"]] {
        for shown in [admin.says(&arguments).await, admin.json(&arguments).await.to_string()] {
            assert!(
                shown.contains("siem") && !shown.contains("canary-path") && !shown.contains("whsec_"),
                "{shown}"
            );
        }
    }

    receiver.take();
    admin.says(&["webhook", "test", "siem"]).await;
    assert!(receiver.take()[0].header("webhook-signature").unwrap().starts_with("v1,"));
    receiver.answers(503, "");
    let failed = admin.run(&["webhook", "test", "siem"], None).await;
    assert_eq!((failed.code, failed.out.as_str()), (1, ""), "said once: {}", failed.said());
    assert_eq!(failed.err.matches("was not taken").count(), 1, "{}", failed.err);
    receiver.answers(200, "");

    admin.says(&["webhook", "pause", "siem"]).await;
    receiver.take();
    admin.says(&["ticket", "mint-token", "-q"]).await;
    admin.says(&["webhook", "resume", "siem"]).await;
    let came = told(&receiver, "ticket.minted").await;
    assert!(came.iter().all(|one| one.path == "/canary-path" && one.header("webhook-id").is_some()));
    let log = until("the delivery is not logged", WITHIN, async || {
        let log = admin.json(&["webhook", "deliveries", "siem", "--state", "delivered"]).await;
        (!log["items"].as_array()?.is_empty()).then_some(log)
    })
    .await;
    let delivery = log["items"][0]["id"].as_str().unwrap();
    admin.says(&["webhook", "redeliver", "siem", "--delivery", delivery]).await;
    told(&receiver, "ticket.minted").await;
    let wrong = admin.run(&["webhook", "redeliver", "siem", "--delivery", "x"], None).await;
    assert!(wrong.code == 2 && wrong.err.contains("muster webhook deliveries"), "{}", wrong.said());
    let again = admin.says(&["webhook", "redeliver", "siem", "--since", "2026-01-31T12:00:00Z"]).await;
    assert!(again.contains("sent again"), "{again}");

    let rotated = admin.says(&["webhook", "rotate-secret", "siem", "--overlap", "0s", "-q"]).await;
    assert!(rotated.starts_with("whsec_") && rotated != secret);
    admin.says(&["webhook", "remove", "siem"]).await;
    let gone = admin.run(&["webhook", "show", "siem"], None).await;
    assert!(gone.code == 1 && gone.err.contains("no endpoint is called `siem`"), "{}", gone.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_hear_of_events_and_credentials_are_never_shown() {
    let (server, admin) = with_own_receivers().await;
    let receiver = Receiver::start().await.unwrap();
    let kept = |name: &str, content: &str| {
        let file = server.folder().join(name);
        fs::write(&file, content).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (topic, token) = (kept("topic", "canary-topic\n"), kept("token", "canary-token\n"));
    let (url, room) = (receiver.url(), "!room:matrix.example");
    let made: [&[&str]; 4] = [
        &[
            "phone",
            "--kind",
            "ntfy",
            "--server-url",
            &url,
            "--topic-file",
            &topic,
            "--event",
            "ticket.minted",
        ],
        &[
            "room",
            "--kind",
            "matrix",
            "--server-url",
            &url,
            "--room",
            room,
            "--access-token-file",
            &token,
            "--untested",
            "--quiet-hours",
            "22:00-07:00",
            "--time-zone",
            "Europe/Berlin",
            "--group-for",
            "5m",
        ],
        &[
            "chat",
            "--kind",
            "slack",
            "--url-file",
            &kept("slack", &format!("{url}/canary-slack")),
            "--untested",
        ],
        &[
            "ops",
            "--kind",
            "email",
            "--server",
            "127.0.0.1:1",
            "--from",
            "muster@example.org",
            "--to",
            "ops@example.org",
            "--user",
            "muster",
            "--password-file",
            &token,
            "--untested",
        ],
    ];
    for arguments in made {
        let shown = admin.run(&[&["notify", "create"], arguments].concat(), None).await;
        assert!(!shown.said().contains("canary"), "{}", shown.said());
        shown.succeeded();
    }
    let listed = admin.json(&["notify", "list"]).await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 4, "{listed}");
    assert!(!listed.to_string().contains("canary"), "{listed}");
    assert!(admin.says(&["notify", "show", "room"]).await.contains("22:00 to 07:00 Europe/Berlin"));

    receiver.take();
    admin.says(&["ticket", "mint-token", "--name", "web-1", "-q"]).await;
    let came = told(&receiver, "icket").await;
    assert!(came.iter().any(|one| String::from_utf8_lossy(&one.body).contains("canary-topic")
        || one.path.contains("canary-topic")));

    let unreached = admin.run(&["notify", "test", "ops"], None).await;
    assert!(unreached.code == 1 && unreached.err.contains("muster notify show"), "{}", unreached.said());
    for (arguments, says) in [
        (&["--kind", "matrix", "--server-url", &url][..], "--room"),
        (&["--kind", "ntfy"], "--server-url"),
        (&["--kind", "email"], "--server"),
        (&["--kind", "slack"], "--url-file"),
        (&["--kind", "ntfy", "--token", "x"], "unexpected argument"),
    ] {
        let ended = admin.run(&[&["notify", "create", "x"], arguments].concat(), None).await;
        assert!(ended.code == 2 && ended.err.contains(says), "{arguments:?}: {}", ended.said());
    }
    admin.says(&["notify", "pause", "phone"]).await;
    assert!(admin.says(&["notify", "list"]).await.contains("paused"));
    admin.says(&["notify", "remove", "phone"]).await;
    assert!(!admin.says(&["notify", "list"]).await.contains("phone"));
}
