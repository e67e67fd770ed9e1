//! Bodies of the operators' routes: exact objects in, no secret in any debug form.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_wire::Object;
use muster_wire::claim::DecideClaim;
use muster_wire::enroll::{EnrollRequest, Heartbeat};
use muster_wire::host::{InviteHost, MoveHost, RetireHost, SetTags};
use muster_wire::host_change::{ChangeHosts, PreviewHostChange};
use muster_wire::invitation::{AcceptInvitation, CreateInvitation};
use muster_wire::job::CreateJob;
use muster_wire::people::{CreateOwner, CreateTeam, MintedToken, SetRole, Setup};
use muster_wire::saved_view::SetView;
use muster_wire::secret::{Document, PushSecret, RepoSecret};
use muster_wire::site::{CreateSite, SetSitePolicy, SitePolicy};
use muster_wire::ticket::{CreateEnrolmentToken, CreateRegistrationToken, CreateSiteKey, MintedTicket};
use muster_wire::token::CreateApiToken;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const TEAM: &str = "team_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
const HOST: &str = "host_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";
const SITE: &str = "site_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5";

fn parse<T: DeserializeOwned>(body: &Value) -> Result<T, serde_json::Error> {
    serde_json::from_str::<Object<T>>(&body.to_string()).map(|object| object.0)
}

/// The body is taken; with an unknown field, as an array, as null or not at all it is not.
#[track_caller]
fn is_exact<T: DeserializeOwned>(body: &Value) {
    assert!(parse::<T>(body).is_ok(), "{body}: {}", parse::<T>(body).err().unwrap());
    let mut unknown = body.clone();
    unknown["unknown"] = json!(1);
    let values: Value = body.as_object().unwrap().values().cloned().collect();
    for bad in [unknown, values, json!([]), json!(null), json!("x"), json!(7)] {
        assert!(parse::<T>(&bad).is_err(), "{bad}");
    }
}

#[test]
fn every_request_body_is_one_exact_object() {
    let document = json!({ "url": "/srv", "password": "p" });
    is_exact::<Setup>(
        &json!({ "code": "AAAA-BBBB", "admin_name": "Ada", "public_urls": ["https://m.example"] }),
    );
    is_exact::<CreateTeam>(&json!({ "name": "ops" }));
    is_exact::<CreateOwner>(&json!({ "name": "Ada" }));
    is_exact::<SetRole>(&json!({ "role": "viewer" }));
    is_exact::<CreateInvitation>(&json!({ "name": "Bob", "role": "operator", "expires_in_secs": 300 }));
    is_exact::<AcceptInvitation>(&json!({ "login": "bob", "password": "correct horse" }));
    is_exact::<CreateApiToken>(&json!({
        "name": "ci", "scopes": ["see_fleet"], "expires_in_secs": 300, "team_id": TEAM,
    }));
    is_exact::<CreateSite>(&json!({ "name": "hq", "policy": { "new": "approve" } }));
    is_exact::<SetSitePolicy>(&json!({ "policy": { "surge": 5 } }));
    is_exact::<CreateEnrolmentToken>(&json!({
        "host_name": "web", "site_id": SITE, "tags": ["a"], "expires_in_secs": 300, "require_key": true,
        "secrets": { "repo": document },
    }));
    is_exact::<CreateSiteKey>(&json!({ "site_id": SITE, "max_uses": 1 }));
    is_exact::<CreateRegistrationToken>(&json!({ "expires_in_secs": 300, "rejoin": true }));
    is_exact::<InviteHost>(
        &json!({ "name": "web", "site_id": SITE, "provider": "x", "zone": "y", "tags": [] }),
    );
    is_exact::<SetTags>(&json!({ "tags": ["a"] }));
    is_exact::<RetireHost>(&json!({ "preview_version": "v" }));
    is_exact::<MoveHost>(&json!({ "site_id": SITE }));
    let change = json!({ "kind": "tags", "add": ["a"], "remove": ["b"] });
    is_exact::<PreviewHostChange>(&json!({ "hosts": [HOST], "change": change }));
    is_exact::<ChangeHosts>(&json!({ "hosts": [HOST], "change": change, "preview_version": "v" }));
    is_exact::<PushSecret>(&json!({ "hosts": [HOST], "document": document }));
    is_exact::<SetView>(&json!({ "query": "state=active&tag=x" }));
    is_exact::<DecideClaim>(&json!({ "verdict": "new", "evidence_version": "v", "with_secrets": true }));
    is_exact::<CreateJob>(&json!({ "work": { "kind": "backup", "paths": ["/srv"] }, "time_limit_secs": 60 }));
    is_exact::<Heartbeat>(&json!({ "load_percent": 1, "disk_free_gb": 1, "clock": "2026-01-15T12:00:00Z" }));
    is_exact::<RepoSecret>(&document);
}

