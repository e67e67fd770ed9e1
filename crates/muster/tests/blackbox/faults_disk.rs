//! The disk below the embedded database: full, damaged, cut off, held by somebody else (SECURITY C4, C5, C6).

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_ids::HostId;
use tokio::time::Instant;

use crate::faults::Random;
use crate::harness::{Backend, Installation, Machine, Reply, Server, is_soak, until};

/// Names the small disk, for the process that runs on it.
const DISK: &str = "MUSTER_TEST_SMALL_DISK";
const AT_ONCE: usize = 12;
/// What the server may wait for the lock, and what a busy machine adds.
const ANSWERS_WITHIN: Duration = Duration::from_secs(25);

/// A refusal that says: the same again, later.
fn assert_comes_back(reply: &Reply) {
    assert_eq!(reply.status, 503, "{reply:?}");
    assert_eq!(reply.code(), "unavailable", "{reply:?}");
    let media = reply.header("content-type").unwrap_or_default();
    assert!(media.starts_with("application/problem+json"), "{media}: {reply:?}");
    assert!(reply.header("retry-after").is_some(), "{reply:?}");
}

fn assert_whole(database: &Path) {
    let connection = rusqlite::Connection::open(database).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
}

/// Machines with a token each.
async fn newcomers(installation: &Installation, count: usize) -> Vec<(Machine, String)> {
    let mut newcomers = Vec::new();
    for n in 0..count {
        let token = installation.token().await.token;
        newcomers.push((installation.machine(&format!("newcomer-{n}")), token));
    }
    newcomers
}

async fn everybody_gets_in(installation: &Installation, newcomers: &[(Machine, String)], hosts: usize) {
    for (machine, token) in newcomers {
        let host = machine.admitted(token).await;
        assert_eq!(installation.host(host).await.keys, [machine.key_name()]);
    }
    assert_eq!(installation.hosts().await.len(), hosts, "one host for each machine");
}

#[test]
fn c04_a_full_disk_costs_no_token_and_reads_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let script = format!("mount -t tmpfs -o size=48m none \"${DISK}\" && exec \"$@\"");
    for namespace in ["-m", "-rm"] {
        let mut command = Command::new("unshare");
        command.args([namespace, "sh", "-ec", &script, "sh"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "faults_disk::on_a_small_disk", "--ignored", "--nocapture"]);
        let output = command.env(DISK, folder.path()).output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            assert!(out.contains("1 passed"), "{out}");
            return;
        }
        assert!(err.contains("unshare:") || err.contains("mount:"), "{out}{err}");
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no file system can be mounted here: nothing may be skipped in CI"
    );
    eprintln!("SKIPPED: this user may not mount a file system of its own");
}

