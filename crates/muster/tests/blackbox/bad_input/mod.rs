//! Bad input at every public route (SECURITY D): the documented refusal, no echo, never a 5xx, and the same on both
//! databases.
//!
//! Each request is sent to a server on SQLite and to one on PostgreSQL. To add a class, add cases to the file it
//! belongs to; to add a route with a body, add it to `bodies::routes`.

mod bodies;
mod conditional;
mod frames;
mod framing;
mod ids;
mod tokens;
mod upgrade;

use std::time::Duration;

use muster_edge::Entropy;
use muster_ids::{AgentKeyId, Bearer, BearerKind, HostId};
use muster_testkit::http::{self as bytewise, Answer};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Backend, Installation};

/// Stands in hostile input; no answer may repeat it.
const CANARY: &str = "zq7canary";
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What an answer must be.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// One of these refusals.
    Refused(&'static [u16]),
    /// A refusal of these statuses, or an answer that both servers give alike.
    Alike,
}

/// One of the two servers, with everything a request may need to name.
struct Target {
    installation: Installation,
    host: HostId,
    /// The agent key of `host`.
    agent_key: String,
    ticket: String,
    claim: String,
    job: String,
}

/// Both servers.
struct Pair {
    sqlite: Target,
    postgres: Target,
}

/// What two servers must have in common.
#[derive(Debug, Clone, PartialEq)]
struct Verdict {
    status: u16,
    code: String,
    fields: Vec<String>,
}

impl Target {
    async fn start(backend: Backend) -> Self {
        let installation = Installation::start(backend).await;
        let secret: [u8; 32] = Entropy.bytes();
        let owner = installation.machine("m");
        let mut report = owner.report();
        report["agent_secret"] = json!(data_encoding::BASE64URL_NOPAD.encode(&secret));
        let token = installation.token().await;
        let enrolled = installation
            .server
            .ask(::http::Method::POST, "/v1/enroll", Some(&token.token), Some(&report))
            .await;
        assert_eq!(enrolled.status, 201, "{}", enrolled.text);
        let host: HostId = enrolled.json["host_id"].as_str().unwrap().parse().unwrap();
        let key_id: AgentKeyId = enrolled.json["agent_key_id"].as_str().unwrap().parse().unwrap();
        let agent_key = Bearer::new(BearerKind::AgentKey, key_id.public_id(), secret);
        let agent_key = agent_key.expose().expose_secret().to_owned();
        assert_eq!(owner.twin("twin").enrol(&installation.site_key.token).await.unwrap().status, 202);
        let claim = installation.claims().await[0].id.to_string();
        let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
        let put = installation
            .ask(::http::Method::PUT, &format!("/v1/hosts/{host}/secrets/repo"), Some(&secret))
            .await;
        assert_eq!(put.status, 200, "{}", put.text);
        let work = json!({ "work": { "kind": "backup", "paths": ["/x"] } });
        let job =
            installation.ask(::http::Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&work)).await;
        assert_eq!(job.status, 201, "{}", job.text);
        let job = job.json["id"].as_str().unwrap().to_owned();
        let ticket = token.ticket.id.to_string();
        Self { installation, host, agent_key, ticket, claim, job }
    }

    /// Puts this server's ids and credentials where a request names them.
    fn fill(&self, text: &str) -> String {
        text.replace("{host}", &self.host.to_string())
            .replace("{site}", &self.installation.site.to_string())
            .replace("{team}", &self.installation.owner.team.to_string())
            .replace("{ticket}", &self.ticket)
            .replace("{claim}", &self.claim)
            .replace("{job}", &self.job)
            .replace("{owner_token}", &self.installation.owner.token)
            .replace("{admin_token}", &self.installation.admin.token)
            .replace("{agent_key}", &self.agent_key)
            .replace("{site_key}", &self.installation.site_key.token)
            .replace("{authority}", &self.installation.server.operators.to_string())
    }

    async fn send(&self, head: &str, body: &[u8]) -> Option<Answer> {
        let mut request = self.fill(head).into_bytes();
        request.extend_from_slice(body);
        let sent = bytewise::ask(self.installation.server.operators, &request, ANSWER_WITHIN).await;
        sent.unwrap_or_else(|error| panic!("{error} after {head:?}"))
    }
}

