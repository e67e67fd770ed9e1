//! `muster-agent doctor`: it finds what is in the way, changes nothing, and tells nobody a secret.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;

use muster_testkit::binaries::Ended;
use muster_testkit::canary::{self, Canary};
use muster_testkit::connect_proxy::{ConnectProxy, Service};
use muster_testkit::imposter::{Face, Imposter, Manner, Wrong};
use muster_testkit::ports;
use muster_wire::JoinString;
use muster_wire::ticket::TicketStatus;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::harness::{Agent, Backend, Installation};

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What `doctor -o json` says.
async fn doctor(agent: &Agent, join_string: Option<&str>) -> (i32, Vec<(String, String, String)>, Ended) {
    let arguments: &[&str] =
        if join_string.is_some() { &["doctor", "-o", "json", "--stdin"] } else { &["doctor", "-o", "json"] };
    let ended = agent.carry_out(arguments, join_string).await;
    let report: Value = serde_json::from_str(&ended.out).unwrap_or_else(|_| panic!("{}", ended.said()));
    let word = |check: &Value, field: &str| check[field].as_str().unwrap_or_default().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.map(|check| (word(check, "check"), word(check, "outcome"), word(check, "said")));
    (ended.code, checks.collect(), ended)
}

/// There is a line of `check` with this outcome that says all of `words`.
fn assert_finds(checks: &[(String, String, String)], check: &str, outcome: &str, words: &[&str]) {
    let fits = |(name, found, said): &(String, String, String)| {
        name == check && found == outcome && words.iter().all(|word| said.contains(word))
    };
    assert!(checks.iter().any(fits), "no {outcome} of {check} with {words:?} in {checks:#?}");
}

