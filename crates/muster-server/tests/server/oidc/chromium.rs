//! A real browser: its cookies survive the redirect from the provider's site, and a link on a foreign page.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use muster_server::serve::{Options, Running, start};
use muster_testkit::oidc::{CLIENT_ID, CLIENT_SECRET, OidcProvider};
use muster_testkit::{binaries, http, ports};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// Chromium begins to speak within seconds, but not on a machine that has much else to do.
const LOADS_WITHIN: Duration = Duration::from_secs(90);

async fn ask(server: &Running, method: &str, path: &str, token: &str, body: &Value) -> Value {
    let (address, body) = (server.operators, body.to_string());
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {token}\r\nconnection: close\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    // The setup is for those who have no token yet.
    let request = if token.is_empty() { request.replace("authorization: Bearer \r\n", "") } else { request };
    let answer = http::ask(address, request.as_bytes(), Duration::from_secs(20)).await.unwrap().unwrap();
    assert!(answer.status < 300, "{method} {path}: {}", answer.json());
    answer.json()
}

/// Loads a page with all it leads to, and returns what is shown at the end.
async fn load(profile: &Path, url: &str) -> String {
    let mut command = Command::new(binaries::installed("chromium"));
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--no-proxy-server", "--ignore-certificate-errors", "--virtual-time-budget=20000"]);
    command.arg(format!("--user-data-dir={}", profile.display())).args(["--dump-dom", url]);
    binaries::run(command, None, LOADS_WITHIN).await.unwrap().succeeded()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_ends_signed_in_from_another_site() {
    let folder = tempfile::tempdir().unwrap();
    let (machines, operators) = (ports::free(), ports::free());
    let mut options = Options::new(folder.path().join("data"));
    (options.machines, options.operators) = (machines, operators);
    options.public_urls = vec![format!("https://{machines}").parse().unwrap()];
    options.allow_outbound = vec!["127.0.0.0/8".parse().unwrap()];
    let server = start(options).await.unwrap();
    let code = server.app.installation.setup_code().unwrap().expose_secret().to_owned();
    let setup = json!({ "code": code, "admin_name": "Ada" });
    let admin = ask(&server, "POST", "/v1/setup", "", &setup).await;
    let (token, team_id) = (admin["token"].as_str().unwrap(), admin["team_id"].as_str().unwrap());
    let accounts = json!({ "sub-eve": { "preferred_username": "eve-from-elsewhere", "groups": ["root"] } });
    let redirect_uri = format!("https://{machines}/v1/oidc/callback");
    let provider = OidcProvider::start(&[redirect_uri], &accounts, false).await.unwrap();
    let settings = json!({
        "issuer": provider.issuer(), "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "mappings": [{ "group": "root", "team_id": team_id, "role": "admin" }],
    });
    ask(&server, "PUT", "/v1/oidc/providers/corp", token, &settings).await;

    let profile = folder.path().join("profile");
    let deep_link = format!("https://{machines}/v1/me");
    let shown = load(&profile, &provider.page_to(&deep_link)).await;
    assert!(shown.contains("unauthorized"), "nobody is signed in yet: {shown}");
    let start = format!("https://{machines}/v1/oidc/corp/start?return_to=/v1/me");
    let shown = load(&profile, &provider.page_to(&start)).await;
    assert!(shown.contains("eve-from-elsewhere") && shown.contains("admin"), "{shown}");
    // The browser was closed meanwhile; the link is on a page of another site again.
    let shown = load(&profile, &provider.page_to(&deep_link)).await;
    assert!(shown.contains("eve-from-elsewhere"), "{shown}");
    server.stop().await;
}
