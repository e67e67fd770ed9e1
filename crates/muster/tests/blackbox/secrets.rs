//! Secrets that sing: through every flow, and found nowhere but in the agent's own state (SECURITY B22).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use data_encoding::HEXLOWER;
use http::Method;
use muster_edge::Entropy;
use muster_ids::{Bearer, HostId};
use muster_testkit::binaries;
use muster_testkit::canary::{Canary, files_below, mode, sightings, sightings_below};
use muster_testkit::repository::RepositoryServer;
use muster_testkit::tables;
use serde_json::{Value, json};

use crate::harness::{Agent, Backend, Installation, both, until};

const JOB_WITHIN: Duration = Duration::from_secs(60);

fn fresh(name: &str) -> String {
    format!("canary-{name}-{}", HEXLOWER.encode(&Entropy.bytes::<12>()))
}

/// The secret half of a bearer string.
fn secret_of(bearer: &str) -> Canary {
    let parsed = Bearer::parse(bearer).unwrap();
    Canary::of_bytes(&format!("the bearer string {parsed:?}"), parsed.secret())
}

/// The private scalar in a PKCS#8 document.
fn scalar_of(pkcs8: &[u8]) -> Canary {
    const BEFORE: [u8; 5] = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = pkcs8.windows(BEFORE.len()).position(|bytes| bytes == BEFORE).expect("a private key");
    let start = at + BEFORE.len();
    Canary::of_bytes("the host key", &pkcs8[start..start + 32])
}

/// Puts a restic before the real one that first writes down its own command line and environment.
fn telltale_restic(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let restic = bin.join("restic");
    let real = binaries::installed("restic");
    let script = format!(
        "#!/bin/sh\n/bin/cat /proc/$$/cmdline /proc/$$/environ >> '{}'\nexec '{}' \"$@\"\n",
        folder.join("restic-was-told").display(),
        real.display()
    );
    fs::write(&restic, script).unwrap();
    fs::set_permissions(&restic, fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

/// Everything that any process of the same user could read of these processes.
fn told(pids: &[u32]) -> Vec<u8> {
    let files = pids.iter().flat_map(|pid| ["cmdline", "environ"].map(|file| format!("/proc/{pid}/{file}")));
    files.flat_map(|file| fs::read(file).unwrap_or_default()).collect()
}

async fn backup(installation: &Installation, host: HostId, source: &Path) -> Value {
    let body = json!({ "work": { "kind": "backup", "paths": [source] } });
    let job = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&body)).await;
    assert_eq!(job.status, 201, "{}", job.text);
    let path = format!("/v1/jobs/{}", job.json["id"].as_str().unwrap());
    until("the job does not end", JOB_WITHIN, async || {
        let job = installation.ask(Method::GET, &path, None).await.json;
        let state = job["state"].as_str().unwrap().to_owned();
        ["succeeded", "failed", "cancelled", "lost"].contains(&state.as_str()).then_some(job)
    })
    .await
}

async fn put(installation: &Installation, host: HostId, name: &str, patch: &Value) -> String {
    let path = format!("/v1/hosts/{host}/secrets/{name}");
    installation.ask(Method::PUT, &path, Some(patch)).await.text
}

/// Every list an operator can read, as owner and as admin.
async fn lists(installation: &Installation, host: HostId) -> String {
    let mut text = String::new();
    let own = [
        format!("/v1/hosts/{host}"),
        format!("/v1/hosts/{host}/secrets"),
        format!("/v1/hosts/{host}/retirement"),
    ];
    let all = [
        "/v1/teams",
        "/v1/sites",
        "/v1/tickets",
        "/v1/hosts",
        "/v1/claims",
        "/v1/jobs",
        "/v1/audit",
        "/v1/me",
        "/metrics",
    ];
    for token in [&installation.owner.token, &installation.admin.token] {
        for path in all.iter().map(|path| (*path).to_owned()).chain(own.iter().cloned()) {
            text.push_str(&installation.server.ask(Method::GET, &path, Some(token), None).await.text);
        }
    }
    for job in installation.ask(Method::GET, "/v1/jobs", None).await.json["items"].as_array().unwrap() {
        let path = format!("/v1/jobs/{}/log", job["id"].as_str().unwrap());
        text.push_str(&installation.ask(Method::GET, &path, None).await.text);
    }
    text
}

