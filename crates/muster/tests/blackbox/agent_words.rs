//! What the agent says when something is missing, wrong or full: one line with cause and next step, nothing lost,
//! and the same command works afterwards (SECURITY C16, C18, C19, B23).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use http::Method;
use muster_edge::Entropy;
use muster_ids::HostId;
use muster_testkit::binaries::{self, Ended};
use muster_testkit::ports;
use muster_testkit::proxy::{Fault, Proxy};
use muster_testkit::repository::RepositoryServer;
use muster_wire::JoinString;
use muster_wire::ticket::{MintedTicket, TicketStatus};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::harness::{Agent, Backend, Installation, until};

const JOB_WITHIN: Duration = Duration::from_secs(90);

/// One error line that says all of `words`, and this exit code.
fn assert_says(ended: &Ended, code: i32, words: &[&str]) {
    let errors: Vec<&str> = ended.err.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "not one error line:\n{}", ended.said());
    assert_eq!(
        ended.err.lines().last(),
        errors.last().copied(),
        "the error is not the last word:\n{}",
        ended.said()
    );
    for word in words {
        assert!(errors[0].contains(word), "no {word:?} in {:?}", errors[0]);
    }
    assert_eq!(ended.code, code, "{}", ended.said());
    assert!(!ended.said().contains("panicked"), "{}", ended.said());
}

async fn assert_unspent(installation: &Installation, ticket: &MintedTicket) {
    let path = format!("/v1/tickets/{}", ticket.ticket.id);
    let ticket: muster_wire::ticket::Ticket = installation.owner.api.get(&path).await.unwrap();
    assert_eq!(ticket.status, TicketStatus::Open, "the ticket was spent in vain");
}

/// The same join string with other fields.
fn changed(join_string: &str, change: impl FnOnce(&mut JoinString)) -> String {
    let mut join: JoinString = join_string.parse().unwrap();
    change(&mut join);
    join.expose().expose_secret().to_owned()
}