impl Pair {
    async fn start() -> Self {
        let (sqlite, postgres) =
            tokio::join!(Target::start(Backend::Sqlite), Target::start(Backend::Postgres));
        Self { sqlite, postgres }
    }

    /// Sends a request to both; `head` ends with its blank line.
    async fn check(&self, what: &str, head: &str, body: &[u8], expect: Expect) -> Verdict {
        let (one, other) = tokio::join!(self.sqlite.send(head, body), self.postgres.send(head, body));
        let one = judge(what, one, expect);
        let other = judge(what, other, expect);
        assert_eq!(one, other, "{what}: SQLite and PostgreSQL differ");
        one
    }

    /// Sends a body with its length and media type to a route as somebody.
    async fn check_body(&self, what: &str, route: &Route, body: &[u8], expect: Expect) -> Verdict {
        self.check(
            what,
            &route.head(&format!("content-type: application/json\r\n{}", length(body))),
            body,
            expect,
        )
        .await
    }

    /// Both servers live, answer, and admit a machine.
    async fn assert_alive(&self) {
        for target in [&self.sqlite, &self.postgres] {
            let answer = target
                .send("GET /readyz HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n", b"")
                .await;
            assert_eq!(answer.map(|answer| answer.status), Some(200));
            let machine = target.installation.machine("real");
            let reply = machine.enrol(&target.installation.site_key.token).await.unwrap();
            assert_eq!(reply.status, 201, "{}", reply.text);
            let said = target.installation.server.said();
            assert!(!said.contains("panicked"), "{said}");
        }
    }
}

/// A route that takes a body.
#[derive(Debug, Clone)]
struct Route {
    method: &'static str,
    path: &'static str,
    /// The credential that reaches its handler.
    credential: Option<&'static str>,
    /// A body that holds.
    body: Value,
    /// Most bytes it reads.
    limit: usize,
}

impl Route {
    /// The head of a request with these header lines.
    fn head(&self, lines: &str) -> String {
        let credential =
            self.credential.map(|name| format!("authorization: Bearer {name}\r\n")).unwrap_or_default();
        let Self { method, path, .. } = self;
        format!(
            "{method} {path} HTTP/1.1\r\nhost: {{authority}}\r\nconnection: close\r\n{credential}{lines}\r\n"
        )
    }
}

fn length(body: &[u8]) -> String {
    format!("content-length: {}\r\n", body.len())
}

fn judge(what: &str, answer: Option<Answer>, expect: Expect) -> Verdict {
    let answer = answer.unwrap_or_else(|| panic!("{what}: closed without an answer"));
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(answer.status < 500, "{what}: {} {text}", answer.status);
    if let Expect::Refused(statuses) = expect {
        assert!(statuses.contains(&answer.status), "{what}: {} {text}", answer.status);
    }
    let json = answer.json();
    if answer.status >= 400 {
        let media = answer.header("content-type").unwrap_or_default();
        assert!(media.starts_with("application/problem+json"), "{what}: {media:?} {text}");
        assert_eq!(json["status"], answer.status, "{what}: {text}");
        assert!(
            json["code"].is_string() && json["type"].is_string() && json["instance"].is_string(),
            "{what}: {text}"
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}");
        assert!(!text.contains(CANARY), "{what}: the answer repeats the input: {text}");
        for word in ["serde", "SQL", "sqlite", "postgres", "panicked", " at line ", "crates/"] {
            assert!(!text.contains(word), "{what}: the answer tells of {word}: {text}");
        }
    }
    let errors = json["errors"].as_array().cloned().unwrap_or_default();
    let field = |error: &Value| {
        let word = |name: &str| error[name].as_str().unwrap_or("?").to_owned();
        format!("{} {}", word("pointer"), word("code"))
    };
    Verdict {
        status: answer.status,
        code: json["code"].as_str().unwrap_or_default().to_owned(),
        fields: errors.iter().map(field).collect(),
    }
}