/// Requests that fail with secrets in them; returns what was answered.
async fn failures(installation: &Installation, host: HostId, secret: &str) -> String {
    let mut text = String::new();
    for patch in [
        json!({ secret: "x" }),
        json!({ "url": secret, "password": secret }),
        json!({ "url": format!("rest:http://user:{secret}@127.0.0.1:9/"), "password": secret }),
        json!({ "password": format!("{secret}\n") }),
        json!({ "password": [secret] }),
        json!({ "password": secret.repeat(200) }),
    ] {
        let refused =
            installation.ask(Method::PUT, &format!("/v1/hosts/{host}/secrets/repo"), Some(&patch)).await;
        refused.assert_is_problem(&format!(
            "a bad repository secret of fields {:?}",
            patch.as_object().unwrap().len()
        ));
        text.push_str(&refused.text);
        let body = json!({ "site_id": installation.site, "secrets": { "repo": patch } });
        let refused = installation.ask(Method::POST, "/v1/enrolment-tokens", Some(&body)).await;
        refused.assert_is_problem("a token with a bad repository secret");
        text.push_str(&refused.text);
    }
    let refused = installation
        .server
        .ask(Method::GET, &format!("/v1/hosts?q={secret}&x={secret}"), Some(&installation.owner.token), None)
        .await;
    text.push_str(&refused.text);
    let setup = json!({ "code": secret, "admin_name": "x" });
    text.push_str(&installation.server.ask(Method::POST, "/v1/setup", None, Some(&setup)).await.text);
    text
}