/// Runs `join` where the state folder is a small file system of its own, prepared by `prepare` (shell).
async fn join_on_own_file_system(agent: &Agent, join_string: &str, prepare: &str) -> Ended {
    fs::create_dir_all(&agent.state).unwrap();
    fs::set_permissions(&agent.state, fs::Permissions::from_mode(0o700)).unwrap();
    let inner = agent.command(&["join", "--stdin", "--machine-uid", &agent.name]);
    let mut command = Command::new(binaries::installed("unshare"));
    // Without root, a user namespace gives the right to mount.
    command.arg(if rustix::process::geteuid().is_root() { "-m" } else { "-rm" });
    let script = format!(
        "mount -t tmpfs -o size=128k,mode=0700 none \"$MUSTER_AGENT_STATE\" && {prepare} && exec \"$@\""
    );
    command.args(["sh", "-ec", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    binaries::run(command, Some(join_string), Duration::from_secs(30)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_down_at_join() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let agent = Agent::new(installation.server.folder(), "early", "words-early");
    installation.server.kill9();
    let address = installation.server.machines.to_string();
    assert_says(
        &agent.join(&token.join_string).await,
        3,
        &[&address, "Nothing was sent", "run the same command again"],
    );
    installation.server.launch().await;
    assert_unspent(&installation, &token).await;
    agent.joined(&token.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_dies_before_it_answers() {
    let mut server = crate::harness::Server::prepare(Backend::Sqlite);
    let front = Proxy::start(server.machines).await.unwrap();
    server.set_public_urls(vec![format!("https://{}", front.address())]);
    server.launch().await;
    let installation = Installation::over(server).await;
    let token = installation.token().await;
    let agent = Agent::new(installation.server.folder(), "cut-off", "words-cut-off");
    front.fail(Fault::CutBeforeReply { from_turn: 2 });
    let ended = agent.join(&token.join_string).await;
    assert_eq!(ended.code, 3, "{}", ended.said());
    let last = ended.err.lines().last().unwrap_or_default();
    assert!(last.contains("Nothing is lost") && last.contains("same command again"), "{}", ended.said());
    front.fail(Fault::None);
    agent.joined(&token.join_string).await;
    assert_eq!(installation.hosts().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_wrong_pin_or_plain_http() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let agent = Agent::new(installation.server.folder(), "deceived", "words-deceived");
    let other_pin = BASE64URL_NOPAD.encode(&Entropy.bytes::<32>());
    let wrong_pin = changed(&token.join_string, |join| join.pins = vec![other_pin]);
    let address = installation.server.machines.to_string();
    assert_says(&agent.join(&wrong_pin).await, 1, &[&address, "nothing was sent", "new join string"]);
    let no_pin = changed(&token.join_string, |join| join.pins = Vec::new());
    let refused = agent.join(&no_pin).await;
    assert_ne!(refused.code, 0, "a certificate nobody vouches for was believed");
    let elsewhere = changed(&token.join_string, |join| {
        join.urls = vec!["http://192.0.2.7:8643".parse().unwrap()];
    });
    assert_says(&agent.join(&elsewhere).await, 3, &["plain http", "https://"]);
    assert_unspent(&installation, &token).await;
    assert_eq!(installation.server.metric("muster_enrolments_total").await, 0.0, "something was sent");
    agent.joined(&token.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_another_installation_or_no_muster_at_all() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let agent = Agent::new(installation.server.folder(), "misled", "words-misled");
    let foreign = Installation::start(Backend::Sqlite).await;
    let foreign_key = changed(&token.join_string, |join| join.instruction_key = foreign.instruction_key);
    let refused = agent.join(&foreign_key).await;
    assert_eq!(refused.code, 1, "{}", refused.said());
    assert!(refused.err.contains("another installation"), "{}", refused.said());
    let front = Proxy::start(installation.server.operators).await.unwrap();
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<p/>";
    front.fail(Fault::Answer(page.into()));
    let other = Agent::new(installation.server.folder(), "lost", "words-lost");
    let to_front = format!("http://{}", front.address());
    let second = installation.token().await;
    let captive = changed(&second.join_string, |join| join.urls = vec![to_front.parse().unwrap()]);
    assert_says(&other.join(&captive).await, 1, &["no answer of a Muster server", "proxy"]);
    let busy = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 300\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    front.fail(Fault::Answer(busy.into()));
    assert_says(&other.join(&captive).await, 3, &["nothing is lost", "in 300 seconds"]);
    let moved = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    front.fail(Fault::Answer(moved.into()));
    assert_says(&other.join(&captive).await, 1, &["307"]);
    assert_unspent(&installation, &second).await;
    other.joined(&second.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c16_a_state_folder_that_cannot_be_written() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let folder = installation.server.folder();
    let full = Agent::new(folder, "full", "words-full");
    let fill = "! cat /dev/zero > \"$MUSTER_AGENT_STATE/ballast\" 2>/dev/null";
    let ended = join_on_own_file_system(&full, &token.join_string, fill).await;
    assert_says(&ended, 1, &["no space left on device", "nothing was sent", "free space"]);
    let read_only = Agent::new(folder, "read-only", "words-read-only");
    let remount = "mount -o remount,ro \"$MUSTER_AGENT_STATE\"";
    let ended = join_on_own_file_system(&read_only, &token.join_string, remount).await;
    assert_says(&ended, 1, &["read-only file system", "nothing was sent", "remount"]);
    let file = Agent::new(folder, "file", "words-file");
    fs::write(&file.state, "in the way").unwrap();
    assert_says(&file.join(&token.join_string).await, 1, &["is not a folder"]);
    let open = Agent::new(folder, "open", "words-open");
    fs::create_dir(&open.state).unwrap();
    fs::set_permissions(&open.state, fs::Permissions::from_mode(0o755)).unwrap();
    assert_says(&open.join(&token.join_string).await, 1, &["open to other users", "chmod 0700"]);
    assert_unspent(&installation, &token).await;
    full.joined(&token.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tickets_that_open_nothing_and_strings_that_are_none() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let folder = installation.server.folder();
    Agent::new(folder, "first", "words-first").joined(&token.join_string).await;
    let late = Agent::new(folder, "late", "words-late");
    let id = token.ticket.id.to_string();
    assert_says(
        &late.join(&token.join_string).await,
        1,
        &["did not accept the ticket", "muster ticket why", &id, "request"],
    );
    let bare = Agent::new(folder, "bare", "words-bare");
    for (text, words) in [
        ("", "must begin with"),
        ("mse_abc", "must begin with"),
        (&token.join_string[..token.join_string.len() - 3], "damaged"),
        (&token.join_string.replacen("muster1.", "muster1.A", 1), "damaged"),
    ] {
        assert_says(&bare.join(text).await, 2, &[words]);
    }
    let run = binaries::run(bare.command(&["run"]), None, Duration::from_secs(10)).await.unwrap();
    assert_says(&run, 1, &["has not joined", "muster-agent join"]);
    late.joined(&installation.token().await.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c10_two_agents_on_one_state_folder() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "one", "words-one");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    installation.until_presence(host, "online", Duration::from_secs(10)).await;
    let second = binaries::run(agent.command(&["run"]), None, Duration::from_secs(10)).await.unwrap();
    assert_says(&second, 1, &["another muster-agent uses the state folder"]);
    assert!(agent.is_running());
}

async fn backup(installation: &Installation, host: HostId, source: &Path) -> Value {
    let body = json!({ "work": { "kind": "backup", "paths": [source] } });
    let job = installation.ask(Method::POST, &format!("/v1/hosts/{host}/jobs"), Some(&body)).await;
    assert_eq!(job.status, 201, "{}", job.text);
    job.json
}

async fn ended(installation: &Installation, job: &Value) -> Value {
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    until("the job does not end", JOB_WITHIN, async || {
        let job = installation.ask(Method::GET, &path, None).await.json;
        ["succeeded", "failed", "cancelled", "lost"].contains(&job["state"].as_str().unwrap()).then_some(job)
    })
    .await
}

/// The job fails in one line that says all of `words`.
async fn assert_fails(installation: &Installation, host: HostId, source: &Path, words: &[&str]) {
    let job = backup(installation, host, source).await;
    let job = ended(installation, &job).await;
    assert_eq!(job["state"], "failed", "{job}");
    let reason = job["failure"].as_str().unwrap_or_default();
    assert!(!reason.contains('\n') && words.iter().all(|word| reason.contains(word)), "{words:?}: {reason}");
}

async fn set_repo(installation: &Installation, host: HostId, patch: Value) {
    let path = format!("/v1/hosts/{host}/secrets/repo");
    let put = installation.ask(Method::PUT, &path, Some(&patch)).await;
    assert_eq!(put.status, 200, "{}", put.text);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_that_fail_say_why_and_succeed_once_it_is_mended() {
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder().to_owned();
    let repository = RepositoryServer::start(&folder.join("repository"), "host", "right-one").await.unwrap();
    let secret = json!({ "url": repository.url(), "user": "host", "http_password": "right-one", "password": "opens-it" });
    let token = installation.token_with(json!({ "secrets": { "repo": secret } })).await;
    let source = folder.join("precious");
    fs::create_dir_all(&source).unwrap();
    fs::write(source.join("file"), "worth keeping").unwrap();

    let mut agent = Agent::new(&folder, "worker", "words-worker");
    agent.path = Some("/nonexistent".into());
    let host = agent.joined(&token.join_string).await;
    agent.run();
    assert_fails(&installation, host, &source, &["restic is not installed", "apt install restic"]).await;
    assert_eq!(agent.stop().await, 0);
    agent.path = None;
    agent.run();

    let first = backup(&installation, host, &source).await;
    assert_eq!(ended(&installation, &first).await["state"], "succeeded");
    assert_fails(&installation, host, &folder.join("gone"), &["does not exist"]).await;
    set_repo(&installation, host, json!({ "password": "opens-nothing" })).await;
    assert_fails(&installation, host, &source, &["password does not open", "correct `password`"]).await;
    set_repo(&installation, host, json!({ "password": "opens-it", "http_password": "wrong" })).await;
    assert_fails(&installation, host, &source, &["refuses the user name or password"]).await;
    let nobody = format!("rest:http://{}/", ports::free());
    set_repo(&installation, host, json!({ "url": nobody, "http_password": "right-one" })).await;
    assert_fails(&installation, host, &source, &["cannot be reached", "start the job again"]).await;
    set_repo(&installation, host, json!({ "url": repository.url() })).await;
    let last = backup(&installation, host, &source).await;
    let last = ended(&installation, &last).await;
    assert_eq!(last["state"], "succeeded", "{last}");
    let snapshots = repository.snapshots("opens-it").await.unwrap();
    assert_eq!(snapshots.len(), 2);
    let id = last["result"]["snapshot_id"].as_str().unwrap();
    assert!(snapshots.iter().any(|snapshot| snapshot.starts_with(id)), "{id} is not in {snapshots:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c19_restic_dies_with_its_agent_and_the_job_is_lost_not_stuck() {
    let installation = Installation::start(Backend::Sqlite).await;
    let folder = installation.server.folder().to_owned();
    let bin = folder.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let mark = folder.join("restic.pid");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *backup*) echo $$ > '{}'; exec sleep 600;; esac\nexit 0\n",
        mark.display()
    );
    fs::write(bin.join("restic"), script).unwrap();
    fs::set_permissions(bin.join("restic"), fs::Permissions::from_mode(0o755)).unwrap();
    let secret = json!({ "url": "rest:http://127.0.0.1:9/", "password": "x" });
    let token = installation.token_with(json!({ "secrets": { "repo": secret } })).await;
    let mut agent = Agent::new(&folder, "killed", "words-killed");
    agent.path = Some(binaries::path_with(&bin));
    let host = agent.joined(&token.join_string).await;
    agent.run();
    let job = backup(&installation, host, &folder).await;
    let pid = until("restic does not start", Duration::from_secs(15), async || {
        fs::read_to_string(&mark).ok().and_then(|pid| pid.trim().parse::<u32>().ok())
    })
    .await;
    agent.kill9();
    until("restic outlives its agent", Duration::from_secs(5), async || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        (stat.is_empty() || stat.contains(") Z ")).then_some(())
    })
    .await;
    agent.run();
    let job = ended(&installation, &job).await;
    assert_eq!(job["state"], "lost", "{job}");
}
