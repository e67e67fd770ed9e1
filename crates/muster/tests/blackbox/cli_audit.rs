//! The audit trail and the settings through the real binary, with the server running and stopped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_testkit::binaries::Running;
use muster_testkit::canary::mode;
use serde_json::Value;

use crate::cli::Terminal;
use crate::harness::{Backend, Server, until};

const WITHIN: Duration = Duration::from_secs(20);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until everything that was done is in the trail.
async fn sealed(admin: &Terminal, action: &str, times: usize) -> Vec<Value> {
    until(&format!("{action} is not in the trail"), WITHIN, async || {
        let trail = admin.json(&["audit", "list", "--action", action]).await;
        let items = trail["items"].as_array()?.clone();
        (items.len() == times).then_some(items)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_trail_is_read_followed_and_exported() {
    let server = Server::start(Backend::Sqlite).await;
    let admin = Terminal::first_admin(&server).await;
    let log = server.folder().join("tail.log");
    let tail = ["audit", "tail", "-f", "-n", "0", "--action", "site.created", "-o", "json"];
    let mut follower = Running::start(admin.command(&tail), &log).unwrap();
    // It must have begun before something is done: with -n 0 it shows what comes after.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    for name in ["berlin", "lab"] {
        admin.says(&["site", "create", name]).await;
    }
    let join_string = admin.says(&["ticket", "mint-token", "-q"]).await;
    until("the follower does not tell of both", WITHIN, async || {
        (follower.said().lines().count() == 2).then_some(())
    })
    .await;
    assert!(follower.is_running());
    let told: Vec<Value> = follower.said().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(told.iter().all(|entry| entry["action"] == "site.created"), "{told:?}");

    sealed(&admin, "site.created", 2).await;
    sealed(&admin, "ticket.minted", 1).await;
    let last = admin.says(&["audit", "tail", "-n", "1"]).await;
    assert_eq!(last.lines().count(), 1, "{last}");
    assert!(admin.says(&["audit", "list", "--since", "1h"]).await.contains("site.created"));
    assert!(admin.says(&["audit", "list", "--until", "1h"]).await.is_empty());
    for (arguments, says) in [
        (["audit", "list", "--action", "nonsense"], "host.enrolled"),
        (["audit", "list", "--since", "yesterday"], "2026-01-31T12:00:00Z"),
        (["audit", "verify", "--anchor", "nonsense"], "POSITION:MAC"),
    ] {
        let ended = admin.run(&arguments, None).await;
        assert!(ended.code == 2 && ended.err.contains(says), "{arguments:?}: {}", ended.said());
    }

    let out = server.folder().join("audit.jsonl");
    let export = ["audit", "export", "--out", text(&out)];
    admin.run(&export, None).await.succeeded();
    assert_eq!(mode(&out), Some(0o600));
    let exported = fs::read_to_string(&out).unwrap();
    let entries: Vec<Value> = exported.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(entries.iter().any(|entry| entry["action"] == "ticket.minted"));
    assert!(!exported.contains(&join_string) && !exported.contains("mso_"), "a trail holds no secret");
    let over = admin.run(&export, None).await;
    assert!(over.code == 2 && over.err.contains("exists already"), "{}", over.said());
    assert_eq!(fs::read_to_string(&out).unwrap(), exported, "an export is never overwritten");
    sealed(&admin, "audit.exported", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_chain_is_verified_by_the_server_and_without_it() {
    let mut server = Server::start(Backend::Sqlite).await;
    let admin = Terminal::first_admin(&server).await;
    admin.says(&["site", "create", "canary-before"]).await;
    sealed(&admin, "site.created", 1).await;
    let head = admin.says(&["audit", "verify", "-q"]).await;
    let holds = admin.json(&["audit", "verify", "--anchor", &head]).await;
    assert_eq!((&holds["holds"], &holds["anchor"]), (&true.into(), &"holds".into()), "{holds}");
    let (position, _) = head.split_once(':').unwrap();
    let other = format!("{position}:0000000000000000");
    let broken = admin.run(&["audit", "verify", "--anchor", &other], None).await;
    assert!(broken.code == 5 && broken.err.contains("is not part of it"), "{}", broken.said());

    let data = server.data.clone();
    let offline = ["audit", "verify", "--data-dir", text(&data), "--anchor", &head];
    let running = admin.run(&offline, None).await;
    assert!(running.code == 1 && running.err.contains("stop the server"), "{}", running.said());
    assert_eq!(server.stop().await, 0);
    let whole = admin.run(&offline, None).await;
    assert!(whole.out.contains("is still part of the chain"), "{}", whole.said());
    whole.succeeded();
    let elsewhere = admin.run(&["audit", "verify", "--data-dir", text(server.folder())], None).await;
    assert_eq!(elsewhere.code, 1, "{}", elsewhere.said());

    let file = data.join("muster.db");
    let mut bytes = fs::read(&file).unwrap();
    let (before, after) = (b"canary-before", b"canary-behind");
    let places: Vec<usize> =
        (0..bytes.len() - before.len()).filter(|at| bytes[*at..].starts_with(before)).collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at..at + after.len()].copy_from_slice(after);
    }
    fs::write(&file, bytes).unwrap();
    let changed = admin.run(&offline, None).await;
    assert!(changed.code == 5 && changed.out.contains("was changed"), "{}", changed.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_the_admins_and_bounded() {
    let server = Server::start(Backend::Sqlite).await;
    let url = server.operators_url().to_string();
    let admin = Terminal::first_admin(&server).await;
    let set = admin.json(&["settings", "set", "audit_keep_days", "730"]).await;
    assert_eq!(set["items"][0]["value"], 730, "{set}");
    assert!(admin.says(&["settings", "list"]).await.contains("730"));
    for arguments in [["audit_keep_days", "1"], ["audit_keep_days", "x"], ["nonsense", "1"]] {
        let ended = admin.run(&["settings", "set", arguments[0], arguments[1]], None).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.said());
    }
    admin.says(&["team", "create", "acme"]).await;
    let token = admin.says(&["team", "owner", "acme", "Ada", "-q"]).await;
    let owner = Terminal::new(&server, "owner");
    owner.run(&["login", "--url", &url], Some(&token)).await.succeeded();
    let refused = owner.run(&["settings", "set", "audit_keep_days", "30"], None).await;
    assert!(refused.code == 1 && refused.err.contains("next:"), "{}", refused.said());
    let all_teams = owner.run(&["audit", "export", "--all-teams"], None).await;
    assert_eq!((all_teams.code, all_teams.out.as_str()), (1, ""), "{}", all_teams.said());
}