/// Writes until not one byte more has room.
fn fill(ballast: &Path) {
    let mut file = File::create(ballast).unwrap();
    for piece in [1 << 20, 4096, 1] {
        let bytes = vec![1; piece];
        while file.write_all(&bytes).is_ok() {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "a process that another test starts"]
async fn on_a_small_disk() {
    let disk = std::env::var_os(DISK).expect("the test that mounts it names the disk");
    let disk = Path::new(&disk);
    let mut server = Server::prepare_in(disk, Backend::Sqlite);
    server.launch().await;
    let mut installation = Installation::over(server).await;
    let steady = installation.machine("steady");
    let host = steady.admitted(&installation.site_key.token).await;
    let mut channel = steady.connect(host).await;
    let newcomers = newcomers(&installation, AT_ONCE).await;
    let ballast = disk.join("ballast");
    fill(&ballast);
    let mut refused = 0;
    for (machine, token) in &newcomers {
        let reply = machine.enrol(token).await.unwrap();
        if reply.status != 201 {
            assert_comes_back(&reply);
            refused += 1;
        }
    }
    assert!(refused > 1, "the disk was not full");
    let ready = installation.server.ask(Method::GET, "/readyz", None, None).await;
    assert_eq!(ready.status, 200, "{ready:?}");
    assert_eq!(installation.hosts().await.len(), 1 + AT_ONCE - refused, "a refused machine became a host");
    assert!(channel.is_alive().await, "an open channel was lost");
    fs::remove_file(&ballast).unwrap();
    until("the server does not recover", Duration::from_secs(20), async || {
        let (machine, token) = &newcomers[AT_ONCE - 1];
        matches!(machine.enrol(token).await.unwrap().status, 200 | 201).then_some(())
    })
    .await;
    everybody_gets_in(&installation, &newcomers, 1 + AT_ONCE).await;
    assert!(channel.is_alive().await, "an open channel was lost");
    assert!(!installation.server.said().contains("panicked"), "{}", installation.server.said());
    assert_eq!(installation.server.stop().await, 0);
    assert_whole(&installation.server.data.join("muster.db"));
    installation.server.launch().await;
    assert_eq!(installation.hosts().await.len(), 1 + AT_ONCE);
    assert_eq!(steady.heartbeat(host).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c04_a_log_without_room_ends_nothing() {
    let server = Server::prepare(Backend::Sqlite);
    let mut command = server.command();
    command.args(["--log", "trace"]);
    command.stdout(Stdio::null()).stderr(File::options().write(true).open("/dev/full").unwrap());
    let mut process = command.spawn().unwrap();
    until("the server does not get ready", Duration::from_secs(30), async || {
        assert_eq!(process.try_wait().unwrap(), None, "the server ended");
        let reply = server.try_ask(Method::GET, "/readyz", None, None).await.ok()?;
        (reply.status == 200).then_some(())
    })
    .await;
    let setup = serde_json::json!({ "code": server.setup_code(), "admin_name": "first admin" });
    let reply = server.ask(Method::POST, "/v1/setup", None, Some(&setup)).await;
    assert_eq!(reply.status, 201, "{reply:?}");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_a_damaged_page_is_told_with_its_file_and_nothing_is_served() {
    let mut random = Random::seeded();
    let mut installation = Installation::start(Backend::Sqlite).await;
    let machine = installation.machine("steady");
    let host = machine.admitted(&installation.site_key.token).await;
    assert_eq!(installation.server.stop().await, 0);
    let file = installation.server.data.join("muster.db");
    let whole = fs::read(&file).unwrap();
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let pages = whole.len() / page;
    let mut damages = vec![(0, "first page")];
    for _ in 0..if is_soak() { 30 } else { 3 } {
        damages.push((1 + random.below(pages as u64 - 1) as usize, "page"));
    }
    for (number, what) in damages {
        let mut damaged = whole.clone();
        damaged[number * page..][..page].fill(0xA5);
        fs::write(&file, &damaged).unwrap();
        let said = installation.server.refuses_to_start().await;
        assert!(said.contains("muster.db"), "{what} {number} of {pages}: the file is not named:\n{said}");
        assert!(said.contains("damaged"), "{what} {number} of {pages}:\n{said}");
        let left = fs::read(&file).unwrap();
        assert!(left == damaged, "{what} {number} of {pages}: the damaged file was written to");
    }
    fs::write(&file, &whole[..whole.len() / 2 / page * page]).unwrap();
    let said = installation.server.refuses_to_start().await;
    assert!(said.contains("muster.db"), "half a file: {said}");
    fs::write(&file, &whole).unwrap();
    installation.server.launch().await;
    assert_eq!(installation.host(host).await.id, host);
    assert_eq!(machine.heartbeat(host).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_a_page_damaged_while_running_is_503_and_not_ready() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let machine = installation.machine("steady");
    let host = machine.admitted(&installation.site_key.token).await;
    // Everything so far leaves the log.
    assert_eq!(installation.server.stop().await, 0);
    let file = installation.server.data.join("muster.db");
    let whole = fs::read(&file).unwrap();
    installation.server.launch().await;
    let server = &installation.server;
    assert_eq!(server.ask(Method::GET, "/readyz", None, None).await.status, 200);
    let page = usize::from(u16::from_be_bytes([whole[16], whole[17]]));
    let disk = File::options().write(true).open(&file).unwrap();
    disk.write_all_at(&vec![0xA5; whole.len() - page], page as u64).unwrap();
    let refused = machine.heartbeat(host).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    until("the damage is not told", Duration::from_secs(10), async || {
        let reply = server.ask(Method::GET, "/readyz", None, None).await;
        (reply.status == 503).then_some(())
    })
    .await;
    let said = server.said();
    assert!(said.contains("is damaged") && said.contains("muster.db"), "{said}");
    assert_eq!(server.ask(Method::GET, "/healthz", None, None).await.status, 200, "the process is well");
    // What is put right is looked at when the server starts.
    installation.server.kill9();
    for leftover in ["muster.db-wal", "muster.db-shm"] {
        let _ = fs::remove_file(installation.server.data.join(leftover));
    }
    fs::write(&file, &whole).unwrap();
    installation.server.launch().await;
    assert_eq!(machine.heartbeat(host).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c05_a_log_that_was_cut_or_damaged_leaves_whole_enrolments() {
    let mut random = Random::seeded();
    let mut installation = Installation::start(Backend::Sqlite).await;
    let newcomers = newcomers(&installation, AT_ONCE).await;
    // Everything so far leaves the log.
    assert_eq!(installation.server.stop().await, 0);
    installation.server.launch().await;
    let mut hosts = Vec::new();
    for (machine, token) in &newcomers {
        hosts.push(machine.admitted(token).await);
    }
    installation.server.kill9();
    let data = installation.server.data.clone();
    let (file, log) = (data.join("muster.db"), data.join("muster.db-wal"));
    let (rows, entries) = (fs::read(&file).unwrap(), fs::read(&log).unwrap());
    for round in 0..if is_soak() { 40 } else { 4 } {
        let at = random.below(entries.len() as u64) as usize;
        let mut left = entries.clone();
        if round % 2 == 0 {
            left.truncate(at);
        } else {
            left[at] ^= 0x5A;
        }
        fs::write(&file, &rows).unwrap();
        fs::write(&log, left).unwrap();
        let _ = fs::remove_file(data.join("muster.db-shm"));
        installation.server.launch().await;
        let found: Vec<HostId> = installation.hosts().await.iter().map(|host| host.id).collect();
        assert!(found.iter().all(|host| hosts.contains(host)), "a host nobody enrolled");
        eprintln!("round {round}: at byte {at} of {}, {} of {AT_ONCE} are left", entries.len(), found.len());
        everybody_gets_in(&installation, &newcomers, AT_ONCE).await;
        installation.server.kill9();
    }
}

/// Enrols all of them at once and returns the answers, each of which came in time.
async fn all_at_once(newcomers: &[(Machine, String)]) -> Vec<Reply> {
    let started = Instant::now();
    let asked = newcomers.iter().map(|(machine, token)| machine.enrol(token));
    let replies = tokio::time::timeout(ANSWERS_WITHIN, join_all(asked)).await;
    let replies = replies.unwrap_or_else(|_| panic!("no answer within {ANSWERS_WITHIN:?}"));
    eprintln!("answered after {:?}", started.elapsed());
    replies.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c06_a_database_that_somebody_else_holds_is_waited_for_and_then_refused_to_all() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let steady = installation.machine("steady");
    let host = steady.admitted(&installation.site_key.token).await;
    let mut channel = steady.connect(host).await;
    let newcomers = newcomers(&installation, AT_ONCE).await;
    let holder = rusqlite::Connection::open(installation.server.data.join("muster.db")).unwrap();
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    // Together they wait once: each for itself would take longer than anybody waits.
    for reply in all_at_once(&newcomers).await {
        assert_comes_back(&reply);
    }
    assert_eq!(installation.hosts().await.len(), 1, "reads go on");
    assert!(channel.is_alive().await, "an open channel was lost");
    holder.execute_batch("ROLLBACK").unwrap();
    drop(holder);
    for reply in all_at_once(&newcomers).await {
        assert_eq!(reply.status, 201, "{reply:?}");
    }
    everybody_gets_in(&installation, &newcomers, 1 + AT_ONCE).await;
    assert!(installation.server.is_running());
}
