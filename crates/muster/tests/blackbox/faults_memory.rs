//! Everybody presses on the server's memory at once: readers that do not read, floods of what a job tells, floods of
//! bodies (SECURITY C22). What it grows by is bounded by its documented limits, not by what is thrown at it.

use std::fs;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_ids::HostId;
use muster_testkit::http as bytewise;
use muster_wire::channel::ServerMessage;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::{Backend, Channel, Installation, Machine, Next, until};

const MIB: u64 = 1024 * 1024;

/// Channels that are never read while their configuration changes and changes.
const NEVER_READING: usize = 3;
const CHANGES: usize = 25;
/// What a configuration holds at least: it is sent whole with each change.
const CONFIG_BYTES: u64 = 20 * 30_000;

/// Channels of which each tells this much of its job, in lines of 4 KiB with progress in between.
const TELLING: usize = 2;
const LINES: usize = 4 * 1024;
const LINE_BYTES: usize = 4096;

/// Connections that ask again and again with the largest body, and those whose body never ends.
const ASKING: usize = 8;
const ASKS: usize = 16;
const DRIPPING: usize = 64;
const BODY_BYTES: usize = 64 * 1024;

/// What one of each may cost by the documented limits: a frame of 1 MiB, twice, because it is made of something; the
/// same for what is read; a body of 64 KiB, twice.
const PER_CHANNEL: u64 = 2 * MIB;
const PER_BODY: u64 = 128 * 1024;
/// The caches of the database and what the allocator keeps.
const OVERHEAD: u64 = 8 * MIB;

fn bound() -> u64 {
    (NEVER_READING + TELLING) as u64 * PER_CHANNEL + (ASKING + DRIPPING) as u64 * PER_BODY + OVERHEAD
}

/// What the readers and the tellers throw at it: it would hold that if its queues had no end.
fn thrown() -> [u64; 2] {
    [(NEVER_READING * CHANGES) as u64 * CONFIG_BYTES, (TELLING * LINES * LINE_BYTES) as u64]
}

/// A number of bytes from the status of a process.
fn memory(pid: u32, field: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_matches([':', ' ', '\t']).strip_suffix(" kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

async fn put_secret(installation: &Installation, host: HostId, name: &str, filling: &Value) {
    let path = format!("/v1/hosts/{host}/secrets/{name}");
    let put = installation.ask(Method::PUT, &path, Some(&json!({ "filling": filling }))).await;
    assert_eq!(put.status, 200, "{}", put.text);
}

/// A host whose configuration is large, and its channel, which nobody reads from now on.
async fn reader(installation: &Installation, n: usize) -> (HostId, Channel) {
    let machine = installation.machine(&format!("reader-{n}"));
    let host = machine.admitted(&installation.site_key.token).await;
    for n in 0..20 {
        put_secret(installation, host, &format!("s{n}"), &json!("x".repeat(30_000))).await;
    }
    (host, machine.connect(host).await)
}

async fn change_often(installation: &Installation, host: HostId) {
    for n in 0..CHANGES {
        put_secret(installation, host, "s0", &json!(n.to_string())).await;
    }
}

/// A host with a running job.
async fn teller(installation: &Installation, n: usize) -> (Channel, Value) {
    let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
    let token = installation.token_with(json!({ "secrets": { "repo": secret } })).await;
    let machine: Machine = installation.machine(&format!("teller-{n}"));
    let host = machine.admitted(&token.token).await;
    let mut channel = machine.connect(host).await;
    let body = json!({ "work": { "kind": "backup", "paths": ["/etc"] } });
    let made = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&body)).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let attempt = match channel.frame().await {
        ServerMessage::JobRun { dispatch } => serde_json::to_value(dispatch.attempt).unwrap(),
        other => panic!("no work but {other:?}"),
    };
    channel.send_json(&json!({ "type": "job_started", "attempt": attempt })).await;
    (channel, attempt)
}