fn has(checks: &[(String, String, String)], check: &str) -> bool {
    checks.iter().any(|(name, _, _)| name == check)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn before_a_machine_joins_the_way_is_looked_at_and_the_ticket_is_not_spent() {
    let installation = Installation::start(Backend::Sqlite).await;
    let token = installation.token().await;
    let agent = Agent::new(installation.server.folder(), "early", "doctor-early");
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 0, "{checks:#?}");
    assert_finds(&checks, "state folder", "warn", &["muster-agent join"]);
    assert_finds(&checks, "identity", "warn", &["has not joined"]);
    assert_finds(&checks, "server", "warn", &["--stdin"]);
    let (code, checks, ended) = doctor(&agent, Some(&token.join_string)).await;
    assert_eq!(code, 0, "{checks:#?}");
    assert_finds(&checks, "dns", "ok", &["127.0.0.1"]);
    assert_finds(&checks, "tcp", "ok", &[]);
    assert_finds(&checks, "proxy", "ok", &["HTTPS_PROXY is not set"]);
    assert_finds(&checks, "tls", "ok", &["pinned key (current", &installation.pins[0]]);
    assert_finds(&checks, "server", "ok", &["a Muster server answers, version", env!("CARGO_PKG_VERSION")]);
    assert_finds(&checks, "clock", "ok", &["agrees"]);
    let id = token.ticket.id.to_string();
    assert_finds(&checks, "ticket", "ok", &["a one-time enrolment token", &id, "not presented"]);
    assert!(!has(&checks, "key"), "{checks:#?}");
    assert!(!agent.state.exists(), "the doctor made a state folder");
    let canaries = [Canary::new("the ticket", &token.token), Canary::new("its secret", &token.token[17..60])];
    assert_eq!(canary::sightings(&canaries, "doctor", ended.said().as_bytes()), Vec::<String>::new());
    let ticket: muster_wire::ticket::Ticket =
        installation.owner.api.get(&format!("/v1/tickets/{id}")).await.unwrap();
    assert_eq!(ticket.status, TicketStatus::Open);
    assert_eq!(installation.server.metric("muster_enrolments_total").await, 0.0, "the ticket was presented");
    agent.joined(&token.join_string).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_at_work_is_not_disturbed_and_a_revoked_one_is_told_so() {
    let installation = Installation::start(Backend::Sqlite).await;
    let mut agent = Agent::new(installation.server.folder(), "steady", "doctor-steady");
    let host = agent.joined(&installation.token().await.join_string).await;
    agent.run();
    agent.until_at_work().await;
    let before = fs::read(agent.state.join("generation.json")).unwrap();
    let text = agent.carry_out(&["doctor"], None).await;
    assert_eq!(text.code, 0, "{}", text.said());
    assert!(text.out.lines().any(|line| line.starts_with("ok    key ")), "{}", text.out);
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 0, "{checks:#?}");
    assert_finds(&checks, "state folder", "ok", &[&format!("process {}", agent.pid())]);
    assert_finds(&checks, "writing", "ok", &[]);
    assert_finds(&checks, "state files", "ok", &["private"]);
    assert_finds(&checks, "identity", "ok", &[&host.to_string()]);
    assert_finds(&checks, "key", "ok", &["takes this machine's key"]);
    assert_finds(&checks, "clock", "ok", &["agrees"]);
    assert_finds(&checks, "policy", "ok", &["backup"]);
    assert_eq!(fs::read(agent.state.join("generation.json")).unwrap(), before, "the generation moved");
    assert_eq!(installation.server.metric("muster_channels").await, 1.0);
    assert_eq!(installation.server.metric("muster_channel_violations_total").await, 0.0);
    assert!(installation.claims().await.is_empty());
    assert!(agent.is_running() && !agent.said().contains("next_try_secs"), "{}", agent.said());
    agent.stop().await;
    installation.retire(host).await;
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 1, "{checks:#?}");
    assert_finds(&checks, "key", "fail", &["revoked this key, with its signature", "new join string"]);
    assert!(agent.key_bytes().is_some(), "the doctor gave the key up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b23_no_credential_goes_to_a_server_that_failed() {
    let installation = Installation::start(Backend::Sqlite).await;
    let agent = Agent::new(installation.server.folder(), "host", "doctor-host");
    agent.joined(&installation.token().await.join_string).await;
    let ticket = installation.token().await;
    let canaries = [
        Canary::of_bytes("the key", &agent.key_bytes().unwrap()[36..68]),
        Canary::new("the ticket", &ticket.token),
    ];
    let page =
        "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<p/>";
    let face = Face::new("127.0.0.1", None, Wrong::Nothing);
    let nobody = Face::new("127.0.0.1", None, Wrong::Nothing).pin;
    for (what, pins, check, words) in [
        (
            "another key",
            vec![nobody.clone()],
            "tls",
            vec![nobody.as_str(), face.pin.as_str(), "nothing was sent"],
        ),
        ("no pin", Vec::new(), "tls", vec![face.pin.as_str(), "none is pinned"]),
        ("no Muster", vec![face.pin.clone()], "server", vec!["no answer of a Muster server"]),
    ] {
        let imposter = Imposter::start(LOOPBACK, Manner::Tls(face.clone()), page).await;
        let url = format!("https://{}", imposter.address());
        agent.believes(std::slice::from_ref(&url), &pins);
        let mut join: JoinString = ticket.join_string.parse().unwrap();
        (join.urls, join.pins) = (vec![url.parse().unwrap()], pins.clone());
        let deceived = join.expose().expose_secret().to_owned();
        for join_string in [None, Some(deceived.as_str())] {
            let (code, checks, ended) = doctor(&agent, join_string).await;
            assert_eq!(code, 1, "{what}: {checks:#?}");
            assert_finds(&checks, check, "fail", &words);
            assert!(!has(&checks, "key"), "{what}: {checks:#?}");
            assert_eq!(canary::sightings(&canaries, what, ended.said().as_bytes()), Vec::<String>::new());
        }
        assert_eq!(canary::sightings(&canaries, what, &imposter.wire()), Vec::<String>::new());
        let inside = String::from_utf8_lossy(&imposter.inside()).to_lowercase();
        assert_eq!(canary::sightings(&canaries, what, inside.as_bytes()), Vec::<String>::new());
        assert!(!inside.contains("dpop") && !inside.contains("authorization"), "{what}: {inside}");
        assert_eq!(inside.contains("get /healthz"), what == "no Muster", "{what}: {inside}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_way_ends_is_said_in_words() {
    let installation = Installation::start(Backend::Sqlite).await;
    let agent = Agent::new(installation.server.folder(), "host", "doctor-host");
    agent.joined(&installation.token().await.join_string).await;
    let closed = format!("https://{}", ports::free());
    let at = |urls: &[&str]| {
        let urls: Vec<String> = urls.iter().copied().map(str::to_owned).collect();
        agent.believes(&urls, &installation.pins);
    };
    at(&[&closed]);
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "tcp", "fail", &["refused the connection"]);
    // Where another address works, one that does not is a warning.
    at(&[&closed, installation.server.machines_url().as_str()]);
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 0, "{checks:#?}");
    assert_finds(&checks, "tcp", "warn", &["another address works"]);
    at(&["https://nowhere.invalid:8643"]);
    let (code, checks, _) = doctor(&agent, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "dns", "fail", &["nowhere.invalid", "DNS"]);
    at(&["http://192.0.2.7:8643"]);
    assert_finds(&doctor(&agent, None).await.1, "server", "fail", &["plain http"]);
    let proxy = ConnectProxy::start(Service::Refuse("407 Proxy Authentication Required")).await;
    at(&["https://muster.test:8643"]);
    let mut behind = agent;
    behind.environment.push(("HTTPS_PROXY", format!("http://user:canary-word@{}", proxy.address())));
    let mut said = String::new();
    for (service, words) in [
        (
            Service::Refuse("407 Proxy Authentication Required"),
            vec!["wants a user and a password", "HTTPS_PROXY"],
        ),
        (Service::Refuse("502 Bad Gateway"), vec!["cannot reach muster.test:8643", "is the server running"]),
        (Service::Refuse("403 Forbidden"), vec!["does not allow connections to muster.test:8643"]),
        (Service::Silence, vec!["took longer than", "the proxy"]),
    ] {
        proxy.serve(service);
        let (code, checks, ended) = doctor(&behind, None).await;
        assert_eq!(code, 1);
        assert_finds(&checks, "proxy", "fail", &words);
        said.push_str(&ended.said());
    }
    behind.environment = vec![("HTTPS_PROXY", "socks5://user:canary-word@127.0.0.1:1".to_owned())];
    let (code, checks, ended) = doctor(&behind, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "proxy", "fail", &["only http:// proxies"]);
    assert!(!format!("{said}{}", ended.said()).contains("canary"), "the proxy's password was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c16_a_state_that_is_open_damaged_or_gone_is_named() {
    let installation = Installation::start(Backend::Sqlite).await;
    let spoilt = async |name: &str| {
        let agent = Agent::new(installation.server.folder(), name, &format!("doctor-{name}"));
        agent.joined(&installation.token().await.join_string).await;
        agent
    };
    let open = spoilt("open").await;
    fs::set_permissions(open.state.join("key.pk8"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_finds(&doctor(&open, None).await.1, "state files", "warn", &["key.pk8", "chmod 0600"]);
    fs::set_permissions(&open.state, fs::Permissions::from_mode(0o755)).unwrap();
    let (code, checks, _) = doctor(&open, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "state folder", "fail", &["open to other users", "chmod 0700"]);
    let torn = spoilt("torn").await;
    fs::write(torn.state.join("config.json"), "{ \"canary-word").unwrap();
    let (code, checks, ended) = doctor(&torn, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "state files", "fail", &["config.json", "damaged"]);
    assert!(!ended.said().contains("canary"), "{}", ended.said());
    let keyless = spoilt("keyless").await;
    fs::remove_file(keyless.state.join("key.pk8")).unwrap();
    let (code, checks, _) = doctor(&keyless, None).await;
    assert_eq!(code, 1);
    assert_finds(&checks, "identity", "fail", &["its key is missing", "muster-agent reset"]);
    let limited = spoilt("limited").await;
    let policy = limited.home.join("policy.toml");
    fs::write(&policy, "[jobs]\nallow = [\"bakup\"]\n").unwrap();
    let ended = limited.carry_out(&["--policy", policy.to_str().unwrap(), "doctor"], None).await;
    assert_eq!(ended.code, 1, "{}", ended.said());
    assert!(ended.out.contains("fail  policy") && ended.out.contains("line 2"), "{}", ended.out);
    let ended = limited.carry_out(&["--restic", "/nowhere/restic", "doctor"], None).await;
    assert_eq!(ended.code, 0, "{}", ended.said());
    assert!(ended.out.contains("warn  restic"), "{}", ended.out);
}
