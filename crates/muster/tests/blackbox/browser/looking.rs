//! What pages show: text of strangers, without scripts, at every width, and of a large fleet.

use http::Method;
use muster_testkit::ports;
use serde_json::{Value, json};

use super::Scene;
use super::fleet;
use crate::harness::{Backend, Installation, Machine, Server};

/// What a machine may say about itself in free text; a name of a machine may not hold any of it.
const HOSTILE: [&str; 4] = [
    "<script>window.ran=1</script>",
    "\"><img src=x onerror=window.ran=1>",
    "'-window.ran=1-'{{7*7}}${window.ran=1}",
    "</title></textarea></script><svg onload=window.ran=1>",
];
/// The hosts of a large fleet.
const HOSTS: u64 = 100_000;
/// The right-to-left override turns what stands behind it around, so that a name looks like another.
const TURNED: &str = "invoice\u{202e}txt.exe";

fn hostile_report(machine: &Machine, hostname: &str) -> Value {
    let mut report = machine.report();
    report["hostname"] = json!(hostname);
    report["facts"] = json!({
        "os": HOSTILE[0], "arch": "\"><b>arch</b>", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1,
        "versions": { "restic": HOSTILE[2] },
    });
    report["labels"] = json!({
        "company": HOSTILE[1], "department": HOSTILE[3], "device_type": HOSTILE[0], "tags": ["a=b/c:d"],
    });
    report
}