async fn tell(channel: &mut Channel, attempt: &Value) {
    let text = "x".repeat(LINE_BYTES);
    let line = json!({ "type": "job_log", "attempt": attempt, "text": text }).to_string();
    let progress = json!({ "type": "job_progress", "attempt": attempt,
        "progress": { "percent": 1, "bytes_done": 1, "bytes_total": 2 } });
    let progress = progress.to_string();
    for _ in 0..LINES {
        channel.send_raw(Message::text(line.clone())).await;
        channel.send_raw(Message::text(progress.clone())).await;
    }
    // Its end is recorded after whatever came before it.
    let end = json!({ "outcome": "failed", "failure": "no" });
    channel.send_json(&json!({ "type": "job_finished", "attempt": attempt, "end": end })).await;
    let recorded = channel.next_within(Duration::from_secs(120)).await;
    assert!(matches!(recorded, Next::Frame(ServerMessage::JobRecorded { .. })), "{recorded:?}");
}

async fn ask_often(installation: &Installation) {
    let body = json!({ "name": "x".repeat(BODY_BYTES - 100) });
    for _ in 0..ASKS {
        let reply = installation.ask(Method::POST, "/v1/sites", Some(&body)).await;
        assert!((400..500).contains(&reply.status), "{reply:?}");
    }
}

/// Connections that send nearly all of a large body and wait.
async fn drips(installation: &Installation) -> Vec<TcpStream> {
    let head = format!(
        "POST /v1/sites HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         content-length: {BODY_BYTES}\r\n\r\n",
        installation.owner.token
    );
    let nearly = [head.as_bytes(), &vec![b' '; BODY_BYTES - 1]].concat();
    let open = (0..DRIPPING).map(|_| async {
        let mut stream = TcpStream::connect(installation.server.operators).await.unwrap();
        // A server that has enough of them closes before it has read all.
        let _ = stream.write_all(&nearly).await;
        stream
    });
    join_all(open).await
}

/// Everybody else is served, as long as it takes.
async fn others_are_served(
    installation: &Installation,
    machine: &Machine,
    host: HostId,
    steady: &mut Channel,
) {
    let ready = format!(
        "GET /readyz HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
        installation.server.operators
    );
    loop {
        assert!(steady.is_alive().await, "an open channel was lost");
        assert_eq!(machine.heartbeat(host).await.status, 200);
        let answer =
            bytewise::ask(installation.server.operators, ready.as_bytes(), Duration::from_secs(10)).await;
        assert_eq!(answer.unwrap().map(|answer| answer.status), Some(200));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c22_what_is_thrown_at_a_server_does_not_pile_up_in_its_memory() {
    assert!(thrown().into_iter().all(|bytes| bytes > bound()), "{:?} bytes would show nothing", thrown());
    let installation = Installation::start(Backend::Sqlite).await;
    let (steady, host) = {
        let machine = installation.machine("steady");
        let host = machine.admitted(&installation.site_key.token).await;
        (machine, host)
    };
    let mut open = steady.connect(host).await;
    let readers = join_all((0..NEVER_READING).map(|n| reader(&installation, n))).await;
    let mut tellers = join_all((0..TELLING).map(|n| teller(&installation, n))).await;
    let pid = installation.server.pid();
    let before = memory(pid, "VmRSS");
    let flooding = async {
        let dripping = drips(&installation).await;
        let changing = join_all(readers.iter().map(|(host, _)| change_often(&installation, *host)));
        let telling = join_all(tellers.iter_mut().map(|(channel, attempt)| tell(channel, attempt)));
        let asking = join_all((0..ASKING).map(|_| ask_often(&installation)));
        tokio::join!(changing, telling, asking);
        drop(dripping);
        until("who does not read is not dropped", Duration::from_secs(60), async || {
            (installation.server.metric("muster_channels").await == (1 + TELLING) as f64).then_some(())
        })
        .await;
    };
    tokio::select! {
        () = flooding => {}
        () = others_are_served(&installation, &steady, host, &mut open) => {}
    }
    let grown = memory(pid, "VmHWM").saturating_sub(before);
    eprintln!("{:?} bytes were thrown, {grown} were taken of {}", thrown(), bound());
    assert!(grown < bound(), "it took {grown} bytes, and its limits allow {}", bound());
    assert!(!installation.server.said().contains("panicked"), "{}", installation.server.said());
}
