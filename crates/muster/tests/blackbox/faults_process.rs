//! The server's process: out of descriptors, killed between what it said and the answer, older than its database
//! (SECURITY C3, C21, C24).

use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_ids::HostId;
use muster_testkit::binaries;
use muster_wire::channel::ServerMessage;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::harness::{Backend, Channel, Installation, Machine, Next, Server, both, until};

const CROWD: usize = 1000;
const DESCRIPTORS: u32 = 256;
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
const RECOVERS_WITHIN: Duration = Duration::from_secs(40);

/// Connections that say nothing, as many as come about.
async fn crowd(address: SocketAddr) -> Vec<TcpStream> {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let connecting = (0..CROWD).map(|_| tokio::time::timeout(CONNECTS_WITHIN, TcpStream::connect(address)));
    let connected = join_all(connecting).await;
    connected.into_iter().filter_map(|stream| stream.ok()?.ok()).collect()
}

/// How many of them the server has not closed.
fn still_open(crowd: &[TcpStream]) -> usize {
    let is_open = |stream: &&TcpStream| {
        let read = stream.try_read(&mut [0; 64]);
        read.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
    };
    crowd.iter().filter(is_open).count()
}

async fn until_a_machine_gets_in(installation: &Installation, name: &str) {
    let machine = installation.machine(name);
    until("the door does not open again", RECOVERS_WITHIN, async || {
        let reply = machine.enrol(&installation.site_key.token).await.ok()?;
        matches!(reply.status, 200 | 201).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_a_crowd_takes_neither_descriptors_nor_channels_nor_the_operators_door() {
    let mut server = Server::prepare(Backend::Sqlite);
    server.limit_descriptors(DESCRIPTORS);
    server.launch().await;
    let mut installation = Installation::over(server).await;
    let machine = installation.machine("steady");
    let host = machine.admitted(&installation.site_key.token).await;
    let mut channel = machine.connect(host).await;
    let strangers = crowd(installation.server.machines).await;
    until("the crowd is not shed", Duration::from_secs(8), async || {
        (still_open(&strangers) < DESCRIPTORS as usize).then_some(())
    })
    .await;
    let ready = installation.server.ask(Method::GET, "/readyz", None, None).await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(installation.hosts().await.len(), 1);
    assert!(channel.is_alive().await, "an open channel was lost");
    drop(strangers);
    until_a_machine_gets_in(&installation, "late").await;
    let said = installation.server.said();
    assert!(!said.contains("cannot accept connections") && !said.contains("panicked"), "{said}");
    assert!(installation.server.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c21_a_server_that_runs_out_of_descriptors_keeps_its_channels_and_accepts_again() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let machine = installation.machine("steady");
    let host = machine.admitted(&installation.site_key.token).await;
    let mut channel = machine.connect(host).await;
    let pid = installation.server.pid();
    let open = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let mut limit = binaries::command(&binaries::installed("prlimit"));
    limit.args(["--pid", &pid.to_string(), &format!("--nofile={}", open + 20)]);
    binaries::run(limit, None, Duration::from_secs(10)).await.unwrap().succeeded();
    let strangers = crowd(installation.server.machines).await;
    until("the descriptors do not run out", Duration::from_secs(8), async || {
        installation.server.said().contains("cannot accept connections").then_some(())
    })
    .await;
    assert!(channel.is_alive().await, "an open channel was lost");
    channel.heartbeat().await;
    drop(strangers);
    until_a_machine_gets_in(&installation, "late").await;
    assert!(channel.is_alive().await, "an open channel was lost");
    assert!(!installation.server.said().contains("panicked"), "{}", installation.server.said());
    assert_eq!(installation.server.pid(), pid);
    assert!(installation.server.is_running());
}

/// Kills the server as a power cut would, and comes back to the next one as the same machine.
async fn after_kill9(
    installation: &mut Installation,
    machine: &Machine,
    host: HostId,
    lost: &Channel,
) -> Channel {
    installation.server.kill9();
    installation.server.launch().await;
    machine.connect_with(host, lost.generation.clone()).await
}

async fn attempt_given(channel: &mut Channel) -> Value {
    match channel.frame().await {
        ServerMessage::JobRun { dispatch } => serde_json::to_value(dispatch.attempt).unwrap(),
        other => panic!("no work but {other:?}"),
    }
}

both! {
    async fn c03_kill_9_between_a_push_and_its_confirmation_loses_and_doubles_nothing(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "first" });
        let token = installation.token_with(json!({ "secrets": { "repo": secret } })).await;
        let machine = installation.machine("steady");
        let host = machine.admitted(&token.token).await;
        let mut channel = machine.connect(host).await;
        let path = format!("/v1/hosts/{host}/secrets/repo");
        let put = installation.ask(Method::PUT, &path, Some(&json!({ "password": "second" }))).await;
        assert_eq!(put.status, 200, "{}", put.text);
        let ServerMessage::ConfigUpdate { config } = channel.frame().await else { panic!("nothing was pushed") };
        // Pushed and not confirmed.
        let mut channel = after_kill9(&mut installation, &machine, host, &channel).await;
        assert_eq!(channel.confirmed, Some((config.version, config.digest)), "another configuration was sent again");

        let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
        let made = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&body)).await;
        let job = made.json["id"].as_str().unwrap().to_owned();
        let given = attempt_given(&mut channel).await;
        // Given and not begun.
        let mut channel = after_kill9(&mut installation, &machine, host, &channel).await;
        assert_eq!(attempt_given(&mut channel).await, given);
        channel.send_json(&json!({ "type": "job_started", "attempt": given })).await;
        let result = json!({ "snapshot_id": "5f0d0a3e", "bytes_processed": 10, "bytes_added": 5, "files": 2 });
        let end = json!({ "outcome": "succeeded", "result": result });
        let end = json!({ "type": "job_finished", "attempt": given, "end": end });
        channel.send_json(&end).await;
        // Told and not answered, as far as the machine knows.
        let mut channel = after_kill9(&mut installation, &machine, host, &channel).await;
        channel.send_json(&end).await;
        until("the end is not recorded", RECOVERS_WITHIN, async || {
            matches!(channel.next().await, Next::Frame(ServerMessage::JobRecorded { .. })).then_some(())
        })
        .await;
        let ended = installation.ask(Method::GET, &format!("/v1/jobs/{job}"), None).await.json;
        assert_eq!((&ended["state"], &ended["attempt"]), (&json!("succeeded"), &json!(1)), "{ended}");
        let told = until("nobody is told", RECOVERS_WITHIN, async || {
            let told = installation.ask(Method::GET, "/v1/events?kind=job.succeeded", None).await.json;
            told["items"].as_array().filter(|items| !items.is_empty()).cloned()
        })
        .await;
        assert_eq!(told.len(), 1, "{told:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_a_schema_of_a_newer_server_is_refused_in_words() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let host = installation.machine("steady").admitted(&installation.site_key.token).await;
    installation.server.stop().await;
    let file = installation.server.data.join("muster.db");
    let change = |sql: &str| rusqlite::Connection::open(&file).unwrap().execute_batch(sql).unwrap();
    change(
        "INSERT INTO schema_migration (version, name, checksum, applied_at) VALUES (99, 'later', 'x', 1);
         PRAGMA wal_checkpoint(TRUNCATE)",
    );
    let before = fs::read(&file).unwrap();
    let said = installation.server.refuses_to_start().await;
    assert!(said.contains("newer than this program knows"), "{said}");
    assert!(fs::read(&file).unwrap() == before, "the newer database was written to");
    change("DELETE FROM schema_migration WHERE version = 99");
    installation.server.launch().await;
    assert_eq!(installation.host(host).await.id, host);
}
