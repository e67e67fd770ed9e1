//! Setup, credentials and teams (SECURITY B1, B17, B19, B25). Every route as every caller, and every foreign id, are
//! asked of the same router by the tests `permissions` of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::Method;
use muster_edge::Entropy;
use muster_ids::{Bearer, BearerKind, HostId, SiteId, Timestamp};
use muster_testkit::http as bytewise;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Backend, Installation, Reply, Server, both, until};

const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// Routes without a credential; everything else answers 401.
const OPEN: [(&str, &str); 8] = [
    ("get", "/v1/setup"),
    ("post", "/v1/setup"),
    ("post", "/v1/sign-in"),
    ("get", "/v1/sign-in/methods"),
    ("get", "/v1/oidc/{name}/start"),
    ("get", "/v1/oidc/callback"),
    ("post", "/v1/invitations/accept"),
    ("post", "/v1/enroll/fork"),
];

/// Other spellings of the setup's path, none of which may lead to it.
const SPELLINGS: [&str; 14] = [
    "/v1/setup/",
    "/v1//setup",
    "//v1/setup",
    "/v1/Setup",
    "/V1/setup",
    "/v1/setup/x",
    "/v1/setup%2f",
    "/v1/setup%2F",
    "/v1/setup;x",
    "/v1/./setup",
    "/v1/x/../setup",
    "/v1/%73etup",
    "/setup",
    "/v1",
];

/// An operation of the API document.
#[derive(Debug, Clone)]
struct Operation {
    method: String,
    path: String,
    needs_credential: bool,
    takes_body: bool,
}

