//! Backup, key export and restore of the server (SECURITY C24 to C26): the drill with the real agent, both databases,
//! files that are damaged, keys that are wrong, folders that are not empty, and kill -9 half way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use data_encoding::HEXLOWER;
use http::Method;
use muster_edge::Entropy;
use muster_ids::HostId;
use muster_testkit::binaries::{self, Ended, Running};
use muster_testkit::canary::{Canary, mode, sightings};
use serde_json::{Value, json};

use crate::harness::{Agent, Backend, Installation, Server, both, is_soak, until};

const WITHIN: Duration = Duration::from_secs(60);

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn muster(arguments: &[&str]) -> Command {
    let mut command = binaries::command(Path::new(env!("CARGO_BIN_EXE_muster")));
    command.args(arguments);
    for name in ["MUSTER_DATA_DIR", "MUSTER_DATABASE", "MUSTER_MASTER_KEY_FILE"] {
        command.env_remove(name);
    }
    command
}

/// A command about the state of a server.
fn about(server: &Server, arguments: &[&str]) -> Command {
    let mut command = muster(arguments);
    command.arg("--data-dir").arg(&server.data);
    if let Some(database) = &server.database {
        command.args(["--database", database.url()]);
    }
    command
}

async fn run(command: Command) -> Ended {
    binaries::run(command, None, WITHIN).await.unwrap()
}

/// Runs a command that must be refused with these words.
async fn refused(command: Command, words: &str) {
    let ended = run(command).await;
    assert_eq!(ended.code, 1, "{}", ended.said());
    assert!(ended.err.contains(words), "{words:?} is not in: {}", ended.said());
}

/// A backup of a running server, and the exported key.
struct Kept {
    backup: PathBuf,
    key: PathBuf,
}

impl Kept {
    async fn of(server: &Server) -> Self {
        let kept =
            Self { backup: server.folder().join("kept.backup"), key: server.folder().join("kept.key") };
        run(about(server, &["backup", text(&kept.backup)])).await.succeeded();
        run(about(server, &["key", "export", text(&kept.key)])).await.succeeded();
        kept
    }

    fn restore(&self, server: &Server) -> Command {
        about(server, &["restore", text(&self.backup), "--key", text(&self.key), "-o", "json"])
    }

