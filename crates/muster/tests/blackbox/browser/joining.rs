//! How machines get in: the first host of an installation, a claim, a site key that is rotated.

use std::time::Duration;

use muster_wire::claim::ClaimState;
use serde_json::json;

use super::Scene;
use super::scene::{LOGIN, PASSWORD, play};
use crate::harness::{Agent, Backend, Server, until};

const WITHIN: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_the_setup_code_to_the_first_host_online() {
    let server = Server::start(Backend::Sqlite).await;
    let settings = json!({ "code": server.setup_code(), "login": LOGIN, "password": PASSWORD });
    let mut flow = play(&server, "first_run", &settings);
    let wanted = flow.wants("somebody types the line").await;
    let mut agent = Agent::new(server.folder(), "first", "first-run");
    agent.types(wanted["line"].as_str().unwrap());
    flow.gets(&json!({})).await;
    flow.ends().await;
    assert!(agent.is_running(), "{}", agent.said());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_is_decided_with_the_keyboard_alone() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let folder = installation.server.folder().to_owned();
    let key = &installation.site_key.join_string;
    let mut first = Agent::new(&folder, "press-1", "same-hardware");
    let host = first.joined(key).await;
    first.run();
    installation.until_presence(host, "online", WITHIN).await;
    let mut second = Agent::new(&folder, "press-1-again", "same-hardware");
    let waiting = second.join(key).await;
    assert!(waiting.code != 0 && waiting.err.contains("waiting for a person"), "{}", waiting.said());
    let flow = scene.play("claim", json!({ "host": "press-1", "machine": "press-1-again" }));
    flow.ends().await;
    let claims = installation.claims().await;
    assert_eq!((claims.len(), claims[0].state), (1, ClaimState::New), "{claims:?}");
    let host = second.joined(key).await;
    second.run();
    installation.until_presence(host, "online", WITHIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_key_is_rotated_and_both_admit_for_a_while() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let folder = installation.server.folder().to_owned();
    let former = &installation.site_key.join_string;
    let host = Agent::new(&folder, "before", "uid-before").joined(former).await;
    let used = host.to_string();
    until("the use of the key is not told", WITHIN, async || {
        let ticket = format!("/v1/tickets/{}", installation.site_key.ticket.id);
        let ticket = installation.ask(http::Method::GET, &ticket, None).await.json;
        (ticket["last_host_id"] == used).then_some(())
    })
    .await;
    let mut flow = scene.play("site_key", json!({ "site": "floor", "host": "before" }));
    let rotated = flow.wants("machines join with both").await;
    let line = rotated["line"].as_str().unwrap();
    let fresh = line.split('\'').find(|word| word.starts_with("muster1.")).unwrap_or(line);
    Agent::new(&folder, "overlap", "uid-overlap").joined(former).await;
    Agent::new(&folder, "after", "uid-after").joined(fresh).await;
    flow.gets(&json!({})).await;
    flow.ends().await;
}
