//! Whoever looks never sees a change without its entry, or an entry without its change (SECURITY W7), not even after
//! a power cut; and the chain holds after every one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_client::OperatorClient;
use muster_ids::SiteId;
use muster_wire::audit::AuditEntry;
use serde_json::{Value, json};

use crate::harness::{Backend, Installation, both, is_soak, until};

const WORKERS: usize = 6;

type Change = (String, String);

/// What can be seen of the changes: the action that made it, and its id.
async fn visible(installation: &Installation) -> BTreeSet<Change> {
    let mut seen = BTreeSet::new();
    let lists =
        [("site.created", "/v1/sites"), ("ticket.minted", "/v1/tickets"), ("host.invited", "/v1/hosts")];
    for (action, path) in lists {
        for item in installation.owner.all::<Value>(path).await {
            // The ticket of an invitation is part of it.
            if action != "ticket.minted" || item["kind"] == "site_key" {
                seen.insert((action.to_owned(), item["id"].as_str().unwrap().to_owned()));
            }
        }
    }
    seen
}

/// Makes one thing; returns what was acknowledged.
async fn change(api: &OperatorClient, site: SiteId, name: &str, n: usize) -> Option<Change> {
    let (action, path, body, id) = match n % 3 {
        0 => ("site.created", "/v1/sites", json!({ "name": name }), "/id"),
        1 => ("ticket.minted", "/v1/site-keys", json!({ "site_id": site }), "/ticket/id"),
        _ => ("host.invited", "/v1/hosts", json!({ "name": name, "site_id": site }), "/host/id"),
    };
    match api.post::<_, Value>(path, &body).await {
        Ok(made) => {
            let id = made.pointer(id).and_then(Value::as_str);
            Some((action.to_owned(), id.unwrap_or_else(|| panic!("{path}: {made}")).to_owned()))
        }
        Err(error) => {
            let is_refused = error.status().is_some_and(|status| status.as_u16() < 500);
            assert!(!is_refused, "{path}: {error}");
            None
        }
    }
}

/// Changes things until the server is killed, and returns what it acknowledged.
async fn power_cut(installation: &mut Installation, round: u64, after: Duration) -> Vec<Change> {
    let (api, site) = (installation.owner.api.clone(), installation.site);
    let working = join_all((0..WORKERS).map(|worker| {
        let api = api.clone();
        async move {
            let mut acknowledged = Vec::new();
            for n in 0.. {
                match change(&api, site, &format!("r{round}-w{worker}-{n}"), n).await {
                    Some(done) => acknowledged.push(done),
                    None => break,
                }
            }
            acknowledged
        }
    }));
    let server = &mut installation.server;
    let (acknowledged, ()) = tokio::join!(working, async {
        tokio::time::sleep(after).await;
        server.kill9();
    });
    installation.server.launch().await;
    acknowledged.into_iter().flatten().collect()
}

fn by_target(entries: &[AuditEntry]) -> BTreeMap<Change, usize> {
    let mut found = BTreeMap::new();
    for entry in entries {
        if matches!(entry.action.as_str(), "site.created" | "ticket.minted" | "host.invited") {
            *found.entry((entry.action.clone(), entry.target.clone())).or_default() += 1;
        }
    }
    found
}

/// `begun`: what was there before, the site every team begins with among it.
async fn assert_changes_and_entries_agree(
    installation: &Installation,
    begun: &BTreeSet<Change>,
    promised: &BTreeSet<Change>,
) {
    let seen = visible(installation).await;
    let lost: Vec<_> = promised.difference(&seen).collect();
    assert!(lost.is_empty(), "acknowledged changes are gone: {lost:?}");
    let team = installation.owner.team;
    let entries = until("not every change has its entry", Duration::from_secs(10), async || {
        let mut entries = installation.audit().await;
        entries.retain(|entry| entry.team_id == team);
        let found = by_target(&entries);
        seen.difference(begun).all(|change| found.contains_key(change)).then_some(entries)
    })
    .await;
    let tickets: Vec<Value> = installation.owner.all("/v1/tickets").await;
    let is_ticket = |id: &str| tickets.iter().any(|ticket| ticket["id"] == id);
    for (change, times) in by_target(&entries) {
        assert_eq!(times, 1, "{change:?} is written down {times} times");
        let can_be_seen = seen.contains(&change) || is_ticket(&change.1);
        assert!(can_be_seen, "{change:?} is written down and cannot be seen");
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
            promised.extend(power_cut(&mut installation, round, after).await);
            assert_the_chain_holds(&installation).await;
        }
        assert!(promised.len() > 5, "too little was done to show anything");
        assert_changes_and_entries_agree(&installation, &begun, &promised).await;
    }
}