#[test]
fn nested_structs_are_objects_too() {
    for bad in [json!([]), json!(["auto"]), json!(null), json!({ "new": "never" }), json!({ "unknown": 1 })] {
        assert!(parse::<CreateSite>(&json!({ "name": "hq", "policy": bad })).is_err(), "{bad}");
        assert!(parse::<SetSitePolicy>(&json!({ "policy": bad })).is_err(), "{bad}");
    }
    for bad in [
        json!(["backup", ["/srv"]]),
        json!({ "kind": "backup" }),
        json!({ "kind": "backup", "paths": [] }),
        json!({ "kind": "command", "paths": ["/srv"] }),
        json!({ "kind": "backup", "paths": ["/srv"], "exclude": [] }),
        json!({ "kind": "backup", "paths": ["srv"] }),
        json!({ "kind": "backup", "paths": ["--password-command=x"] }),
        json!({ "kind": "backup", "paths": ["/srv\n/etc"] }),
        json!({ "paths": ["/srv"] }),
    ] {
        assert!(parse::<CreateJob>(&json!({ "work": bad })).is_err(), "{bad}");
    }
}

/// What many hosts get at once names each of them once, and at most 100.
#[test]
fn hosts_of_one_order_are_few_and_distinct() {
    let host = |n: usize| json!(format!("host_0192f0c1a2b37c4d8e9f{n:012x}"));
    let hosts = |many: usize| Value::Array((0..many).map(host).collect());
    let taken = |hosts: Value| {
        let change = json!({ "kind": "suspend" });
        let preview = json!({ "hosts": hosts, "change": change });
        let done = json!({ "hosts": hosts, "change": change, "preview_version": "v" });
        let pushed = json!({ "hosts": hosts, "document": { "user": "u" } });
        [
            parse::<PreviewHostChange>(&preview).is_ok(),
            parse::<ChangeHosts>(&done).is_ok(),
            parse::<PushSecret>(&pushed).is_ok(),
        ]
    };
    assert_eq!((taken(hosts(1)), taken(hosts(100))), ([true; 3], [true; 3]));
    for bad in [hosts(0), hosts(101), json!([HOST, HOST]), json!([SITE]), json!(HOST), json!(null)] {
        assert_eq!(taken(bad.clone()), [false; 3], "{bad}");
    }
    let named = json!([host(2), host(0), host(1)]);
    let pushed: PushSecret = parse(&json!({ "hosts": named, "document": { "user": "u" } })).unwrap();
    assert_eq!(
        serde_json::to_value(&pushed.hosts).unwrap(),
        named,
        "a refusal points at a place in this order"
    );
}

