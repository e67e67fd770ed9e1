//! The wall clock of a server, and of an agent, is set while their channel is open (SECURITY C8).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;
use muster_ids::HostId;
use muster_testkit::binaries;
use muster_testkit::faketime::WallClock;
use muster_testkit::proxy::Proxy;
use serde_json::json;

use crate::harness::{Agent, Backend, Installation, Server, is_soak, now, until};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;
/// Every jump from one of these to the next: an hour ahead, two back, a year and an hour ahead, a year back.
const JUMPS: [(&str, i64); 4] = [("+1h", HOUR), ("-1h", -HOUR), ("+1y", YEAR), ("+0", 0)];
const WITHIN: Duration = Duration::from_secs(60);

/// A restic that makes a snapshot at once and counts.
fn counting_restic(folder: &Path) -> PathBuf {
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let script = format!(
        r#"#!/bin/sh
case "$*" in
  version) echo "restic 0.18.0 compiled with go" ;;
  *backup*)
    echo run >> '{}'
    echo '{{"message_type":"summary","snapshot_id":"5f0d0a3e","data_added":1,"total_bytes_processed":2,"total_files_processed":1}}'
    ;;
esac
"#,
        folder.join("runs").display()
    );
    fs::write(bin.join("restic"), script).unwrap();
    fs::set_permissions(bin.join("restic"), fs::Permissions::from_mode(0o755)).unwrap();
    bin
}

fn runs(folder: &Path) -> usize {
    fs::read_to_string(folder.join("runs")).unwrap_or_default().lines().count()
}

/// An agent with a repository and a restic that counts.
async fn agent(installation: &Installation) -> (Agent, HostId) {
    let folder = installation.server.folder();
    let mut agent = Agent::new(folder, "steady", "c08-steady");
    agent.path = Some(binaries::path_with(&counting_restic(folder)));
    let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
    let token = installation.token_with(json!({ "secrets": { "repo": secret } })).await;
    let host = agent.joined(&token.join_string).await;
    (agent, host)
}

/// Gives a job and waits until it succeeded.
async fn job(installation: &Installation, host: HostId) {
    let body = json!({ "work": { "kind": "backup", "paths": ["/etc/hostname"] } });
    let made = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let path = format!("/v1/jobs/{}", made.json["id"].as_str().unwrap());
    let job = until("the job does not end", WITHIN, async || {
        let job = installation.ask(Method::GET, &path, None).await.json;
        (!["queued", "dispatched", "running"].contains(&job["state"].as_str().unwrap())).then_some(job)
    })
    .await;
    assert_eq!((&job["state"], &job["attempt"]), (&json!("succeeded"), &json!(1)), "{job}");
}

async fn until_beaten(installation: &Installation) {
    let before = installation.server.metric("muster_heartbeats_total").await;
    until("heartbeats do not go on", WITHIN, async || {
        (installation.server.metric("muster_heartbeats_total").await > before).then_some(())
    })
    .await;
}

/// Waits until this work of the server was done by a clock that is so many seconds off.
async fn until_done(installation: &Installation, reconciler: &str, off: i64) {
    let name = format!("muster_reconciled_at_seconds{{reconciler=\"{reconciler}\"}}");
    until(&format!("{reconciler} does not go on, or the clock is right"), WITHIN * 2, async || {
        let shown = installation.server.ask(Method::GET, "/metrics", None, None).await.text;
        let at = shown.lines().find_map(|line| line.strip_prefix(&name)?.trim().parse::<f64>().ok())?;
        (at as i64 - now().as_millis() / 1000 - off).abs().lt(&300).then_some(())
    })
    .await;
}

async fn assert_online(installation: &Installation, host: HostId) {
    let shown = installation.ask(Method::GET, &format!("/v1/hosts/{host}"), None).await.json;
    assert_eq!(shown["presence"]["status"], "online", "{shown}");
}

/// Nothing is amiss: one host, no claim, nobody was missed, no job was lost.
async fn assert_calm(installation: &Installation, agent: &mut Agent, host: HostId, key: &Option<Vec<u8>>) {
    assert_online(installation, host).await;
    assert!(agent.is_running(), "{}", agent.said());
    assert_eq!(&agent.key_bytes(), key, "the key is another");
    assert!(installation.claims().await.is_empty(), "a jump was taken for a copy");
    let amiss = "/v1/events?kind=host.unreachable,site.unreachable,job.lost,host.retired";
    let amiss = installation.ask(Method::GET, amiss, None).await;
    assert_eq!((amiss.status, &amiss.json["items"]), (200, &json!([])), "{amiss:?}");
    assert!(!installation.server.said().contains("panicked"), "{}", installation.server.said());
}

/// A one-time token and an API token that end after five minutes.
async fn short_lived(installation: &Installation) -> (String, String) {
    let body = json!({ "name": "short", "expires_in_secs": 300 });
    let minted = installation.ask(Method::POST, "/v1/me/tokens", Some(&body)).await;
    assert_eq!(minted.status, 201, "{}", minted.text);
    let ticket = installation.token_with(json!({ "expires_in_secs": 300 })).await;
    (ticket.token, minted.json["token"].as_str().unwrap().to_owned())
}

