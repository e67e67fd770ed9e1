//! Whoever looks never sees a change without its entry, or an entry without its change (SECURITY W7), not even after
//! a power cut; and the chain holds after every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_testkit::binaries;
use muster_wire::audit::AuditEntry;
use serde_json::{Value, json};

use crate::harness::{Backend, Installation, both, is_soak, until};

const WORKERS: usize = 6;

/// What can be seen of the changes: kind of thing and its id, for each action that makes one.
async fn visible(installation: &Installation) -> BTreeSet<(String, String)> {
    let mut seen = BTreeSet::new();
    let lists = [("site.created", "/v1/sites"), ("ticket.minted", "/v1/tickets"), ("host.invited", "/v1/hosts")];
    for (action, path) in lists {
        for item in installation.owner.all::<Value>(path).await {
            seen.insert((action.to_owned(), item["id"].as_str().unwrap().to_owned()));
        }
    }
    seen
}

/// Makes one thing; returns what was acknowledged.
async fn change(installation: &Installation, worker: usize, n: usize) -> Option<(String, String)> {
    let name = format!("w{worker}-{n}-{}", installation.server.pid_or(0));
    let (action, path, body, id) = match n % 3 {
        0 => ("site.created", "/v1/sites", json!({ "name": name }), "/id"),
        1 => ("ticket.minted", "/v1/site-keys", json!({ "site_id": installation.site }), "/ticket/id"),
        _ => ("host.invited", "/v1/hosts", json!({ "name": name, "site_id": installation.site }), "/host/id"),
    };
    let token = Some(installation.owner.token.as_str());
    let reply = installation.server.try_ask(Method::POST, path, token, Some(&body)).await.ok()?;
    if reply.status >= 500 {
        return None;
    }
    assert!(reply.status < 300, "{path}: {}", reply.text);
    let id = reply.json.pointer(id).and_then(Value::as_str);
    Some((action.to_owned(), id.unwrap_or_else(|| panic!("{path}: {}", reply.text)).to_owned()))
}

/// Changes things until the server is killed, and returns what it acknowledged.
async fn power_cut(installation: &mut Installation, after: Duration) -> Vec<(String, String)> {
    let pid = installation.server.pid();
    let acknowledged = {
        let installation = &*installation;
        let working = join_all((0..WORKERS).map(|worker| async move {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                match change(installation, worker, n).await {
                    Some(done) => acknowledged.push(done),
                    None => break,
                }
            }
            acknowledged
        }));
        let killing = async {
            tokio::time::sleep(after).await;
            binaries::kill9(pid);
        };
        tokio::join!(working, killing).0
    };
    installation.server.kill9();
    installation.server.launch().await;
    acknowledged.into_iter().flatten().collect()
}

fn by_target(entries: &[AuditEntry]) -> BTreeMap<(String, String), usize> {
    let mut found = BTreeMap::new();
    for entry in entries {
        if matches!(entry.action.as_str(), "site.created" | "ticket.minted" | "host.invited") {
            *found.entry((entry.action.clone(), entry.target.clone())).or_default() += 1;
        }
    }
    found
}

async fn assert_changes_and_entries_agree(installation: &Installation, promised: &BTreeSet<(String, String)>) {
    let seen = visible(installation).await;
    assert!(promised.is_subset(&seen), "an acknowledged change is gone: {:?}", promised.difference(&seen));
    let team = installation.owner.team;
    let entries = until("not every change has its entry", Duration::from_secs(10), async || {
        let mut entries = installation.audit().await;
        entries.retain(|entry| entry.team_id == team);
        let found = by_target(&entries);
        seen.iter().all(|change| found.contains_key(change)).then_some(entries)
    })
    .await;
    for (change, times) in by_target(&entries) {
        assert_eq!(times, 1, "{change:?} is written down {times} times");
        // A team begins with a site that nobody made by itself.
        assert!(seen.contains(&change), "{change:?} is written down and cannot be seen");
    }
}

async fn assert_the_chain_holds(installation: &Installation) {
    let (mut after, mut checked) = (0, 0);
    loop {
        let path = format!("/v1/audit/verify?after={after}");
        let reply = installation.server.ask(Method::GET, &path, Some(&installation.admin.token), None).await;
        assert_eq!((reply.status, &reply.json["breaks"]), (200, &json!([])), "{}", reply.text);
        checked += reply.json["checked"].as_u64().unwrap();
        if reply.json["is_end"] == true {
            break;
        }
        after = reply.json["through"].as_u64().unwrap();
    }
    assert!(checked > 0);
}

both! {
    async fn w7_no_change_without_its_entry_and_no_entry_without_its_change(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let begun = visible(&installation).await;
        let mut promised = BTreeSet::new();
        for round in 0..if is_soak() { 60_u64 } else { 3 } {
            let after = Duration::from_millis(60 + round * 37 % 200);
            promised.extend(power_cut(&mut installation, after).await);
            assert_the_chain_holds(&installation).await;
        }
        assert!(promised.len() > 5, "too little was done to show anything");
        let _ = begun;
        assert_changes_and_entries_agree(&installation, &promised).await;
    }
}