both! {
    async fn b22_canaries_are_found_nowhere_but_in_the_agents_state(backend: Backend) {
        let installation = Installation::start(backend).await;
        let folder = installation.server.folder().to_owned();
        let (http_password, password, note) = (fresh("http"), fresh("repo"), fresh("note"));
        let (wrong, late, failed) = (fresh("wrong"), fresh("late"), fresh("failed"));
        let repository = RepositoryServer::start(&folder.join("repository"), "host", &http_password).await.unwrap();
        let token = installation
            .token_with(json!({ "secrets": {
                "repo": { "url": repository.url(), "user": "host", "http_password": http_password, "password": password },
                "note": { "deep": [{ "value": note }] },
            } }))
            .await;
        let unspent = installation.token_with(json!({ "secrets": { "note": { "value": fresh("unspent") } } })).await;

        let mut agent = Agent::new(&folder, "singer", &format!("b22-{backend:?}"));
        agent.path = Some(binaries::path_with(&telltale_restic(&folder)));
        let mut answers = agent.join(&token.join_string).await.said();
        let host = agent.host_id();
        agent.run();
        installation.until_presence(host, "online", Duration::from_secs(10)).await;
        let source = folder.join("precious");
        fs::create_dir_all(&source).unwrap();
        fs::write(source.join("file"), Entropy.bytes::<32>().repeat(64 * 1024)).unwrap();

        let watched = AtomicBool::new(true);
        let agent_pid = agent.pid();
        let watching = async {
            let mut seen = BTreeSet::new();
            while watched.load(Ordering::SeqCst) {
                let pids: Vec<u32> = std::iter::once(agent_pid).chain(binaries::descendants(agent_pid)).collect();
                seen.insert(told(&pids));
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            seen.into_iter().flatten().collect::<Vec<u8>>()
        };
        let working = async {
            let done = backup(&installation, host, &source).await;
            assert_eq!(done["state"], "succeeded", "{done}");
            answers.push_str(&put(&installation, host, "note", &json!({ "late": late })).await);
            answers.push_str(&put(&installation, host, "repo", &json!({ "http_password": wrong })).await);
            let refused = backup(&installation, host, &source).await;
            assert_eq!(refused["state"], "failed", "{refused}");
            let reason = refused["failure"].as_str().unwrap_or_default();
            assert!(reason.contains("user name or password"), "{reason}");
            watched.store(false, Ordering::SeqCst);
        };
        let (mut seen, ()) = tokio::join!(watching, working);
        assert_eq!(repository.snapshots(&password).await.unwrap().len(), 1);
        seen.extend(told(&[installation.server.pid()]));
        let restic_was_told = fs::read(folder.join("restic-was-told")).unwrap();
        assert!(restic_was_told.windows(6).any(|bytes| bytes == b"backup"), "restic was watched");

        answers.push_str(&failures(&installation, host, &failed).await);
        answers.push_str(&lists(&installation, host).await);
        for arguments in [&["status"][..], &["status", "-o", "json"]] {
            let status = binaries::run(agent.command(arguments), None, Duration::from_secs(5)).await.unwrap();
            answers.push_str(&status.said());
        }

        let mut canaries: Vec<Canary> = [
            ("the repository server's password", &http_password), ("the repository's password", &password),
            ("the note", &note), ("the wrong password", &wrong), ("the late note", &late), ("a refused secret", &failed),
        ]
        .map(|(name, value)| Canary::new(name, value))
        .into();
        canaries.extend([&token.token, &unspent.token, &installation.site_key.token].map(|token| secret_of(token)));
        canaries.extend([&installation.owner.token, &installation.admin.token].map(|token| secret_of(token)));
        canaries.push(scalar_of(&agent.key_bytes().unwrap()));

        let config = fs::read(agent.state.join("config.json")).unwrap();
        assert!(canaries[1].is_in(&config), "the search is blind: the agent has the secret");
        let mut found = sightings(&canaries, "an answer or an output", answers.as_bytes());
        found.extend(sightings(&canaries, "a command line or environment", &seen));
        found.extend(sightings(&canaries, "restic's command line or environment", &restic_was_told));
        found.extend(sightings(&canaries, "the server's log", installation.server.said().as_bytes()));
        found.extend(sightings(&canaries, "the agent's log", agent.said().as_bytes()));
        found.extend(sightings_below(&canaries, &installation.server.data, |_| false));
        found.extend(sightings_below(&canaries, &folder.join("server-tmp"), |_| false));
        found.extend(sightings_below(&canaries, &agent.home, |_| false));
        found.extend(sightings_below(&canaries, &agent.state, |file| mode(file) == Some(0o600)));
        if let Some(database) = &installation.server.database {
            let rows = tables::all_rows(database.url()).await.unwrap();
            assert!(rows.contains(&host.to_string().replace("host_", "")) || rows.len() > 1000, "the dump is empty");
            found.extend(sightings(&canaries, "the database", rows.as_bytes()));
        }
        assert_eq!(found, Vec::<String>::new());
        assert_eq!(mode(&agent.state), Some(0o700));
        for file in files_below(&agent.state) {
            let is_cache = file.starts_with(agent.state.join("restic-cache"));
            assert!(is_cache || mode(&file) == Some(0o600), "{} is {:o}", file.display(), mode(&file).unwrap());
        }
        for file in ["master.key", "muster.db"] {
            let file = installation.server.data.join(file);
            assert!(!file.exists() || mode(&file) == Some(0o600), "{} is {:o}", file.display(), mode(&file).unwrap());
        }
        assert_eq!(mode(&installation.server.data), Some(0o700));
    }

    async fn b22_what_is_shown_once_is_shown_once(backend: Backend) {
        let installation = Installation::start(backend).await;
        let token = installation.token_with(json!({ "secrets": { "note": { "value": fresh("once") } } })).await;
        let shown = installation.ask(Method::GET, &format!("/v1/tickets/{}", token.ticket.id), None).await;
        assert_eq!(shown.json["secrets"], json!(["note"]), "{}", shown.text);
        let listed = installation.ask(Method::GET, "/v1/tickets", None).await;
        let canaries = [secret_of(&token.token), secret_of(&installation.site_key.token)];
        assert_eq!(sightings(&canaries, "a list", format!("{}{}", shown.text, listed.text).as_bytes()), Vec::<String>::new());
    }
}
