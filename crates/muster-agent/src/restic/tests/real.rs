//! The restic and rclone of this machine (`apt install restic rclone`).

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use muster_wire::secret::RepoSecret;
use muster_wire::text::Line;

use super::super::{Failure, ResticEvent};
use super::{Bench, REPOSITORY_CANARY, SERVER_CANARY, assert_no_secret, files, host, secret, with_user};

/// `rclone serve restic` with a user and password; killed on drop.
struct RepositoryServer {
    process: Child,
    address: String,
}

impl RepositoryServer {
    fn start(folder: &Path, user: &str, password: &str) -> Self {
        // Rclone has no way to report the port it was given, so a free one is found first.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap().to_string();
        drop(free);
        let process = Command::new("rclone")
            .args(["serve", "restic", "--addr", &address])
            .arg(folder)
            .env("RCLONE_USER", user)
            .env("RCLONE_PASS", password)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("rclone is installed: apt install rclone");
        let server = Self { process, address };
        for _ in 0..500 {
            if std::net::TcpStream::connect(&server.address).is_ok() {
                return server;
            }
            sleep(Duration::from_millis(20));
        }
        panic!("rclone does not listen");
    }

    fn url(&self) -> String {
        format!("rest:http://{}/host1/", self.address)
    }
}

impl Drop for RepositoryServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Returns the snapshots restic itself lists, as JSON.
fn snapshots(repository: &str, password: &str) -> serde_json::Value {
    let output = Command::new("restic")
        .args(["snapshots", "--json", "--no-lock", "--no-cache"])
        .env("RESTIC_REPOSITORY", repository)
        .env("RESTIC_PASSWORD", password)
        .output()
        .expect("restic is installed: apt install restic");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[tokio::test]
async fn a_local_backup_makes_its_repository_and_is_listed_by_restic() {
    let mut bench = Bench::new("restic");
    let (repository, source) = (bench.path("repository"), bench.source());
    let first = bench.backup(&secret(&repository), &[&source]).await.unwrap();
    assert_eq!((first.files, first.bytes_processed), (2, 100_012));
    assert!(first.bytes_added > 0);
    assert_eq!(bench.log(), [format!("made a new repository at {repository}")]);
    assert!(matches!(bench.events.last(), Some(ResticEvent::Summary(result)) if *result == first));
    let second = bench.backup(&secret(&repository), &[&source]).await.unwrap();
    assert!(second.bytes_added < first.bytes_added, "the second backup adds little");
    for file in files(bench.folder.path()) {
        let content = fs::read(&file).unwrap();
        let canary = REPOSITORY_CANARY.as_bytes();
        assert!(!content.windows(canary.len()).any(|window| window == canary), "{}", file.display());
    }
    let listed = snapshots(&repository, REPOSITORY_CANARY);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for (snapshot, result) in listed.iter().zip([first, second]) {
        assert!(snapshot["id"].as_str().unwrap().starts_with(result.snapshot_id.as_str()));
        assert_eq!(snapshot["hostname"], host().to_string());
        assert_eq!(snapshot["tags"], serde_json::json!(["nightly"]));
        assert_eq!(snapshot["paths"], serde_json::json!([source]));
    }
}

#[tokio::test]
async fn a_backup_over_http_needs_the_right_user_and_both_passwords() {
    let password = "p@ss:/?#%+ ü";
    let mut bench = Bench::new("restic");
    let served = bench.folder.path().join("served");
    fs::create_dir(&served).unwrap();
    let server = RepositoryServer::start(&served, "us er", password);
    let source = bench.source();
    let good = with_user(&server.url(), "us er", password);
    let result = bench.backup(&good, &[&source]).await.unwrap();
    let listed = snapshots(served.join("host1").to_str().unwrap(), REPOSITORY_CANARY);
    assert!(listed[0]["id"].as_str().unwrap().starts_with(result.snapshot_id.as_str()));

    let denied =
        bench.backup(&with_user(&server.url(), "us er", SERVER_CANARY), &[&source]).await.unwrap_err();
    assert_eq!(denied, Failure::RepositoryDenied { repository: server.url() });
    let denied = bench.backup(&secret(&server.url()), &[&source]).await.unwrap_err();
    assert_eq!(denied, Failure::RepositoryDenied { repository: server.url() });
    let wrong = RepoSecret { password: Line::parse("another-canary").unwrap(), ..good.clone() };
    let wrong = bench.backup(&wrong, &[&source]).await.unwrap_err();
    assert_eq!(wrong, Failure::WrongPassword { repository: server.url() });

    let url = server.url();
    drop(server);
    let unreachable = bench.backup(&good, &[&source]).await.unwrap_err();
    assert!(
        matches!(&unreachable, Failure::RepositoryUnreachable { repository, said }
            if *repository == url && said.contains("connection refused")),
        "{unreachable:?}"
    );
    let spoken = format!("{:?} {}", bench.events, unreachable.in_words());
    assert_no_secret(&spoken);
    assert!(!spoken.contains("p%40ss") && !spoken.contains(password), "{spoken}");
}

#[tokio::test]
async fn an_unknown_name_is_unreachable() {
    let mut bench = Bench::new("restic");
    let source = bench.source();
    let failure = bench.backup(&secret("rest:http://no-such-host.invalid/"), &[&source]).await.unwrap_err();
    assert!(matches!(failure, Failure::RepositoryUnreachable { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_unreachable() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bench = Bench::new("restic");
    bench.restic.limits.answer = Duration::from_millis(500);
    let source = bench.source();
    let url = format!("rest:http://{}/", silent.local_addr().unwrap());
    let failure = bench.backup(&secret(&url), &[&source]).await.unwrap_err();
    assert!(matches!(failure, Failure::RepositoryUnreachable { .. }), "{failure:?}");
}

#[tokio::test]
async fn a_missing_path_fails_before_a_repository_is_made() {
    let mut bench = Bench::new("restic");
    let (repository, absent) = (bench.path("repository"), bench.path("absent"));
    let failure = bench.backup(&secret(&repository), &[&absent]).await.unwrap_err();
    assert_eq!(failure, Failure::PathMissing { path: absent });
    assert!(!Path::new(&repository).exists());
}

#[tokio::test]
async fn c18_an_unreadable_file_makes_a_backup_partial() {
    let mut bench = Bench::new("restic");
    let (repository, source) = (bench.path("repository"), bench.source());
    // Reading the memory of a process from its start fails for everyone, root too.
    let failure = bench.backup(&secret(&repository), &[&source, "/proc/self/mem"]).await.unwrap_err();
    let Failure::Partial { result, said } = &failure else { panic!("{failure:?}") };
    assert_eq!(result.files, 2);
    assert!(said.contains("/proc/self/mem: Input/output error"), "{said}");
    let failure = bench.backup(&secret(&repository), &["/proc/self/mem"]).await.unwrap_err();
    assert!(matches!(&failure, Failure::SourceUnreadable { .. }), "{failure:?}");
}

/// Whether a lock is there under its final name.
fn is_locked(repository: &str) -> bool {
    let entries = fs::read_dir(Path::new(repository).join("locks")).unwrap();
    entries.flatten().any(|entry| entry.file_name().len() == 64)
}

/// A `restic check`, which locks the repository for itself, stopped in its tracks; killed on drop.
struct LockHolder(Child);

impl LockHolder {
    fn start(bench: &Bench, repository: &str) -> Self {
        let check = Command::new("restic")
            .args(["check", "--no-cache"])
            .env("RESTIC_REPOSITORY", repository)
            .env("RESTIC_PASSWORD", REPOSITORY_CANARY)
            .env("HOME", bench.folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let holder = Self(check);
        for _ in 0..10_000 {
            if is_locked(repository) {
                let pid = rustix::process::Pid::from_child(&holder.0);
                rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
                return holder;
            }
            sleep(Duration::from_millis(1));
        }
        panic!("no lock");
    }
}

impl Drop for LockHolder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn c18_a_stale_lock_is_removed_and_a_live_one_is_not() {
    let mut bench = Bench::new("restic");
    let (repository, source) = (bench.path("repository"), bench.source());
    bench.backup(&secret(&repository), &[&source]).await.unwrap();
    let holder = LockHolder::start(&bench, &repository);
    let failure = bench.backup(&secret(&repository), &[&source]).await.unwrap_err();
    assert!(matches!(&failure, Failure::RepositoryLocked { said } if said.contains("PID")), "{failure:?}");
    drop(holder);
    assert!(is_locked(&repository), "its lock is left");
    bench.backup(&secret(&repository), &[&source]).await.unwrap();
    assert!(bench.log().iter().any(|line| line.contains("removing stale locks")));
}

#[tokio::test]
async fn s3_credentials_reach_the_server_without_the_environment() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("s3:http://{}/bucket/host1", server.local_addr().unwrap());
    let asked = std::thread::spawn(move || {
        let (mut connection, _) = server.accept().unwrap();
        let mut request = vec![0; 8192];
        let length = connection.read(&mut request).unwrap();
        connection
            .write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        String::from_utf8_lossy(&request[..length]).into_owned()
    });
    let mut bench = Bench::new("restic");
    bench.restic.limits.answer = Duration::from_secs(3);
    let source = bench.source();
    bench.backup(&with_user(&url, "AKIATESTID", SERVER_CANARY), &[&source]).await.unwrap_err();
    let request = asked.join().unwrap();
    assert!(request.contains("Credential=AKIATESTID/"), "{request}");
    assert!(!request.contains(SERVER_CANARY), "an access key signs, it is not sent");
    assert_no_secret(&format!("{:?}", bench.events));
}

#[tokio::test]
async fn the_version_of_this_machine_s_restic_is_known() {
    let version = Bench::new("restic").restic.version().await.unwrap();
    assert!(
        version.split('.').count() >= 2 && version.starts_with(|c: char| c.is_ascii_digit()),
        "{version}"
    );
}

#[tokio::test]
async fn c18_the_next_backup_continues_after_a_kill() {
    let mut bench = Bench::new("restic");
    let (repository, source) = (bench.path("repository"), bench.source());
    fs::write(Path::new(&source).join("large"), vec![3; 40 << 20]).unwrap();
    bench.backup(&secret(&repository), &[&bench.path("source/a")]).await.unwrap();
    {
        let secret = secret(&repository);
        let paths = [source.as_str()];
        let locked = async {
            while !is_locked(&repository) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            outcome = bench.backup(&secret, &paths) => panic!("it ended before it was killed: {outcome:?}"),
            () = locked => {}
        }
    }
    bench.backup(&secret(&repository), &[&source]).await.unwrap();
}