    async fn restored(&self, server: &Server) -> Value {
        let said = run(self.restore(server)).await.succeeded();
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

/// Where a server is that lost everything: the same addresses, an empty folder, an empty database.
fn lose_everything(server: &mut Server) {
    server.kill9();
    fs::remove_dir_all(&server.data).unwrap();
    if let Some(database) = server.database.take() {
        drop(database);
        server.database = Server::prepare(Backend::Postgres).database.take();
    }
}

async fn put_secret(installation: &Installation, host: HostId, value: &str) {
    let path = format!("/v1/hosts/{host}/secrets/app");
    let reply = installation.ask(Method::PUT, &path, Some(&json!({ "value": value }))).await;
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text);
}

/// The version of the configuration that an agent has applied.
fn config_of(agent: &Agent) -> Option<(u64, u64)> {
    let config: Value = serde_json::from_slice(&fs::read(agent.state.join("config.json")).ok()?).ok()?;
    let version = &config["version"];
    Some((version["epoch"].as_u64()?, version["n"].as_u64()?))
}

async fn events_of(installation: &Installation, kind: &str) -> usize {
    let path = format!("/v1/events?kind={kind}&limit=200");
    let reply = installation.server.ask(Method::GET, &path, Some(&installation.admin.token), None).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply.json["items"].as_array().unwrap().len()
}

async fn verify(installation: &Installation) {
    let said =
        installation.server.ask(Method::GET, "/v1/audit/verify", Some(&installation.admin.token), None);
    let said = said.await;
    assert_eq!((said.status, &said.json["breaks"]), (200, &json!([])), "{}", said.text);
}

/// Starts the agent anew, and waits until it was given its next generation.
async fn restarted(agent: &mut Agent) {
    let generation = |agent: &Agent| fs::read(agent.state.join("generation.json")).unwrap_or_default();
    let before = generation(agent);
    agent.kill9();
    agent.run();
    until("the agent gets no next generation", WITHIN, async || (generation(agent) != before).then_some(()))
        .await;
}

/// A host but for its configuration, whose version begins anew, and its presence.
async fn host_but_config(installation: &Installation, host: HostId) -> Value {
    let mut host: Value = serde_json::from_str(&installation.host_bytes(host).await).unwrap();
    (host["config"], host["presence"]) = (Value::Null, Value::Null);
    host
}

both! {
    async fn c26_a_restored_server_goes_on_and_ends_what_may_have_been_used(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let secret = format!("canary-{}", HEXLOWER.encode(&Entropy.bytes::<12>()));
        let mut agent = Agent::new(installation.server.folder(), "drilled", "c26-drilled");
        let host = agent.joined(&installation.token().await.join_string).await;
        put_secret(&installation, host, &secret).await;
        agent.run();
        let before = until("the agent gets no configuration", WITHIN, async || config_of(&agent)).await;
        let (revived, stranger) = (installation.machine("revived"), installation.machine("stranger"));
        let revived_host = revived.admitted(&installation.site_key.token).await;
        let open = installation.token().await;
        let spent = installation.token().await;

        let kept = Kept::of(&installation.server).await;
        assert_eq!((mode(&kept.backup), mode(&kept.key)), (Some(0o600), Some(0o600)));
        let data = &installation.server.data;
        let canaries = [
            Canary::new("the secret of a host", &secret),
            Canary::of_bytes("the master key", &fs::read(data.join("master.key")).unwrap()),
            Canary::new("the admin's token", &installation.admin.token),
            Canary::new("an open ticket", &open.token),
            Canary::of_bytes("the TLS key", &fs::read(data.join("tls/tls.key")).unwrap()[100..140]),
        ];
        let found = sightings(&canaries, "the backup", &fs::read(&kept.backup).unwrap());
        assert!(found.is_empty(), "{found:?}");

        // After the backup: configurations, generations, a ticket, a key.
        put_secret(&installation, host, "changed").await;
        until("the change does not arrive", WITHIN, async || {
            config_of(&agent).filter(|version| *version > before)
        })
        .await;
        for _ in 0..2 {
            restarted(&mut agent).await;
            installation.until_presence(host, "online", WITHIN).await;
        }
        stranger.admitted(&spent.token).await;
        installation.retire(revived_host).await;
        assert_eq!(revived.heartbeat(revived_host).await.status, 401);

        lose_everything(&mut installation.server);
        let restored = kept.restored(&installation.server).await;
        let epoch = restored["epoch"].as_u64().unwrap();
        assert!(epoch > 0 && restored["former_epoch"] == 0, "{restored}");
        let void = restored["voided"]["tickets"].as_array().unwrap();
        assert!(void.iter().any(|ticket| ticket["kind"] == "site_key") && void.len() == 3, "{restored}");
        assert_eq!(mode(&installation.server.data.join("master.key")), Some(0o600));
        installation.server.launch().await;

        installation.until_presence(host, "online", WITHIN).await;
        let after = until("the configuration does not go on", WITHIN, async || {
            config_of(&agent).filter(|version| version.0 == epoch)
        })
        .await;
        assert!(after > before);
        let config = fs::read_to_string(agent.state.join("config.json")).unwrap();
        assert!(config.contains(&secret), "the agent has the secret of the backup");
        put_secret(&installation, host, "once more").await;
        until("changes do not arrive", WITHIN, async || config_of(&agent).filter(|version| *version > after)).await;

        assert_eq!(stranger.enrol(&spent.token).await.unwrap().status, 401, "spent after the backup, void now");
        assert_eq!(installation.machine("late").enrol(&open.token).await.unwrap().status, 401);
        assert_eq!(installation.machine("late").enrol(&installation.site_key.token).await.unwrap().status, 401);
        let fresh = installation.token().await;
        stranger.admitted(&fresh.token).await;
        assert_eq!(revived.heartbeat(revived_host).await.status, 200, "as docs/operating.md says");
        installation.retire(revived_host).await;
        assert_eq!(revived.heartbeat(revived_host).await.status, 401);

        assert!(agent.is_running() && agent.host_id() == host);
        assert!(installation.claims().await.is_empty(), "a restored host is no copy");
        assert!(events_of(&installation, "clone.suspected").await == 0);
        assert!(events_of(&installation, "installation.state_lost").await <= 1);
        until("the restore is not told", WITHIN, async || {
            (events_of(&installation, "installation.restored").await == 1).then_some(())
        })
        .await;
        verify(&installation).await;
        assert_eq!(installation.audit().await.iter().filter(|e| e.action == "installation.restored").count(), 1);
        // The generation goes on in the new epoch, too.
        restarted(&mut agent).await;
        installation.until_presence(host, "online", WITHIN).await;
        assert_eq!(installation.server.stop().await, 0);
        assert!(!installation.server.said().contains(&secret));
    }

    async fn c24_a_restore_that_is_killed_serves_nobody_and_begins_anew(backend: Backend) {
        let mut installation = Installation::start(backend).await;
        let machine = installation.machine("steady");
        let host = machine.admitted(&installation.site_key.token).await;
        let kept = Kept::of(&installation.server).await;
        let (mut half, rounds) = (0, if is_soak() { 60 } else { 4 });
        for round in 1..=rounds {
            lose_everything(&mut installation.server);
            let server = &mut installation.server;
            let mut restore = Running::start(kept.restore(server), &server.folder().join("restore.log")).unwrap();
            let mark = server.data.join("restore-unfinished");
            until("the restore does not begin", WITHIN, async || {
                (mark.exists() || !restore.is_running()).then_some(())
            })
            .await;
            tokio::time::sleep(Duration::from_millis(u64::from(Entropy.bytes::<1>()[0] % 64) * round / rounds)).await;
            restore.kill9();
            if mark.exists() {
                half += 1;
                let serve = about(server, &["serve", "--operators", "127.0.0.1:0", "--machines", "127.0.0.1:0"]);
                refused(serve, "was not finished: run `muster restore` again").await;
                kept.restored(server).await;
            } else {
                refused(kept.restore(server), "already holds data").await;
            }
            assert!(!mark.exists());
            let left: Vec<_> = fs::read_dir(&server.data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
            server.launch().await;
            assert_eq!(machine.heartbeat(host).await.status, 200);
            verify(&installation).await;
        }
        assert!(half > 0, "no restore was killed half way");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_moves_a_server_from_one_database_to_the_other() {
    let mut first = Installation::start(Backend::Sqlite).await;
    let machine = first.machine("mover");
    let host = machine.admitted(&first.site_key.token).await;
    put_secret(&first, host, "moved").await;
    let before = host_but_config(&first, host).await;
    for backend in [Backend::Postgres, Backend::Sqlite] {
        let kept = Kept::of(&first.server).await;
        assert_eq!(first.server.stop().await, 0);
        fs::remove_dir_all(&first.server.data).unwrap();
        first.server.database = Server::prepare(backend).database.take();
        let restored = kept.restored(&first.server).await;
        assert!(restored["rows"].as_u64().unwrap() > 20, "{restored}");
        first.server.launch().await;
        assert_eq!(host_but_config(&first, host).await, before);
        assert_eq!(machine.heartbeat(host).await.status, 200);
        // What is added after the move has its place after what came along.
        put_secret(&first, host, "again").await;
        put_secret(&first, host, "moved").await;
        verify(&first).await;
        fs::remove_file(&kept.backup).unwrap();
        fs::remove_file(&kept.key).unwrap();
    }
}

/// A backup of a server that is stopped, in a folder of its own.
async fn kept() -> (Installation, Kept) {
    let installation = Installation::start(Backend::Sqlite).await;
    installation.machine("one").admitted(&installation.site_key.token).await;
    let kept = Kept::of(&installation.server).await;
    (installation, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c26_damaged_files_wrong_keys_and_folders_in_use_are_refused_before_a_byte_is_written() {
    let (installation, kept) = kept().await;
    let server = &installation.server;
    let empty = Server::prepare(Backend::Sqlite);
    let whole = fs::read(&kept.backup).unwrap();
    let file = empty.folder().join("bad.backup");
    let bad = Kept { backup: file.clone(), key: kept.key.clone() };
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 0x10;
    let mut signed_by_nobody = whole.clone();
    *signed_by_nobody.last_mut().unwrap() ^= 1;
    for (content, words) in [
        (&flipped[..], "the backup is damaged or not complete"),
        (&whole[..whole.len() - 1], "the backup is damaged or not complete"),
        (&whole[..whole.len() / 2], "the backup is damaged or not complete"),
        (&whole[..40], "the backup is damaged or not complete"),
        (&signed_by_nobody[..], "the backup was changed after it was made"),
        (b"SQLite format 3\0 and what follows", "this is no backup of a Muster server"),
        (b"", "this is no backup of a Muster server"),
    ] {
        fs::write(&file, content).unwrap();
        refused(bad.restore(&empty), words).await;
        assert!(!empty.data.exists(), "{words}");
    }
    let other_key = empty.folder().join("other.key");
    fs::write(&other_key, [7; 32]).unwrap();
    fs::set_permissions(&other_key, fs::metadata(&kept.key).unwrap().permissions()).unwrap();
    let wrong = Kept { backup: kept.backup.clone(), key: other_key.clone() };
    refused(wrong.restore(&empty), "the master key does not belong to this backup").await;
    let without = about(&empty, &["restore", text(&kept.backup)]);
    refused(without, "a restore needs the master key").await;
    refused(bad_path(&empty, &kept), "cannot restore").await;
    assert!(!empty.data.exists(), "nothing was written");

    // A folder in use, whether its server runs or not.
    refused(kept.restore(server), "is in use by another muster server").await;
    let mut installation = installation;
    assert_eq!(installation.server.stop().await, 0);
    refused(kept.restore(&installation.server), "the database already holds data").await;
    let crowded = empty.folder().join("crowded");
    fs::create_dir(&crowded).unwrap();
    fs::set_permissions(&crowded, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    fs::write(crowded.join("notes.txt"), "mine").unwrap();
    let mut into_crowded = muster(&["restore", text(&kept.backup), "--key", text(&kept.key)]);
    into_crowded.arg("--data-dir").arg(&crowded);
    refused(into_crowded, "is not empty, it holds notes.txt").await;
    installation.server.launch().await;
    assert_eq!(installation.hosts().await.len(), 1, "what was refused left everything as it was");
}

fn bad_path(server: &Server, kept: &Kept) -> Command {
    about(server, &["restore", "/nonexistent/backup", "--key", text(&kept.key)])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c25_backup_and_export_need_the_key_and_write_over_nothing() {
    let (installation, kept) = kept().await;
    let server = &installation.server;
    let backup = || about(server, &["backup", text(&kept.backup)]);
    refused(backup(), "add --force").await;
    refused(about(server, &["key", "export", text(&kept.key)]), "never written over another file").await;
    let before = fs::read(&kept.backup).unwrap();
    run(about(server, &["backup", text(&kept.backup), "--force"])).await.succeeded();
    assert_ne!(fs::read(&kept.backup).unwrap(), before);
    let piped = binaries::run(about(server, &["backup", "-", "-q"]), None, WITHIN).await.unwrap();
    assert!(piped.code == 0 && piped.out.starts_with("muster backup 1\n"), "{}", piped.err);

    let (key, away) = (server.data.join("master.key"), server.data.join("master.key.away"));
    fs::rename(&key, &away).unwrap();
    refused(about(server, &["backup", text(&kept.backup), "--force"]), "a backup needs the master key").await;
    assert!(!key.exists(), "no key is ever made for a backup");
    fs::write(&key, [7; 32]).unwrap();
    fs::set_permissions(&key, fs::metadata(&away).unwrap().permissions()).unwrap();
    let other = server.folder().join("other.key");
    refused(about(server, &["backup", text(&kept.backup), "--force"]), "does not belong to this database")
        .await;
    refused(about(server, &["key", "export", text(&other)]), "nothing was exported").await;
    assert!(!other.exists());
    fs::rename(&away, &key).unwrap();
    let nowhere = server.folder().join("nowhere");
    refused(muster(&["backup", text(&other), "--data-dir", text(&nowhere)]), "a backup needs the master key")
        .await;
    assert!(!nowhere.exists() && !other.exists());
    let left = fs::read_dir(server.folder()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(
        left.into_iter().all(|name| !name.to_string_lossy().ends_with(".partial")),
        "what failed left nothing"
    );
}