async fn assert_ended(installation: &Installation, (ticket, api_token): &(String, String), when: &str) {
    let reply = installation.machine("late").enrol(ticket).await.unwrap();
    assert_eq!((reply.status, reply.code()), (401, "enrollment_rejected"), "{when}: {reply:?}");
    let reply = installation.server.ask(Method::GET, "/v1/me", Some(api_token), None).await;
    assert_eq!(reply.status, 401, "{when}: {reply:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c08_soak_the_clock_of_a_server_jumps_while_channels_are_open() {
    let mut server = Server::prepare(Backend::Sqlite);
    let clock = WallClock::new(server.folder()).unwrap();
    server.environment.extend(clock.environment());
    server.launch().await;
    let mut installation = Installation::over(server).await;
    let (mut agent, host) = agent(&installation).await;
    let key = agent.key_bytes();
    agent.run();
    agent.until_at_work().await;
    let machine = installation.machine("by-hand");
    let by_hand = machine.admitted(&installation.site_key.token).await;
    let mut channel = machine.connect(by_hand).await;
    let ended = short_lived(&installation).await;
    for (jobs, (offset, off)) in JUMPS.into_iter().enumerate() {
        clock.set(offset).unwrap();
        until_done(&installation, "Flusher", off).await;
        let beats = installation.server.metric("muster_heartbeats_total").await;
        channel.heartbeat().await;
        assert!(channel.is_alive().await, "at {offset} a channel was lost");
        assert!(installation.server.metric("muster_heartbeats_total").await > beats, "at {offset}");
        assert_eq!(machine.heartbeat(by_hand).await.status, 200, "at {offset} a proof does not hold");
        job(&installation, host).await;
        assert_eq!(runs(installation.server.folder()), jobs + 1, "at {offset} jobs ran more than once");
        assert_eq!(installation.server.metric("muster_channels").await, 2.0, "at {offset}");
        if off > 0 {
            assert_ended(&installation, &ended, offset).await;
        }
        if is_soak() {
            until_beaten(&installation).await;
        }
        assert_calm(&installation, &mut agent, host, &key).await;
    }
    assert_eq!(agent.said().matches("connected").count(), 1, "a channel was lost:\n{}", agent.said());
    // A server that starts by a wrong clock, which is set right afterwards.
    let ended = short_lived(&installation).await;
    assert_eq!(installation.server.stop().await, 0);
    clock.set("+1h").unwrap();
    installation.server.launch().await;
    until_done(&installation, "Expiry", HOUR).await;
    assert_ended(&installation, &ended, "an hour later").await;
    clock.set("+0").unwrap();
    until_done(&installation, "Flusher", 0).await;
    assert_ended(&installation, &ended, "set back").await;
    installation.until_presence(host, "online", WITHIN).await;
    job(&installation, host).await;
    assert_eq!(runs(installation.server.folder()), JUMPS.len() + 1);
    assert_calm(&installation, &mut agent, host, &key).await;
    assert_eq!(installation.server.stop().await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c08_soak_the_clock_of_an_agent_jumps_while_its_channel_is_open() {
    let mut server = Server::prepare(Backend::Sqlite);
    let front = Proxy::start(server.machines).await.unwrap();
    server.set_public_urls(vec![format!("https://{}", front.address())]);
    server.launch().await;
    let installation = Installation::over(server).await;
    let clock = WallClock::new(installation.server.folder()).unwrap();
    let (mut agent, host) = agent(&installation).await;
    let key = agent.key_bytes();
    agent.environment.extend(clock.environment());
    agent.run();
    agent.until_at_work().await;
    let connections = front.accepted();
    for (jobs, (offset, _)) in JUMPS.into_iter().enumerate() {
        clock.set(offset).unwrap();
        job(&installation, host).await;
        assert_eq!(runs(installation.server.folder()), jobs + 1, "at {offset} jobs ran more than once");
        if is_soak() {
            until_beaten(&installation).await;
        }
        assert_calm(&installation, &mut agent, host, &key).await;
        assert_eq!(front.accepted(), connections, "at {offset} the channel was lost:\n{}", agent.said());
    }
    // Whatever the clock says, a channel that is cut comes back.
    let cut_at = if is_soak() { &JUMPS[..] } else { &JUMPS[1..3] };
    for (offset, _) in cut_at {
        clock.set(offset).unwrap();
        let before = front.accepted();
        front.cut();
        until("the agent does not come back", WITHIN, async || {
            let is_back =
                front.accepted() > before && installation.server.metric("muster_channels").await == 1.0;
            is_back.then_some(())
        })
        .await;
        job(&installation, host).await;
        assert_calm(&installation, &mut agent, host, &key).await;
    }
    assert_eq!(runs(installation.server.folder()), JUMPS.len() + cut_at.len());
    assert_eq!(agent.stop().await, 0);
}
