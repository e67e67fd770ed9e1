//! Support bundles are given to strangers: every secret of the machine, or of the server, is put where it belongs, and
//! none is found in what is given away (SECURITY B22).

use std::fs;
use std::path::Path;
use std::time::Duration;

use muster_testkit::binaries::{self, Ended};
use muster_testkit::canary::{self, Canary, mode};
use muster_testkit::ports;
use muster_wire::JoinString;
use muster_wire::invitation::MintedInvitation;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Agent, Backend, Installation, Server, both};

const PASSWORD: &str = "canary-repository-5f3a9b1c";
const PROXY: &str = "canary-proxy-77d1e0a2";
const COMMENT: &str = "canary-comment-0b44c9d8";
const RECEIVER: &str = "canary-receiver-93ab12f0";
const SEALED: &str = "canary-sealed-secret-e7c1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b22_no_secret_of_a_machine_is_in_its_bundle() {
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder().to_owned();
    let secret = json!({ "repo": { "url": "/srv/repository", "password": PASSWORD } });
    let token = installation.token_with(json!({ "secrets": secret })).await;
    let mut agent = Agent::new(&folder, "host", "support-host");
    let host = agent.joined(&token.join_string).await;
    agent.run();
    agent.until_at_work().await;
    assert!(fs::read_to_string(agent.state.join("config.json")).unwrap().contains(PASSWORD));
    fs::write(agent.home.join("policy.toml"), format!("# {COMMENT}\n[jobs]\nallow = [\"backup\"]\n"))
        .unwrap();
    agent.environment.push(("HTTPS_PROXY", format!("http://robot:{PROXY}@127.0.0.1:1")));
    agent.environment.push(("RESTIC_PASSWORD", PASSWORD.to_owned()));
    let state = |file: &str| fs::read(agent.state.join(file)).unwrap_or_default();
    let held = |file: &str, field: &str| -> String {
        let document: Value = serde_json::from_slice(&state(file)).unwrap();
        document[field].as_str().unwrap_or_else(|| panic!("no {field} in {document}")).to_owned()
    };
    let key = agent.key_bytes().unwrap();
    let canaries = [
        Canary::new("the ticket", &token.token),
        Canary::new("the ticket's secret", &token.token[17..60]),
        Canary::of_bytes("the host key", &key[36..68]),
        Canary::of_bytes("the whole key file", &key),
        Canary::new("the generation", &held("generation.json", "generation")),
        // Who has it may try out which password it is of.
        Canary::new("the digest of the configuration", &held("config.json", "digest")),
        Canary::new("the repository's password", PASSWORD),
        Canary::new("the proxy's password", PROXY),
        Canary::new("a comment of the policy", COMMENT),
    ];
    let kept = sings(&canaries, &agent.state);
    assert!(kept.len() >= 4, "the control finds only {kept:?}");
    let policy = agent.home.join("policy.toml");
    let bundle = folder.join("bundle.json");
    let arguments = ["--policy", policy.to_str().unwrap(), "support", bundle.to_str().unwrap()];
    let ended = agent.carry_out(&arguments, None).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    let text = fs::read_to_string(&bundle).unwrap();
    assert_eq!(canary::sightings(&canaries, "the bundle", text.as_bytes()), Vec::<String>::new());
    assert_eq!(canary::sightings(&canaries, "what it said", ended.said().as_bytes()), Vec::<String>::new());
    assert_eq!(mode(&bundle), Some(0o600));
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(told["status"]["host_id"], json!(host), "{told:#}");
    assert_eq!(told["status"]["secrets"][0]["name"], "repo");
    assert_eq!(told["policy"]["allowed"], json!(["backup"]));
    assert!(told["config"]["n"].as_u64().is_some(), "{told:#}");
    let named: Vec<&str> =
        told["state_files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap()).collect();
    assert!(named.contains(&"key.pk8") && named.contains(&"config.json"), "{named:?}");
    assert!(told["doctor"]["checks"].as_array().unwrap().len() > 5);
    let again = agent.carry_out(&arguments, None).await;
    assert_eq!(again.code, 1, "an existing file was replaced: {}", again.said());
    assert!(agent.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b22_the_ticket_of_a_machine_that_joins_is_not_in_its_bundle() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let mut join: JoinString = token.join_string.parse().unwrap();
    join.urls = vec![format!("https://{}", ports::free()).parse().unwrap()];
    let agent = Agent::new(installation.server.folder(), "early", "support-early");
    assert_eq!(agent.join(join.expose().expose_secret()).await.code, 3);
    let canaries = [
        Canary::new("the ticket", &token.token),
        Canary::new("the ticket's secret", &token.token[17..60]),
        Canary::of_bytes("the host key", &agent.key_bytes().unwrap()[36..68]),
    ];
    assert!(sings(&canaries, &agent.state).len() >= 2);
    let ended = agent.carry_out(&["support", "-"], None).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    assert_eq!(canary::sightings(&canaries, "the bundle", ended.said().as_bytes()), Vec::<String>::new());
    assert!(ended.out.contains(&token.ticket.id.to_string()), "{}", ended.out);
}

fn sings(canaries: &[Canary], folder: &Path) -> Vec<String> {
    canary::sightings_below(canaries, folder, |_| false)
}

/// `muster support -` on the server machine.
async fn bundle(server: &Server) -> Ended {
    let mut command = binaries::command(Path::new(env!("CARGO_BIN_EXE_muster")));
    command.args(["support", "-", "--data-dir"]).arg(&server.data);
    command.args(["--operators", &server.operators.to_string(), "--machines", &server.machines.to_string()]);
    if let Some(database) = &server.database {
        command.env("MUSTER_DATABASE", database.url());
    }
    binaries::run(command, None, Duration::from_secs(60)).await.unwrap()
}

/// Fills the database with everything that is secret, or somebody's name.
async fn filled(installation: &Installation) -> Vec<Canary> {
    let api = &installation.owner.api;
    let secret = json!({ "repo": { "url": "/srv/x", "password": SEALED } });
    let token = installation.token_with(json!({ "host_name": "canary-host-name", "secrets": secret })).await;
    let machine = installation.machine("canary-hostname");
    let host = machine.admitted(&token.token).await;
    let url = format!("http://127.0.0.1:9/{RECEIVER}");
    let hook = json!({ "name": "hook", "target": { "webhook": { "url": url } } });
    let hook = installation.ask(http::Method::POST, "/v1/endpoints", Some(&hook)).await;
    assert_eq!(hook.status, 201, "{}", hook.text);
    let invited: MintedInvitation = api
        .post("/v1/invitations", &json!({ "name": "canary-person-name", "role": "viewer" }))
        .await
        .unwrap();
    let mut canaries = vec![
        Canary::new("the admin's token", &installation.admin.token),
        Canary::new("the owner's token", &installation.owner.token),
        Canary::new("the site key", &installation.site_key.token),
        Canary::new("a one-time token", &token.token),
        Canary::new("a secret", SEALED),
        Canary::new("a receiver's address", RECEIVER),
        Canary::new("a host's name", "canary-host-name"),
        Canary::new("a machine's name", "canary-hostname"),
        Canary::new("a person's name", "canary-person-name"),
        Canary::new("a host", &host.to_string()),
        Canary::new("an invitation", &invited.token),
    ];
    for file in ["master.key", "tls/tls.key"] {
        let content = fs::read(installation.server.data.join(file)).unwrap();
        let lines =
            content.split(|byte| *byte == b'\n').filter(|line| line.len() > 30 && !line.starts_with(b"-"));
        canaries.extend(lines.map(|line| Canary::of_bytes(file, line)));
    }
    canaries
}

both! {
    async fn b22_no_secret_of_the_server_is_in_its_bundle(backend: Backend) {
        let mut server = Server::prepare(backend);
        server.add_arguments(&["--allow-outbound", "127.0.0.1/32"]);
        server.launch().await;
        let mut installation = Installation::over(server).await;
        let canaries = filled(&installation).await;
        assert!(canaries.len() > 12);
        let running = bundle(&installation.server).await;
        assert_eq!(running.code, 0, "{}", running.said());
        let told: Value = serde_json::from_str(&running.out).unwrap();
        assert_eq!(told["listeners"]["healthz"]["status"], 200, "{told:#}");
        assert_eq!(told["listeners"]["readyz"]["status"], 200);
        assert_eq!(told["listeners"]["machines_pin"], json!(installation.pins[0]));
        let metrics = told["listeners"]["metrics"]["body"].as_str().unwrap();
        assert!(metrics.contains("muster_reconciled_at_seconds{"), "{metrics}");
        assert_eq!(installation.server.stop().await, 0);
        let stopped = bundle(&installation.server).await;
        assert_eq!(stopped.code, 0, "{}", stopped.said());
        for ended in [&running, &stopped] {
            let told: Value = serde_json::from_str(&ended.out).unwrap();
            let database = &told["database"];
            assert_eq!(database["schema"], database["known_schema"], "{told:#}");
            assert_eq!(database["rows"]["host"], 1, "{told:#}");
            assert!(database["rows"]["audit"].as_u64().is_some_and(|rows| rows > 3), "{told:#}");
            assert!(database["settings"]["audit_keep_days"].is_u64(), "{told:#}");
            let files = told["data_folder"].to_string();
            assert!(files.contains("master.key") && files.contains("tls/tls.key"), "{files}");
            assert_eq!(canary::sightings(&canaries, "the bundle", ended.said().as_bytes()), Vec::<String>::new());
            if let Some(database) = &installation.server.database {
                assert!(!ended.said().contains(database.url()), "the database's address");
            }
        }
        let told: Value = serde_json::from_str(&stopped.out).unwrap();
        assert!(told["listeners"]["healthz"]["error"].is_string(), "{told:#}");
        installation.server.launch().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_be_read_still_gets_a_bundle_and_nothing_is_made() {
    let server = Server::prepare(Backend::Sqlite);
    let ended = bundle(&server).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert!(told["database"]["error"].is_string(), "{told:#}");
    assert!(!server.data.exists(), "a data folder was made");
}
