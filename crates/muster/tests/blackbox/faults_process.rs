//! The server's process: out of descriptors, killed while it changes its schema (SECURITY C21, C24).

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use muster_edge::Clock;
use muster_store::{Location, MIGRATIONS, Store, StoreConfig};
use muster_testkit::binaries::{self, Running};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use crate::faults::Random;
use crate::harness::{Backend, Installation, Server, is_soak, until};

const CROWD: usize = 1000;
const DESCRIPTORS: u32 = 256;
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
const RECOVERS_WITHIN: Duration = Duration::from_secs(40);
const ROWS: u32 = 20_000;

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

/// A database of the version before, with enough rows that its migration does not fit in memory.
async fn former_database(file: &Path) {
    let mut config = StoreConfig::new(Location::Sqlite(file.to_owned()), Clock::system());
    config.limits.write_for = Duration::from_secs(60);
    let store = Store::open_with(config, &MIGRATIONS[..MIGRATIONS.len() - 1]).await.unwrap();
    store.close().await;
    let connection = rusqlite::Connection::open(file).unwrap();
    let rows = format!(
        "INSERT INTO team (id, name, is_platform, wrapped_key, created_at) VALUES (x'01', 'workshop', 0, x'', 1);
         INSERT INTO site (id, team_id, name, policy, created_at) VALUES (x'02', x'01', 'floor', '{{}}', 1);
         WITH RECURSIVE counted (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {ROWS})
         INSERT INTO claim (id, team_id, site_id, ticket_id, reason, state, key_name, key_material, machine_uid,
                            hostname, facts, labels, source_address, created_at, expires_at)
         SELECT CAST(printf('%016d', n) AS BLOB), x'01', x'02', 'ticket', 'policy', 'waiting', 'key ' || n, x'00',
                'uid ' || n, 'host-' || n, hex(zeroblob(100)), '{{}}', '127.0.0.1', 1, 9000000000000 FROM counted;
         PRAGMA wal_checkpoint(TRUNCATE);"
    );
    connection.execute_batch(&rows).unwrap();
}

/// The version of a database that is whole and has all its rows.
fn version_of(file: &Path) -> usize {
    let connection = rusqlite::Connection::open(file).unwrap();
    let found: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap() as usize;
    assert_eq!(count("SELECT count(*) FROM claim"), ROWS as usize, "rows were lost");
    assert_eq!(count("SELECT count(*) FROM sqlite_schema WHERE name LIKE '%_anew'"), 0, "half a migration");
    let version = count("SELECT max(version) FROM schema_migration");
    assert_eq!(count("SELECT count(*) FROM schema_migration"), version);
    let is_latest = version == MIGRATIONS.len();
    let held = count("SELECT count(*) FROM pragma_table_info('host') WHERE name = 'held_at'");
    assert_eq!(held == 1, is_latest, "version {version} with the columns of another");
    version
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c24_kill_9_at_any_moment_of_a_migration_leaves_the_former_schema_or_the_new_one() {
    let mut random = Random::seeded();
    let mut server = Server::prepare(Backend::Sqlite);
    fs::create_dir_all(&server.data).unwrap();
    fs::set_permissions(&server.data, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let (file, log) = (server.data.join("muster.db"), server.data.join("muster.db-wal"));
    former_database(&file).await;
    let former = fs::read(&file).unwrap();
    server.launch().await;
    let logged = fs::metadata(&log).unwrap().len();
    server.kill9();
    assert_eq!(version_of(&file), MIGRATIONS.len());
    let mut interrupted = 0;
    for round in 0..if is_soak() { 100 } else { 6 } {
        let _ = fs::remove_file(&log);
        let _ = fs::remove_file(server.data.join("muster.db-shm"));
        fs::write(&file, &former).unwrap();
        // A log that grows is a migration on its way: it is not committed before its last page is there.
        let kill_at = random.below(logged);
        let mut process = Running::start(server.command(), &server.log).unwrap();
        until("the migration does not begin", Duration::from_secs(60), async || {
            let length = fs::metadata(&log).map_or(0, |log| log.len());
            (length >= kill_at.max(1)).then_some(())
        })
        .await;
        process.kill9();
        let version = version_of(&file);
        eprintln!("round {round}: killed when {kill_at} of {logged} bytes were logged, version {version}");
        interrupted += usize::from(version < MIGRATIONS.len());
    }
    assert!(interrupted > 0, "no kill came in time");
    server.launch().await;
    server.kill9();
    assert_eq!(version_of(&file), MIGRATIONS.len());
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