#[test]
fn a_change_of_hosts_is_one_of_five() {
    let change =
        |change: &Value| parse::<PreviewHostChange>(&json!({ "hosts": [HOST], "change": change })).is_ok();
    for good in [
        json!({ "kind": "tags", "add": ["a"] }),
        json!({ "kind": "tags", "remove": ["a"] }),
        json!({ "kind": "suspend" }),
        json!({ "kind": "resume" }),
        json!({ "kind": "move", "site_id": SITE }),
        json!({ "kind": "retire" }),
    ] {
        assert!(change(&good), "{good}");
    }
    for bad in [
        json!({}),
        json!({ "kind": "delete" }),
        json!({ "kind": "suspend", "site_id": SITE }),
        json!({ "kind": "retire", "unknown": 1 }),
        json!({ "kind": "move" }),
        json!({ "kind": "move", "site_id": HOST }),
        json!({ "kind": "tags", "add": ["a\n"] }),
        json!(["suspend"]),
        json!("suspend"),
        json!(null),
    ] {
        assert!(!change(&bad), "{bad}");
    }
}

#[test]
fn a_policy_left_out_is_the_safe_one() {
    let site: CreateSite = parse(&json!({ "name": "hq" })).unwrap();
    assert_eq!(site.policy, SitePolicy::default());
    let json = serde_json::to_value(&site.policy).unwrap();
    let expected = json!({
        "new": "auto", "reimage": "approve", "reimage_after_secs": 86_400, "surge": 100, "require_key": true,
        "on_clone": "hold",
    });
    assert_eq!(json, expected);
}

#[test]
fn lives_of_tickets_are_bounded() {
    let token = |secs: i64| parse::<CreateEnrolmentToken>(&json!({ "expires_in_secs": secs }));
    assert!(
        token(299).is_err() && token(300).is_ok() && token(2_592_000).is_ok() && token(2_592_001).is_err()
    );
    assert!(token(-1).is_err() && token(0).is_err());
    let uses = |max_uses: Value| parse::<CreateSiteKey>(&json!({ "site_id": SITE, "max_uses": max_uses }));
    assert!(uses(json!(0)).is_err() && uses(json!(1)).is_ok() && uses(json!(1_000_001)).is_err());
}

/// SECURITY B22: what is logged with `{:?}` shows no credential and no secret value.
#[test]
fn b22_no_debug_form_shows_a_secret() {
    let document = json!({ "url": "rest:https://canary.example/", "user": "canary", "password": "canary" });
    let setup: Setup = parse(&json!({ "code": "CANARY-canary", "admin_name": "Ada" })).unwrap();
    let token: CreateEnrolmentToken = parse(&json!({ "secrets": { "repo": document } })).unwrap();
    let repo: RepoSecret = parse(&document).unwrap();
    let whole: Document = parse(&document).unwrap();
    let pushed: PushSecret = parse(&json!({ "hosts": [HOST], "document": document })).unwrap();
    let secret = data_encoding::BASE64URL_NOPAD.encode(b"canary canary canary canary cana");
    let enrol: EnrollRequest = parse(&json!({
        "hostname": "web-1",
        "machine_uid": "smbios:0123456789abcdef0123456789abcdef",
        "facts": { "os": "x", "arch": "y", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 },
        "agent_secret": secret,
    }))
    .unwrap();
    let minted: MintedToken = parse(&json!({
        "token_id": "abcdefghijkl",
        "user_id": "user_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
        "team_id": "team_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5",
        "token": "mso_abcdefghijkl_canary",
    }))
    .unwrap();
    let ticket = json!({
        "id": "abcdefghijkl", "kind": "enrolment_token", "status": "open", "site_id": SITE, "rejoin": false,
        "tags": [], "secrets": [], "require_key": false, "uses": 0, "created_at": "2026-01-15T12:00:00Z",
    });
    let ticket: MintedTicket =
        parse(&json!({ "ticket": ticket, "token": "mse_canary", "join_string": "muster1.canary" })).unwrap();
    let shown = format!("{setup:?} {token:?} {repo:?} {whole:?} {pushed:?} {enrol:?} {minted:?} {ticket:?}");
    assert!(!shown.to_lowercase().contains("canary"), "{shown}");
    assert!(!shown.contains(&secret), "{shown}");
}
