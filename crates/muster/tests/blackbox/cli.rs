//! The command line through the real binary: from an empty server to a list of hosts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use muster_testkit::binaries::{self, Ended};
use muster_testkit::canary::mode;
use serde_json::Value;

use crate::harness::{Agent, Backend, Server, both, until};

/// One operator at one terminal: a context file of their own.
pub(crate) struct Terminal {
    home: PathBuf,
    context: PathBuf,
}

impl Terminal {
    pub(crate) fn new(server: &Server, name: &str) -> Self {
        let home = server.folder().join(name);
        Self { context: home.join("context.toml"), home }
    }

    /// The first admin of a server nobody set up yet.
    pub(crate) async fn first_admin(server: &Server) -> Self {
        let admin = Self::new(server, "admin");
        let (url, code_file) = (server.operators_url().to_string(), server.data.join("setup-code"));
        let setup = ["setup", "--url", &url, "--code-file", code_file.to_str().unwrap()];
        admin.run(&setup, None).await.succeeded();
        admin
    }

    /// Where the token is kept.
    pub(crate) fn context(&self) -> &Path {
        &self.context
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binaries::command(std::path::Path::new(env!("CARGO_BIN_EXE_muster")));
        command.args(arguments).env("MUSTER_CONTEXT", &self.context).env("HOME", &self.home);
        for name in ["MUSTER_URL", "MUSTER_TOKEN_FILE", "MUSTER_PIN"] {
            command.env_remove(name);
        }
        command
    }

    pub(crate) async fn run(&self, arguments: &[&str], input: Option<&str>) -> Ended {
        binaries::run(self.command(arguments), input, Duration::from_secs(20)).await.unwrap()
    }