/// The longest name a machine may have.
fn long_name() -> String {
    let name = [["x"; 63].concat(), ["y"; 63].concat(), ["z"; 63].concat(), ["w"; 61].concat()].join(".");
    assert_eq!(name.len(), 253);
    name
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_machines_and_people_say_is_text_everywhere() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let machine = installation.machine("honest");
    for (what, hostname) in [("hostname", HOSTILE[0]), ("hostname", TURNED)] {
        let refused =
            machine.enrol_as(&installation.site_key.token, &hostile_report(&machine, hostname)).await;
        assert_eq!(refused.unwrap().status, 422, "{what} {hostname:?}");
    }
    let body = json!({ "name": HOSTILE[1], "site_id": installation.site });
    let invited = scene.post("/v1/hosts", &body).await;
    let registration = invited["registration"]["token"].as_str().unwrap();
    let joined = machine.enrol_as(registration, &hostile_report(&machine, &long_name())).await.unwrap();
    assert!(joined.status < 300, "{}", joined.text);
    let host = joined.json["host_id"].as_str().unwrap().to_owned();
    // A channel would tell other facts.
    assert_eq!(machine.heartbeat(host.parse().unwrap()).await.status, 200);
    let twin = machine.twin("twin");
    let waits = twin.enrol_as(&installation.site_key.token, &hostile_report(&twin, "twin")).await.unwrap();
    assert_eq!(waits.status, 202, "{}", waits.text);
    scene.post("/v1/sites", &json!({ "name": HOSTILE[2] })).await;
    scene.post("/v1/invitations", &json!({ "name": HOSTILE[3], "role": "viewer" })).await;
    let job = scene.job(&host, &format!("/srv/{}", HOSTILE[0])).await;
    let settings = json!({ "host": host, "job": job["id"], "claim": waits.json["claim_id"], "name": HOSTILE[1],
        "hostname": long_name(), "os": HOSTILE[0], "twin": "twin", "site": HOSTILE[2], "person": HOSTILE[3] });
    scene.play("hostile", settings).ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_scripts_everything_can_be_read_and_set() {
    let scene = Scene::start().await;
    let installation = &scene.installation;
    let mut hosts = Vec::new();
    for name in ["alder", "birch", "cedar"] {
        hosts.push(installation.machine(name).admitted(&installation.site_key.token).await);
    }
    let settings = json!({ "host": hosts[1], "name": "birch", "others": ["alder", "cedar"] });
    scene.play("no_script", settings).ends().await;
    let tags =
        installation.ask(Method::GET, &format!("/v1/hosts/{}", hosts[1]), None).await.json["tags"].clone();
    assert_eq!(tags, json!(["rack-7", "role:db"]), "{tags}");
}

/// A team in which there is something of everything.
async fn busy() -> (Scene, Vec<crate::harness::Channel>) {
    let mut server = Server::prepare(Backend::Sqlite);
    server.add_arguments(&["--allow-outbound", "127.0.0.1/32"]);
    server.launch().await;
    let scene = Scene::over(Installation::over(server).await).await;
    let installation = &scene.installation;
    let mut channels = Vec::new();
    for number in 0..6 {
        let machine = installation.machine(&format!("press-{number}"));
        let host = machine.admitted(&installation.site_key.token).await;
        let tags = json!({ "tags": ["line:a", format!("rack-{number}")] });
        let set = installation.ask(Method::PUT, &format!("/v1/hosts/{host}/tags"), Some(&tags)).await;
        assert_eq!(set.status, 200, "{}", set.text);
        match number {
            0 => {
                let twin = machine.twin("press-0-again");
                assert_eq!(twin.enrol(&installation.site_key.token).await.unwrap().status, 202);
            }
            1 => drop(installation.suspend(host).await),
            2 => drop(installation.retire(host).await),
            _ => {
                let mut channel = machine.connect(host).await;
                assert!(channel.is_alive().await);
                channels.push(channel);
            }
        }
        if number == 3 {
            scene.job(&host.to_string(), "/srv/data").await;
        }
    }
    installation.invite("expected-soon").await;
    installation.token().await;
    let hook = json!({ "name": "hook", "target": { "webhook": { "url": format!("http://{}/hook", ports::free()) } } });
    scene.post("/v1/endpoints", &hook).await;
    scene.post("/v1/invitations", &json!({ "name": "Grace Hopper", "role": "operator" })).await;
    scene.post("/v1/sites", &json!({ "name": "warehouse" })).await;
    (scene, channels)
}

async fn page_of_each_kind(installation: &Installation) -> Value {
    let first = async |list: &str| {
        let listed = installation.ask(Method::GET, list, None).await;
        listed.json["items"][0]["id"].as_str().unwrap_or_else(|| panic!("{list}: {}", listed.text)).to_owned()
    };
    let online = first("/v1/hosts?presence=online").await;
    let claim = first("/v1/claims?state=waiting").await;
    let (job, ticket) = (first("/v1/jobs").await, first("/v1/tickets?kind=site_key").await);
    let site = installation.site;
    let keys = installation.ask(Method::GET, &format!("/v1/hosts/{online}/keys"), None).await.json;
    let key = keys["items"][0]["name"].as_str().unwrap().to_owned();
    let (endpoint, person) = (first("/v1/endpoints").await, first("/v1/people").await);
    json!({
        "host": format!("/hosts/{online}"), "host-activity": format!("/hosts/{online}/activity"),
        "host-jobs": format!("/hosts/{online}/jobs"), "host-secrets": format!("/hosts/{online}/secrets"),
        "host-keys": format!("/hosts/{online}/keys"), "host-manage": format!("/hosts/{online}/manage"),
        "host-retire": format!("/hosts/{online}/retire"), "key-revoke": format!("/hosts/{online}/keys/{key}/revoke"),
        "claim": format!("/approvals/{claim}"), "claims-decided": "/approvals?state=new", "job": format!("/jobs/{job}"),
        "ticket": format!("/tickets/{ticket}"), "ticket-rotate": format!("/tickets/{ticket}/rotate"),
        "ticket-revoke": format!("/tickets/{ticket}/revoke"), "ticket-leak": format!("/tickets/{ticket}/leak"),
        "ticket-refusals": "/tickets/refusals?request_id=req_nothing", "ticket-arrival": format!("/tickets/{ticket}/arrival"),
        "site": format!("/sites/{site}"), "site-policy": format!("/sites/{site}/policy"), "site-add": "/sites/add",
        "add": "/hosts/add", "add-invitation": "/hosts/add?door=2", "add-site-key": "/hosts/add?door=3",
        "audit-verify": "/audit/verify", "overview-numbers": "/?numbers=yes",
        "webhook": format!("/webhooks/{endpoint}"), "webhook-new": "/webhooks/new",
        "webhook-change": format!("/webhooks/{endpoint}/change"), "webhook-rotate": format!("/webhooks/{endpoint}/rotate"),
        "webhook-remove": format!("/webhooks/{endpoint}/remove"),
        "team-invite": "/team/invite", "team-invitations": "/team/invitations", "team-tokens": "/team/tokens",
        "person": format!("/team/people/{person}"), "person-remove": format!("/team/people/{person}/remove"),
        "account": "/account", "account-password": "/account/password", "account-token": "/account/tokens/new",
        "second-factor": "/account/second-factor",
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_page_is_accessible_and_fits_at_every_width() {
    let (scene, _channels) = busy().await;
    let pages = page_of_each_kind(&scene.installation).await;
    scene.play("every_page", json!({ "pages": pages })).ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_team_says_on_every_page_what_to_do() {
    let scene = Scene::start().await;
    scene.play("empty", json!({})).ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_fleet_is_looked_at_page_by_page() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    installation.machine("first").admitted(&installation.site_key.token).await;
    assert_eq!(installation.server.stop().await, 0);
    fleet::make(&installation.server.data.join("muster.db"), HOSTS);
    installation.server.launch().await;
    let scene = Scene::over(installation).await;
    scene.play("fleet", json!({ "hosts": HOSTS })).ends().await;
}