async fn operations(server: &Server) -> Vec<Operation> {
    let reply = server.ask(Method::GET, "/v1/openapi.json", None, None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    assert!(reply.json["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    let mut found = Vec::new();
    for (path, item) in reply.json["paths"].as_object().unwrap() {
        for method in METHODS {
            let Some(operation) = item.get(method) else { continue };
            let schemes = operation["security"].as_array().map_or(0, Vec::len);
            found.push(Operation {
                method: method.to_owned(),
                path: path.clone(),
                needs_credential: schemes > 0,
                takes_body: operation["requestBody"].is_object(),
            });
        }
    }
    assert!(found.len() > 30, "the document lists {} operations", found.len());
    found
}

/// A site that is not there.
fn absent_site() -> String {
    SiteId::from_uuid(Entropy.uuid(Timestamp::from_millis(1_700_000_000_000))).to_string()
}

fn filled(path: &str) -> String {
    let id = |part: &str| match part {
        "{host_id}" => HostId::from_uuid(Entropy.uuid(Timestamp::from_millis(1_700_000_000_000))).to_string(),
        part if part.starts_with('{') => "x".to_owned(),
        part => part.to_owned(),
    };
    path.split('/').map(id).collect::<Vec<_>>().join("/")
}

fn bearer(kind: BearerKind) -> String {
    Bearer::new(kind, Entropy.public_id(), Entropy.bytes()).expose().expose_secret().to_owned()
}

fn method(operation: &Operation) -> Method {
    operation.method.to_uppercase().parse().unwrap()
}

/// A body for what takes one. A person's credential is judged before it is read; the door looks at its form first.
fn body(operation: &Operation) -> Option<Value> {
    let machine = || {
        json!({
            "hostname": "x", "machine_uid": "random:00000000000000000000000000000000",
            "facts": { "os": "x", "arch": "x", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 },
            "agent_secret": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        })
    };
    operation.takes_body.then(|| if operation.path == "/v1/enroll" { machine() } else { json!({}) })
}

fn admins(audit: &[muster_wire::audit::AuditEntry]) -> usize {
    audit.iter().filter(|entry| entry.action == "person.created" && entry.details["role"] == "admin").count()
}

/// Sends a path exactly as it is spelled.
async fn spelled(server: &Server, method: &str, path: &str, body: &Value) -> bytewise::Answer {
    let body = body.to_string();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        server.operators,
        body.len()
    );
    let answer = bytewise::ask(server.operators, request.as_bytes(), Duration::from_secs(5)).await.unwrap();
    answer.unwrap_or_else(|| panic!("no answer to {method} {path}"))
}

both! {
    async fn b01_two_first_setups_at_once_make_one_admin(backend: Backend) {
        let server = Server::start(backend).await;
        let setup = json!({ "code": server.setup_code(), "admin_name": "first" });
        let wrong = json!({ "code": "AAAA-AAAA-AAAA-AAAA", "admin_name": "first" });
        let refused = server.ask(Method::POST, "/v1/setup", None, Some(&wrong)).await;
        refused.assert_is_problem("a wrong setup code");
        assert_eq!((refused.status, refused.code()), (403, "wrong_setup_code"));
        let once = || server.ask(Method::POST, "/v1/setup", None, Some(&setup));
        let replies = futures_util::future::join_all((0..8).map(|_| once())).await;
        let made: Vec<&Reply> = replies.iter().filter(|reply| reply.status == 201).collect();
        assert_eq!(made.len(), 1, "{:?}", replies.iter().map(|reply| reply.status).collect::<Vec<_>>());
        for reply in replies.iter().filter(|reply| reply.status != 201) {
            reply.assert_is_problem("a second first setup");
            assert!(matches!(reply.status, 403 | 410), "{}", reply.text);
        }
        let token = made[0].json["token"].as_str().unwrap();
        let trail = until("the audit trail is not sealed", Duration::from_secs(5), async || {
            let reply = server.ask(Method::GET, "/v1/audit?limit=200", Some(token), None).await;
            let items: Vec<muster_wire::audit::AuditEntry> = serde_json::from_value(reply.json["items"].clone()).unwrap();
            (admins(&items) > 0).then_some(items)
        })
        .await;
        assert_eq!(admins(&trail), 1);
        assert!(!server.data.join("setup-code").exists(), "the used code is still on disk");
    }

    async fn b01_a_finished_setup_has_no_way_back_in(backend: Backend) {
        let server = Server::start(backend).await;
        let code = server.setup_code();
        let mut installation = Installation::over(server).await;
        let setup = json!({ "code": code, "admin_name": "intruder" });
        for round in 0..2 {
            let server = &installation.server;
            for path in SPELLINGS.into_iter().chain(["/v1/setup"]) {
                for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "SETUP"] {
                    let answer = spelled(server, method, path, &setup).await;
                    let is_open = method == "GET" && path == "/v1/setup";
                    assert_eq!((200..300).contains(&answer.status), is_open, "{method} {path}: {}", answer.status);
                    assert!(answer.status < 500, "{method} {path}: {}", answer.status);
                }
            }
            let status = server.ask(Method::GET, "/v1/setup", None, None).await;
            assert_eq!(status.json, json!({ "configured": true }));
            let again = server.ask(Method::POST, "/v1/setup", None, Some(&setup)).await;
            assert_eq!((again.status, again.code()), (410, "already_configured"), "{}", again.text);
            let trail = until("the audit trail is not sealed", Duration::from_secs(5), async || {
                let trail = installation.audit().await;
                (admins(&trail) > 0).then_some(trail)
            })
            .await;
            assert_eq!(admins(&trail), 1, "round {round}");
            installation.server.stop().await;
            installation.server.launch().await;
        }
    }

    async fn b25_every_operation_asks_for_a_credential(backend: Backend) {
        let installation = Installation::start(backend).await;
        let server = &installation.server;
        let mut open = BTreeSet::new();
        let mut kinds = BearerKind::ALL.into_iter().cycle();
        for operation in operations(server).await {
            let (path, body) = (filled(&operation.path), body(&operation));
            if !operation.needs_credential {
                open.insert((operation.method.clone(), operation.path.clone()));
                continue;
            }
            let without = server.ask(method(&operation), &path, None, body.as_ref()).await;
            without.assert_is_problem(&format!("{operation:?} without a credential"));
            assert_eq!(without.status, 401, "{operation:?}: {}", without.text);
            assert!(without.header("www-authenticate").is_some(), "{operation:?}: no challenge");
            // One kind a route: more would be more failures than one address may have.
            let kind = kinds.next().unwrap();
            let stranger = server.ask(method(&operation), &path, Some(&bearer(kind)), body.as_ref()).await;
            assert_eq!(stranger.status, 401, "{operation:?} with a {kind:?} nobody made: {}", stranger.text);
        }
        let documented: BTreeSet<(String, String)> =
            OPEN.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(open, documented, "routes without a credential");
    }

    async fn b19_a_credential_opens_its_own_door_only(backend: Backend) {
        let installation = Installation::start(backend).await;
        let server = &installation.server;
        let token = installation.token().await;
        let invited = installation.invite("web-1").await;
        let tickets = [&token.token, &invited.registration.token, &installation.site_key.token];
        for operation in operations(server).await.iter().filter(|operation| operation.needs_credential) {
            if operation.path == "/v1/enroll" {
                continue;
            }
            let (path, body) = (filled(&operation.path), body(operation));
            for ticket in tickets {
                let reply = server.ask(method(operation), &path, Some(ticket), body.as_ref()).await;
                assert_eq!(reply.status, 401, "{operation:?} with a ticket: {}", reply.text);
            }
        }
        let machine = installation.machine("confused");
        for credential in [&installation.owner.token, &installation.admin.token] {
            let reply = machine.enrol(credential).await.unwrap();
            reply.assert_is_problem("an operator's token at the door");
            assert_eq!((reply.status, reply.code()), (401, "enrollment_rejected"), "{}", reply.text);
        }
        let host = machine.admitted(&token.token).await;
        for path in [format!("/v1/hosts/{host}/heartbeat"), format!("/v1/hosts/{host}/leave")] {
            let reply = server.ask(Method::POST, &path, Some(&installation.owner.token), Some(&json!({}))).await;
            assert_eq!(reply.status, 401, "{path} as an operator: {}", reply.text);
        }
    }

    async fn b17_another_teams_things_are_not_there(backend: Backend) {
        let installation = Installation::start(backend).await;
        let server = &installation.server;
        let machine = installation.machine("theirs");
        let host = machine.admitted(&installation.token().await.token).await;
        let twin = machine.twin("contester");
        assert_eq!(twin.enrol(&installation.site_key.token).await.unwrap().status, 202);
        let claim = installation.claims().await.remove(0);
        let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
        let put = installation.ask(Method::PUT, &format!("/v1/hosts/{host}/secrets/repo"), Some(&secret)).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let work = json!({ "work": { "kind": "backup", "paths": ["/x"] } });
        let job = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&work)).await;
        assert_eq!(job.status, 201, "{}", job.text);
        let theirs = BTreeMap::from([
            ("{team_id}", installation.owner.team.to_string()),
            ("{site_id}", installation.site.to_string()),
            ("{host_id}", host.to_string()),
            ("{claim_id}", claim.id.to_string()),
            ("{job_id}", job.json["id"].as_str().unwrap().to_owned()),
            ("{ticket_id}", installation.site_key.ticket.id.to_string()),
            ("{name}", "repo".to_owned()),
        ]);
        let stranger = installation.another_team("strangers").await;
        let before = picture(&installation, &theirs).await;
        for (path, body) in [
            ("/v1/site-keys", json!({ "site_id": installation.site })),
            ("/v1/enrolment-tokens", json!({ "site_id": installation.site })),
            ("/v1/hosts", json!({ "name": "x", "site_id": installation.site })),
        ] {
            let mut absent = body.clone();
            absent["site_id"] = json!(absent_site());
            let foreign = server.ask(Method::POST, path, Some(&stranger.token), Some(&body)).await;
            let absent = server.ask(Method::POST, path, Some(&stranger.token), Some(&absent)).await;
            foreign.assert_is_problem(path);
            assert_eq!(foreign.without_request_id(), absent.without_request_id(), "{path} tells them apart");
        }
        for path in ["/v1/hosts", "/v1/sites", "/v1/claims", "/v1/tickets", "/v1/jobs", "/v1/audit", "/v1/teams"] {
            let listed = server.ask(Method::GET, &format!("{path}?limit=200"), Some(&stranger.token), None).await;
            assert_eq!(listed.status, 200, "{}", listed.text);
            for id in theirs.values().filter(|id| id.as_str() != "repo") {
                assert!(!listed.text.contains(id.as_str()), "{path} shows {id}");
            }
            let acting = acting_in(server, &stranger.token, &installation.owner.team.to_string(), path).await;
            assert_eq!(acting.status, 404, "{path} in another team: {}", acting.json());
        }
        for filter in [format!("site_id={}", installation.site), "q=theirs".to_owned()] {
            let listed = server.ask(Method::GET, &format!("/v1/hosts?{filter}"), Some(&stranger.token), None).await;
            assert_eq!(listed.json["items"], json!([]), "{filter}");
        }
        assert_eq!(picture(&installation, &theirs).await, before, "the stranger changed something");
    }
}

/// Everything the owner sees of the things a stranger tried to reach.
async fn picture(installation: &Installation, ids: &BTreeMap<&'static str, String>) -> String {
    let host: HostId = ids["{host_id}"].parse().unwrap();
    let mut text = installation.host_bytes(host).await;
    for path in [
        "/v1/sites/{site_id}",
        "/v1/claims/{claim_id}",
        "/v1/jobs/{job_id}",
        "/v1/tickets/{ticket_id}",
        "/v1/hosts/{host_id}/secrets",
        "/v1/hosts/{host_id}/retirement",
        "/v1/tickets/{ticket_id}/refusals",
    ] {
        let path = ids.iter().fold(path.to_owned(), |path, (hole, id)| path.replace(hole, id));
        text.push_str(&installation.ask(Method::GET, &path, None).await.text);
    }
    text
}

async fn acting_in(server: &Server, token: &str, team: &str, path: &str) -> bytewise::Answer {
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\nmuster-team: {team}\r\n\
         connection: close\r\n\r\n",
        server.operators
    );
    let answer = bytewise::ask(server.operators, request.as_bytes(), Duration::from_secs(5)).await.unwrap();
    answer.expect("an answer")
}