    pub(crate) async fn says(&self, arguments: &[&str]) -> String {
        self.run(arguments, None).await.succeeded().trim().to_owned()
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> Value {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["-o", "json"]).collect();
        let said = self.says(&arguments).await;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

both! {
    async fn from_an_empty_server_to_a_list_of_hosts(backend: Backend) {
        let server = Server::start(backend).await;
        let url = server.operators_url().to_string();
        let code_file = server.data.join("setup-code");
        let admin = Terminal::new(&server, "admin");
        let setup = ["setup", "--url", &url, "--code-file", code_file.to_str().unwrap()];
        admin.run(&setup, None).await.succeeded();
        assert_eq!(mode(&admin.context), Some(0o600), "the context file holds a token");
        let again = admin.run(&["setup", "--url", &url, "AAAA-AAAA-AAAA-AAAA"], None).await;
        assert_ne!(again.code, 0);
        assert!(again.err.contains("next:"), "{}", again.said());

        let me = admin.json(&["whoami"]).await;
        assert_eq!(me["role"], "admin", "{me}");
        let team = admin.json(&["team", "create", "workshop"]).await;
        let minted = admin.json(&["team", "owner", "workshop", "Ada"]).await;
        assert_eq!(minted["team_id"], team["id"], "{minted}");

        let owner = Terminal::new(&server, "owner");
        let refused = owner.run(&["host", "list", "--url", &url], None).await;
        assert!(refused.code != 0 && refused.err.contains("muster login"), "{}", refused.said());
        let token = minted["token"].as_str().unwrap();
        owner.run(&["login", "--url", &url], Some(token)).await.succeeded();
        assert_eq!(owner.json(&["whoami"]).await["role"], "owner");

        let site = owner.json(&["site", "create", "floor"]).await;
        assert_eq!(site["name"], "floor", "{site}");
        let key = owner.says(&["ticket", "mint-site-key", "floor", "-q"]).await;
        assert!(key.starts_with("muster1."), "-q writes the join string alone");
        let ticket = owner.json(&["ticket", "mint-token", "--name", "db-1", "--site", "floor", "--tag", "role:db"]).await;
        assert_eq!(ticket["ticket"]["host_name"], "db-1", "{}", ticket["ticket"]);

        let mut agent = Agent::new(server.folder(), "db-1", &format!("cli-{backend:?}"));
        let host = agent.joined(ticket["join_string"].as_str().unwrap()).await.to_string();
        agent.run();
        let hosts = until("the host is not online", Duration::from_secs(10), async || {
            let hosts = owner.json(&["host", "list", "--presence", "online"]).await;
            (hosts["items"].as_array()?.len() == 1).then_some(hosts)
        })
        .await;
        let listed = &hosts["items"][0];
        assert_eq!((listed["id"].as_str(), &listed["door"]), (Some(host.as_str()), &Value::from(1)), "{listed}");
        assert_eq!(listed["tags"], serde_json::json!(["role:db"]), "{listed}");
        let table = owner.says(&["host", "list"]).await;
        assert!(table.lines().count() == 2 && table.contains("db-1") && table.contains("online"), "{table}");

        let stays = owner.run(&["host", "change", "db-1", "--resume"], None).await;
        assert!(stays.code == 0 && stays.err.contains("nothing was changed"), "{}", stays.said());
        owner.says(&["view", "set", "fresh", "tag=role:db&seen_after=1h"]).await;
        let viewed = async |more: &[&str]| {
            let list = owner.json(&[&["host", "list", "--view", "fresh"], more].concat()).await;
            list["items"].as_array().unwrap().len()
        };
        assert_eq!((viewed(&[]).await, viewed(&["--tag", "role:web"]).await), (1, 0));
        let unknown = owner.run(&["host", "list", "--view", "stale"], None).await;
        assert!(unknown.code == 1 && unknown.err.contains("muster view list"), "{}", unknown.said());

        let spent = agent_of(&server, backend, "late").join(ticket["join_string"].as_str().unwrap()).await;
        assert_eq!(spent.code, 1, "{}", spent.said());
        let id = ticket["ticket"]["id"].as_str().unwrap();
        let why = owner.json(&["ticket", "why", id]).await;
        let cause = why["items"][0]["cause"].as_str().unwrap_or_default().to_owned();
        assert!(cause.contains("spent"), "{why}");
        assert!(!owner.says(&["ticket", "why", id]).await.is_empty());

        let retired = owner.run(&["host", "retire", "db-1", "--yes"], None).await;
        assert_eq!(retired.code, 0, "{}", retired.said());
        assert_eq!(agent.ended(Duration::from_secs(5)).await, 5, "{}", agent.said());
        let trail = until("the audit trail is not sealed", Duration::from_secs(5), async || {
            let trail = owner.json(&["audit", "list", "--all"]).await;
            trail["items"].as_array()?.iter().any(|entry| entry["action"] == "host.retired").then_some(trail)
        })
        .await;
        assert!(trail["items"].as_array().unwrap().iter().any(|entry| entry["action"] == "host.enrolled"));
    }
}

fn agent_of(server: &Server, backend: Backend, name: &str) -> Agent {
    Agent::new(server.folder(), name, &format!("cli-{backend:?}-{name}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_what_to_do_next() {
    let mut server = Server::start(Backend::Sqlite).await;
    let url = server.operators_url().to_string();
    server.kill9();
    let terminal = Terminal::new(&server, "operator");
    let cases: [(&[&str], i32, &str); 4] = [
        (&["setup", "--url", &url, "AAAA-AAAA-AAAA-AAAA"], 3, "muster serve"),
        (&["host", "list", "--url", "http://192.0.2.7:8600"], 1, "muster login"),
        (&["host", "frobnicate"], 2, "--help"),
        (&["serve", "--data-dir", "/proc/nowhere"], 1, "/proc/nowhere"),
    ];
    for (arguments, code, words) in cases {
        let ended = terminal.run(arguments, None).await;
        assert!(
            ended.code == code && ended.err.contains(words),
            "{arguments:?}: {} {}",
            ended.code,
            ended.said()
        );
        assert!(!ended.said().contains("panicked"), "{}", ended.said());
    }
    server.launch().await;
    let serve = [
        "serve",
        "--data-dir",
        server.data.to_str().unwrap(),
        "--operators",
        "127.0.0.1:0",
        "--machines",
        "127.0.0.1:0",
    ];
    let second = terminal.run(&serve, None).await;
    assert!(
        second.code != 0 && second.err.contains("in use"),
        "two servers on one data folder: {}",
        second.said()
    );
    let open = terminal.run(&["serve", "--operators", "0.0.0.0:0", "--data-dir", "/tmp/never"], None).await;
    assert!(open.code != 0 && open.err.contains("loopback"), "{}", open.said());
}

/// A server without its master key does not make another one over existing data (SECURITY C25).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c25_a_missing_or_wrong_master_key_is_refused() {
    let mut installation = crate::harness::Installation::start(Backend::Sqlite).await;
    let host = installation.machine("steady").admitted(&installation.site_key.token).await;
    installation.server.stop().await;
    let server = &mut installation.server;
    let file = server.data.join("master.key");
    let key = std::fs::read(&file).unwrap();
    let data = server.data.to_str().unwrap().to_owned();
    let serve = ["serve", "--data-dir", &data, "--operators", "127.0.0.1:0", "--machines", "127.0.0.1:0"];
    std::fs::remove_file(&file).unwrap();
    {
        let terminal = Terminal::new(server, "operator");
        let missing = terminal.run(&serve, None).await;
        assert!(missing.code != 0 && missing.err.contains("master key"), "{}", missing.said());
        assert!(!file.exists(), "a new master key was made over existing data");
        let other = tempfile::tempdir().unwrap();
        let fresh = Server::start(Backend::Sqlite).await;
        std::fs::copy(fresh.data.join("master.key"), other.path().join("key")).unwrap();
        std::fs::copy(other.path().join("key"), &file).unwrap();
        let wrong = terminal.run(&serve, None).await;
        assert!(wrong.code != 0 && wrong.err.contains("master key"), "{}", wrong.said());
    }
    std::fs::write(&file, key).unwrap();
    server.launch().await;
    assert_eq!(installation.host(host).await.id, host);
}

both! {
    async fn providers_people_sign_in_with_are_set_checked_and_removed(backend: Backend) {
        let server = Server::start(backend).await;
        let url = server.operators_url().to_string();
        let code_file = server.data.join("setup-code");
        let admin = Terminal::new(&server, "admin");
        admin.run(&["setup", "--url", &url, "--code-file", code_file.to_str().unwrap()], None).await.succeeded();
        admin.says(&["team", "create", "acme"]).await;
        let set = ["oidc", "set", "corp", "--issuer", "http://127.0.0.2:9", "--client-id", "muster"];
        let missing = admin.run(&set, None).await;
        assert!(missing.code == 2 && missing.err.contains("--secret-file"), "{}", missing.said());
        let whole = [&set[..], &["--secret-file", "-", "--map", "ops=operator@acme", "--map", "root=admin@platform"]];
        let shown = admin.run(&whole.concat(), Some("canary-7f3a\n")).await.succeeded();
        assert!(shown.contains("/v1/oidc/callback") && !shown.contains("canary-7f3a"), "{shown}");
        let kept = admin.json(&["oidc", "set", "corp", "--groups-claim", "roles"]).await;
        assert_eq!((&kept["groups_claim"], kept["mappings"].as_array().unwrap().len()), (&"roles".into(), 2));
        assert!(admin.says(&["oidc", "list"]).await.contains("http://127.0.0.2:9"));
        let elsewhere = admin.run(&["oidc", "set", "corp", "--issuer", "https://evil.example"], None).await;
        assert!(elsewhere.code == 1 && elsewhere.err.contains("/client_secret"), "{}", elsewhere.said());
        let checked = admin.run(&["oidc", "check", "corp"], None).await;
        assert_eq!(checked.code, 1, "{}", checked.said());
        assert!(checked.out.contains("WRONG") && checked.out.contains("loopback"), "{}", checked.said());
        admin.says(&["oidc", "remove", "corp"]).await;
        assert_eq!(admin.json(&["oidc", "list"]).await["items"].as_array().unwrap().len(), 0);
    }
}
