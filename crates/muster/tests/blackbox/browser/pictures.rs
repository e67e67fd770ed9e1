//! The pictures of README and docs: a fleet of three sites after a week, as people see it. The server, its pages, the
//! machines' protocol and the backup are real; the week that went by is put into the database.

use std::fs;
use std::path::Path;
use std::time::Duration;

use http::Method;
use muster_ids::{HostId, SiteId};
use muster_wire::site::Site;
use muster_wire::ticket::MintedTicket;
use rusqlite::{Connection, params};
use serde_json::{Value, json};

use super::Scene;
use crate::harness::{Agent, Backend, Channel, Installation, Machine, until};

const WITHIN: Duration = Duration::from_secs(60);
const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// A machine of the fleet: its name, site, tags, operating system, and whether it is there.
struct Drawn(&'static str, usize, &'static [&'static str], &'static str, bool);

const SITES: [&str; 3] = ["floor", "Berlin", "depot"];
const FLEET: [Drawn; 13] = [
    Drawn("press-7", 0, &["line:a", "role:press"], "Debian GNU/Linux 12 (bookworm)", true),
    Drawn("press-8", 0, &["line:a", "role:press"], "Debian GNU/Linux 12 (bookworm)", true),
    Drawn("press-9", 0, &["line:b", "role:press"], "Debian GNU/Linux 12 (bookworm)", false),
    Drawn("kiosk-lobby", 0, &["role:kiosk"], "Ubuntu 24.04.2 LTS", true),
    Drawn("web-01", 1, &["env:prod", "role:web"], "Ubuntu 24.04.2 LTS", true),
    Drawn("web-02", 1, &["env:prod", "role:web"], "Ubuntu 24.04.2 LTS", true),
    Drawn("web-03", 1, &["env:stage", "role:web"], "Ubuntu 24.04.2 LTS", true),
    Drawn("build-arm-1", 1, &["role:build"], "Fedora Linux 42", true),
    Drawn("build-x86-1", 1, &["role:build"], "Fedora Linux 42", true),
    Drawn("gate-north", 2, &["role:gate"], "Alpine Linux v3.21", true),
    Drawn("gate-south", 2, &["role:gate"], "Alpine Linux v3.21", true),
    Drawn("nas-archive", 2, &["role:storage"], "Debian GNU/Linux 12 (bookworm)", true),
    Drawn("scale-2", 2, &["role:scale"], "Debian GNU/Linux 11 (bullseye)", true),
];
/// The host whose backups are shown.
const VAULT: &str = "db-1";

struct Fleet {
    machines: Vec<(Machine, HostId, bool)>,
    agent: Agent,
    vault: HostId,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pictures_of_the_docs_are_taken() {
    let mut installation = Installation::start(Backend::Sqlite).await;
    let mut fleet = joined(&installation).await;
    assert_eq!(installation.server.stop().await, 0);
    a_week_goes_by(&installation.server.data.join("muster.db"));
    installation.server.launch().await;
    let scene = Scene::over(installation).await;
    let installation = &scene.installation;
    let _channels = connected(&fleet).await;
    fleet.agent.run();
    fleet.agent.until_at_work().await;
    installation.until_presence(fleet.vault, "online", WITHIN).await;
    let job = backed_up(&scene, fleet.vault).await;
    let twin = fleet.machines[0].0.twin("press-7");
    assert_eq!(twin.enrol(&installation.site_key.token).await.unwrap().status, 202);
    let away = fleet.machines.iter().find(|(_, _, is_there)| !is_there).unwrap();
    installation.suspend(away.1).await;
    installation.invite("press-10").await;
    let settings = json!({ "vault": fleet.vault, "job": job, "press": fleet.machines[0].1 });
    scene.play("pictures", settings).ends().await;
}

async fn joined(installation: &Installation) -> Fleet {
    let api = &installation.owner.api;
    let mut keys = vec![installation.site_key.token.clone()];
    let mut sites: Vec<SiteId> = vec![installation.site];
    for name in &SITES[1..] {
        let site: Site = api.post("/v1/sites", &json!({ "name": name })).await.unwrap();
        let key: MintedTicket = api.post("/v1/site-keys", &json!({ "site_id": site.id })).await.unwrap();
        sites.push(site.id);
        keys.push(key.token);
    }
    let mut machines = Vec::new();
    for Drawn(name, site, tags, os, is_there) in &FLEET {
        let mut machine = installation.machine(name);
        machine.facts["os"] = json!(os);
        let host = machine.admitted(&keys[*site]).await;
        tag(installation, host, tags).await;
        machines.push((machine, host, *is_there));
    }
    let folder = installation.server.folder();
    let repository = json!({ "url": folder.join("repository"), "password": "opens-it" });
    let fields = json!({ "host_name": VAULT, "site_id": sites[1], "secrets": { "repo": repository } });
    let token = installation.token_with(fields).await;
    let agent = Agent::new(folder, VAULT, "uid-vault");
    let vault = agent.joined(&token.join_string).await;
    tag(installation, vault, &["env:prod", "role:db"]).await;
    Fleet { machines, agent, vault }
}

async fn tag(installation: &Installation, host: HostId, tags: &[&str]) {
    let set = installation
        .ask(Method::PUT, &format!("/v1/hosts/{host}/tags"), Some(&json!({ "tags": tags })))
        .await;
    assert_eq!(set.status, 200, "{}", set.text);
}

/// Everybody has been there for three weeks, but for an outage now and then.
fn a_week_goes_by(file: &Path) {
    let database = Connection::open(file).unwrap();
    let all = |sql: &str| -> Vec<Vec<u8>> {
        let mut statement = database.prepare(sql).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().collect::<Result<_, _>>().unwrap()
    };
    let now: i64 = database.query_row("SELECT max(created_at) FROM host", [], |row| row.get(0)).unwrap();
    let hosts = all("SELECT id FROM host ORDER BY id");
    let teams = all("SELECT DISTINCT team_id FROM host");
    let long_ago = now - 20 * DAY;
    database.execute("UPDATE host SET created_at = ?1, enrolled_at = ?1", [long_ago]).unwrap();
    database.execute("UPDATE host_key SET created_at = ?1", [long_ago]).unwrap();
    database.execute("UPDATE presence SET seen_at = ?1", [now - HOUR]).unwrap();
    database.execute("DELETE FROM presence_change", []).unwrap();
    database.execute("DELETE FROM presence_noted", []).unwrap();
    for (nth, host) in (0_i64..).zip(&hosts) {
        let outages = [(nth % 3, 3 + nth % 4), (3 + nth * 3 % 4, 1)];
        for (days_ago, hours) in outages {
            let began = now - days_ago * DAY - (9 + nth % 5) * HOUR;
            let change = "INSERT INTO presence_change (host_id, at, was, status) VALUES (?1, ?2, ?3, ?4)";
            database.execute(change, params![host, began, "online", "unreachable"]).unwrap();
            database.execute(change, params![host, began + hours * HOUR, "unreachable", "online"]).unwrap();
        }
        let noted = "INSERT INTO presence_noted (host_id, status, at) VALUES (?1, 'online', ?2)";
        database.execute(noted, params![host, now - 2 * HOUR]).unwrap();
        for day in now / DAY - 7..now / DAY {
            let hour =
                |hour: i64| format!("{:08x}{:08x}", 20 + (hour * 7 + nth * 13 + day) % 60, 61 - (day % 7));
            let hours: String = (0..24).map(hour).collect();
            let vitals = "INSERT OR REPLACE INTO host_vitals (host_id, day, hours) VALUES (?1, ?2, ?3)";
            database.execute(vitals, params![host, day, hours]).unwrap();
        }
    }
    let in_all = i64::try_from(hosts.len()).unwrap();
    database.execute("DELETE FROM fleet_sample", []).unwrap();
    for mark in 0..12 * 24 {
        let at = (now / (5 * MINUTE) - mark) * 5 * MINUTE;
        let gone = if (100..130).contains(&mark) { 3 } else { 1 + i64::from((200..215).contains(&mark)) };
        let sample = "INSERT INTO fleet_sample (team_id, at, online, unreachable, offline, never_seen)
                      VALUES (?1, ?2, ?3, ?4, 0, 0)";
        database.execute(sample, params![teams[0], at, in_all - gone, gone]).unwrap();
    }
}

/// Connects everybody who is there; who is not said something an hour ago.
async fn connected(fleet: &Fleet) -> Vec<Channel> {
    let mut channels = Vec::new();
    for (nth, (machine, host, is_there)) in (0_i64..).zip(&fleet.machines) {
        if !is_there {
            continue;
        }
        let mut channel = machine.connect(*host).await;
        let heartbeat = json!({ "load_percent": 12 + nth * 9 % 70, "disk_free_gb": 23 + nth * 5 });
        channel.send_json(&json!({ "type": "heartbeat", "heartbeat": heartbeat })).await;
        assert!(channel.is_alive().await);
        channels.push(channel);
    }
    channels
}

/// Makes a backup by the real restic, and returns its job.
async fn backed_up(scene: &Scene, host: HostId) -> Value {
    let source = scene.installation.server.folder().join("srv");
    fs::create_dir_all(&source).unwrap();
    for number in 0..24_u8 {
        fs::write(source.join(format!("table-{number}.db")), vec![number; 512 * 1024]).unwrap();
    }
    let work = json!({ "work": { "kind": "backup", "paths": [source] } });
    let job = scene.post(&format!("/v1/hosts/{host}/jobs"), &work).await;
    let path = format!("/v1/jobs/{}", job["id"].as_str().unwrap());
    until("the backup does not end", WITHIN, async || {
        let state = scene.installation.ask(Method::GET, &path, None).await.json["state"].clone();
        assert!(state != "failed" && state != "lost", "{state}");
        (state == "succeeded").then_some(())
    })
    .await;
    job["id"].clone()
}
