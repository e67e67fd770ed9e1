//! A desk where mail arrives, and what happens to make it arrive.

use std::ops::Range;
use std::time::Duration;

use muster_ids::{HostId, TeamId};
use muster_server::unit::{Author, Fact};
use muster_store::Priority;
use muster_testkit::mail::{MailServer, Security};
use muster_wire::happening::Happening;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::world::World;

/// A mail server that takes everything, and an endpoint that sends to it.
pub(crate) struct Desk {
    pub(crate) server: MailServer,
    pub(crate) endpoint_id: String,
    team_id: TeamId,
    _folder: TempDir,
}

impl Desk {
    /// Sets up a desk that hears of these kinds, with further fields of the endpoint.
    pub(crate) async fn open(world: &World, events: &[Happening], more: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let server = MailServer::start(folder.path(), Security::Plain, None).await.unwrap();
        let target = json!({ "email": {
            "server": "127.0.0.1", "port": server.address().port(), "security": "plain",
            "from": "muster@example.org", "to": ["ops@example.org"],
        } });
        let endpoint_id = endpoint(world, "desk", target, events, more).await;
        let me = world.must("GET", "/v1/me", None).await;
        let team_id = me["team_id"].as_str().unwrap().parse().unwrap();
        Self { server, endpoint_id, team_id, _folder: folder }
    }

    /// Something happens to the host of this number.
    pub(crate) async fn happens(&self, world: &World, what: Happening, number: u128) {
        let (team_id, host_id) = (self.team_id, HostId::from_uuid(Uuid::from_u128(number)));
        let changed = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
            unit.happened(Fact::new(what, team_id, &Author::system(), host_id).of_host(host_id));
            Ok(())
        });
        changed.await.unwrap();
        world.work().await;
    }

    /// The same happens to many hosts at once.
    pub(crate) async fn happens_to_all(&self, world: &World, what: Happening, numbers: Range<u128>) {
        let team_id = self.team_id;
        let changed = world.app.change(Priority::Normal, world.app.clock.now(), move |unit| {
            for number in numbers.clone() {
                let host_id = HostId::from_uuid(Uuid::from_u128(number));
                unit.happened(Fact::new(what, team_id, &Author::system(), host_id).of_host(host_id));
            }
            Ok(())
        });
        changed.await.unwrap();
        world.work().await;
    }

    /// Returns the text of each mail, with its subject.
    pub(crate) fn mail(&self) -> Vec<(String, String)> {
        self.server.mail().unwrap().iter().map(|mail| read(mail["text"].as_str().unwrap())).collect()
    }

    /// Returns the numbers of the hosts each mail tells of, in its order.
    pub(crate) fn told(&self) -> Vec<Vec<u128>> {
        self.mail().iter().map(|(_, text)| numbers(text)).collect()
    }
}

/// Makes an endpoint and returns its id.
pub(crate) async fn endpoint(
    world: &World,
    name: &str,
    target: Value,
    events: &[Happening],
    more: Value,
) -> String {
    let mut body = json!({ "name": name, "target": target, "events": events });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = world.must("POST", "/v1/endpoints", Some(body)).await;
    made["endpoint"]["id"].as_str().unwrap().to_owned()
}

/// Time passes, a minute at a time, and the reconcilers work.
pub(crate) async fn minutes(world: &World, minutes: u32) {
    for _ in 0..minutes {
        world.clock.advance(Duration::from_secs(60));
        world.work().await;
    }
}

/// Takes quoted-printable and encoded words apart, as far as these mails need it.
fn read(mail: &str) -> (String, String) {
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    let subject = head.lines().find_map(|line| line.strip_prefix("Subject: ")).unwrap();
    (subject.to_owned(), body.replace("=\r\n", ""))
}

fn numbers(text: &str) -> Vec<u128> {
    let said = text.lines().filter(|line| !line.trim_start().starts_with("→") && !line.starts_with("    "));
    said.filter_map(|line| line.split_once("host_")?.1.get(..32))
        .map(|hex| u128::from_str_radix(hex, 16).unwrap())
        .collect()
}
