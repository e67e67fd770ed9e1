//! The server's certificate changes under a real agent: it follows what was announced to it, and speaks to nobody else
//! (SECURITY B23, C28).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use http::Method;
use muster_ids::HostId;
use muster_wire::host::Presence;
use muster_wire::server_keys::{RotateServerKey, TlsStatus};
use rcgen::{CertificateParams, KeyPair};

use crate::harness::{Agent, Backend, Installation, Server, until};

const WITHIN: Duration = Duration::from_secs(30);

async fn status(installation: &Installation) -> TlsStatus {
    installation.admin.api.get("/v1/installation/tls").await.unwrap()
}

async fn until_all_know(installation: &Installation) {
    until("not every agent keeps what was announced", WITHIN, async || {
        let hosts = status(installation).await.hosts;
        (hosts.informed == hosts.hosts).then_some(())
    })
    .await;
}

async fn rotate(installation: &Installation, force: bool) -> TlsStatus {
    installation.admin.api.post("/v1/installation/tls/rotate", &RotateServerKey { force }).await.unwrap()
}

async fn follows(installation: &Installation, agent: &mut Agent, host: HostId) {
    agent.stop().await;
    installation.until_presence(host, "offline", WITHIN).await;
    agent.run();
    installation.until_presence(host, "online", WITHIN).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_an_agent_follows_two_rotations_and_one_that_was_away_for_both_is_told_what_to_do() {
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder().to_owned();
    let mut agent = Agent::new(&folder, "present", "c28-present");
    let host = agent.joined(&installation.token().await.join_string).await;
    let mut away = Agent::new(&folder, "away", "c28-away");
    let away_host = away.joined(&installation.token().await.join_string).await;
    let keys = (agent.key_bytes(), away.key_bytes());
    agent.run();
    away.run();
    until_all_know(&installation).await;
    away.stop().await;

    let first = status(&installation).await;
    let second = rotate(&installation, false).await;
    assert_eq!(second.pins, first.next_pins);
    follows(&installation, &mut agent, host).await;
    // The one that is away keeps the last word of before: it is missed.
    let refused = installation
        .server
        .ask(
            Method::POST,
            "/v1/installation/tls/rotate",
            Some(&installation.admin.token),
            Some(&serde_json::json!({})),
        )
        .await;
    assert_eq!((refused.status, refused.code()), (409, "hosts_not_informed"), "{}", refused.text);
    until("the present one does not know the third key", WITHIN, async || {
        (status(&installation).await.hosts.informed == 1).then_some(())
    })
    .await;
    let third = rotate(&installation, true).await;
    assert_eq!(third.pins, second.next_pins);
    follows(&installation, &mut agent, host).await;

    away.forget_log();
    away.run();
    until("the agent that was away does not say what is wrong", WITHIN, async || {
        let said = away.said();
        (said.contains("join string") && said.contains(&third.pins[0])).then_some(())
    })
    .await;
    assert!(away.is_running(), "it waits for its owner");
    assert_eq!(installation.host(away_host).await.presence.status, Presence::Offline);
    away.stop().await;
    let ended = away.join(&installation.token().await.join_string).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    away.run();
    installation.until_presence(away_host, "online", WITHIN).await;
    assert_eq!((agent.key_bytes(), away.key_bytes()), keys, "nobody lost a credential");
}

fn write_pair(folder: &Path, key: &KeyPair) {
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("server.crt"), params.self_signed(key).unwrap().pem()).unwrap();
    fs::write(folder.join("server.key"), key.serialize_pem()).unwrap();
    fs::set_permissions(folder.join("server.key"), fs::Permissions::from_mode(0o600)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c28_an_agent_follows_pinned_files_that_are_replaced_twice_with_a_reload() {
    let mut server = Server::prepare(Backend::Sqlite);
    let folder = server.folder().to_owned();
    let keys: Vec<KeyPair> = (0..3).map(|_| KeyPair::generate().unwrap()).collect();
    write_pair(&folder, &keys[0]);
    let file = |name: &str| folder.join(name).display().to_string();
    fs::write(folder.join("next.pem"), keys[1].public_key_pem()).unwrap();
    let (certificate, key, next) = (file("server.crt"), file("server.key"), file("next.pem"));
    server.add_arguments(&[
        "--tls-cert",
        &certificate,
        "--tls-key",
        &key,
        "--tls-pin",
        "--tls-announce",
        &next,
    ]);
    server.launch().await;
    let installation = Installation::over(server).await;
    let mut agent = Agent::new(&folder, "pinned", "c28-pinned");
    let host = agent.joined(&installation.token().await.join_string).await;
    let own_key = agent.key_bytes();
    agent.run();
    for next_key in 1..keys.len() {
        until_all_know(&installation).await;
        let expected = status(&installation).await.next_pins;
        write_pair(&folder, &keys[next_key]);
        hang_up(installation.server.pid());
        until("the new pair is not shown", WITHIN, async || {
            (status(&installation).await.pins == expected).then_some(())
        })
        .await;
        if let Some(after) = keys.get(next_key + 1) {
            fs::write(folder.join("next.pem"), after.public_key_pem()).unwrap();
            hang_up(installation.server.pid());
            until("the next key is not announced", WITHIN, async || {
                let status = status(&installation).await;
                (!status.next_pins.is_empty() && status.next_pins != expected).then_some(())
            })
            .await;
        }
        follows(&installation, &mut agent, host).await;
    }
    assert_eq!(agent.key_bytes(), own_key, "no credential was lost");
}

/// Tells the server to read its files again.
fn hang_up(pid: u32) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
}
