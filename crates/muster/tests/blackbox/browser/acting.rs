//! What people do to hosts, and who sees it.

use std::fs;
use std::time::Duration;

use http::Method;
use serde_json::json;

use super::Scene;
use crate::harness::Agent;

const WITHIN: Duration = Duration::from_secs(30);
/// A few files of this size give restic something to tell about.
const FILE_BYTES: usize = 256 * 1024;
/// The name of a folder is text, too.
const HOSTILE_FOLDER: &str = "<img src=x onerror=\"window.ran=1\">";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_is_started_and_its_log_is_followed_to_the_end() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let folder = installation.server.folder().to_owned();
    let repository = folder.join("repository");
    let source = folder.join(HOSTILE_FOLDER);
    fs::create_dir_all(&source).unwrap();
    for number in 0..8_u8 {
        fs::write(source.join(format!("file-{number}")), vec![number; FILE_BYTES]).unwrap();
    }
    let secret = json!({ "url": repository, "password": "opens-it" });
    let token = installation.token_with(json!({ "host_name": "vault", "secrets": { "repo": secret } })).await;
    let mut agent = Agent::new(&folder, "vault", "uid-vault");
    let host = agent.joined(&token.join_string).await;
    agent.run();
    agent.until_at_work().await;
    installation.until_presence(host, "online", WITHIN).await;
    let settings = json!({ "host": host, "name": "vault", "path": source });
    scene.play("backup", settings).ends().await;
    let jobs = installation.ask(Method::GET, "/v1/jobs", None).await.json;
    assert_eq!(
        (jobs["items"].as_array().unwrap().len(), &jobs["items"][0]["state"]),
        (1, &json!("succeeded")),
        "{jobs}"
    );
    assert!(repository.join("config").exists(), "restic made no repository");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_whose_key_is_revoked_is_seen_refused() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let mut agent = Agent::new(installation.server.folder(), "stolen", "uid-stolen");
    let host = agent.joined(&installation.site_key.join_string).await;
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
    let mut flow = scene.play("revoke", json!({ "host": host, "name": "stolen" }));
    flow.wants("the agent gives up").await;
    let code = agent.ended(WITHIN).await;
    assert_eq!(code, 5, "{}", agent.said());
    flow.gets(&json!({})).await;
    flow.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_browsers_see_the_same_change() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let mut agent = Agent::new(installation.server.folder(), "shared", "uid-shared");
    let host = agent.joined(&installation.site_key.join_string).await;
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
    scene.play("two_browsers", json!({ "host": host, "name": "shared" })).ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_ends_leads_to_the_sign_in_and_back() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let machine = installation.machine("somewhere");
    machine.admitted(&installation.site_key.token).await;
    let mut flow = scene.play("session", json!({ "name": "somewhere" }));
    flow.wants("the session ends").await;
    scene.post("/v1/me/sessions/end-others", &json!({})).await;
    flow.gets(&json!({})).await;
    flow.ends().await;
}
