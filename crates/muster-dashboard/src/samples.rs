//! Samples of what the API answers, and the check of pages made of them.

use askama::Template;
use muster_ids::Timestamp;
use muster_wire::host::Host;
use muster_wire::site::{Site, SitePolicy};
use serde_json::json;

/// When every sample is seen.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_000_000_000);

/// A name that would be a script if anything forgot to escape it.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\"'&";

/// Compares a rendered page with its snapshot, and holds it to what every page must keep.
pub(crate) fn check(name: &str, page: &impl Template) {
    let html = page.render().expect("the sample renders");
    assert!(!html.contains("<script>"), "{name} holds a script that is not a file");
    assert!(!html.contains(" style=\""), "{name} holds an inline style, which the policy forbids");
    assert!(!html.contains(" onclick="), "{name} holds an inline handler, which the policy forbids");
    assert!(!html.contains("hx-on") && !html.contains("js:"), "{name} asks for code in an attribute");
    check_live_parts(name, &html);
    check_tables(name, &html);
    insta::assert_snapshot!(name, html);
}

/// A part that is fetched anew must not change under somebody's hands: what they look at while they decide stays.
fn check_live_parts(name: &str, html: &str) {
    for (at, _) in html.match_indices(" data-live=\"") {
        let part = element_at(html, at);
        for word in ["name=\"once\"", "name=\"evidence_version\"", "name=\"preview_version\"", " autofocus"] {
            assert!(!part.contains(word), "{name} holds {word} in a live part: put the form outside of it");
        }
    }
}

/// On a phone the lines of a table are blocks, which takes what they mean from them, unless they say it.
fn check_tables(name: &str, html: &str) {
    for (at, class) in html.match_indices(" class=\"table ") {
        let kinds = html[at + class.len()..].split('"').next().unwrap_or_default();
        if !kinds.contains("stacks") && !kinds.contains("hosts") {
            continue;
        }
        let table = element_at(html, at);
        for (tag, role) in [("<thead", "rowgroup"), ("<tbody", "rowgroup"), ("<tr", "row"), ("<td", "cell")] {
            let said = format!("{tag} role=\"{role}\"");
            assert_eq!(
                table.matches(tag).count(),
                table.matches(&said).count(),
                "{name}: each {tag}> is {said}>"
            );
        }
    }
}

/// Returns the element in whose opening tag `at` is.
fn element_at(html: &str, at: usize) -> &str {
    let start = html[..at].rfind('<').expect("an attribute is in a tag");
    let tag: String = html[start + 1..].chars().take_while(char::is_ascii_alphanumeric).collect();
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut depth = 0;
    let mut from = start;
    loop {
        let next_open = html[from..].find(&open).map(|found| from + found);
        let next_close = html[from..].find(&close).map(|found| from + found).expect("an element ends");
        match next_open.filter(|next| *next < next_close) {
            Some(next) => (depth, from) = (depth + 1, next + open.len()),
            None if depth > 1 => (depth, from) = (depth - 1, next_close + close.len()),
            None => return &html[start..next_close],
        }
    }
}

/// Returns a moment so many seconds before every sample is seen.
pub(crate) fn ago(seconds: u64) -> Timestamp {
    NOW.minus(std::time::Duration::from_secs(seconds))
}

/// Makes a value of the wire as the API tells it.
#[expect(clippy::needless_pass_by_value, reason = "tests write the JSON in place")]
pub(crate) fn of<T: serde::de::DeserializeOwned>(json: serde_json::Value) -> T {
    let text = json.to_string();
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("the sample is not as the API tells it: {error}: {text}"))
}

pub(crate) fn site() -> Site {
    of(json!({
        "id": SITE, "team_id": TEAM, "name": "Bremen", "policy": SitePolicy::default(), "created_at": ago(900_000),
    }))
}

pub(crate) const TEAM: &str = "team_01890a5dac96774bbcceb302099a8001";
pub(crate) const SITE: &str = "site_01890a5dac96774bbcceb302099a8002";
pub(crate) const HOST: &str = "host_01890a5dac96774bbcceb302099a8003";
pub(crate) const OTHER_HOST: &str = "host_01890a5dac96774bbcceb302099a8004";
pub(crate) const CLAIM: &str = "claim_01890a5dac96774bbcceb302099a8005";
pub(crate) const JOB: &str = "job_01890a5dac96774bbcceb302099a8006";
pub(crate) const KEY: &str = "jkt:0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
pub(crate) const OTHER_KEY: &str = "jkt:NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// A host that is online, and one that nobody can reach and whose machine says hostile things.
pub(crate) fn hosts() -> Vec<Host> {
    vec![host(), unreachable_host()]
}

pub(crate) fn host() -> Host {
    of(json!({
        "id": HOST, "team_id": TEAM, "site_id": SITE, "kind": "team", "name": "web-01", "state": "active", "held": null,
        "presence": { "status": "online", "last_seen_at": ago(12) },
        "door": 3, "disposition": "new", "provider": "hetzner", "zone": "fsn1", "tags": ["web", "eu"],
        "reported": reported("web-01.example"),
        "keys": [], "config": {
            "wanted": { "epoch": 1, "n": 4 }, "applied": { "epoch": 1, "n": 4 }, "applied_at": ago(300),
            "drifted_since": null, "sent_times": 1, "sent_at": ago(301),
        },
        "ticket_id": null, "ephemeral_hours": null,
        "created_at": ago(800_000), "enrolled_at": ago(800_000), "retired_at": null,
    }))
}

fn unreachable_host() -> Host {
    let mut json = serde_json::to_value(host()).expect("a host is JSON");
    json["id"] = OTHER_HOST.into();
    json["name"] = HOSTILE.into();
    json["presence"] = json!({ "status": "unreachable", "last_seen_at": ago(4_000) });
    json["held"] = json!({ "held_at": ago(3_000), "claim_id": CLAIM });
    json["reported"]["labels"] = json!({ "company": HOSTILE });
    of(json)
}

fn reported(hostname: &str) -> serde_json::Value {
    json!({
        "hostname": hostname,
        "machine_uid": "smbios:0123456789abcdef0123456789abcdef",
        "owns_uid": true,
        "facts": {
            "os": "Debian GNU/Linux 12", "arch": "x86_64", "cpu_cores": 8, "memory_mb": 16_384, "disk_gb": 160,
            "address": "192.0.2.17", "versions": { "agent": "0.1.0", "kernel": "6.1.0", "restic": "0.16.4" },
        },
        "labels": {},
    })
}
