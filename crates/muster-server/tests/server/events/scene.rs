//! What the tests do again and again.

use muster_ids::{HostId, TeamId};
use muster_server::unit::{Author, Fact};
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::events::receiver::Receiver;
use crate::world::World;

pub(crate) fn host(n: u128) -> HostId {
    HostId::from_uuid(Uuid::from_u128(n))
}

impl World {
    /// The admins' own team.
    pub(crate) async fn own_team(&self) -> TeamId {
        self.must("GET", "/v1/me", None).await["team_id"].as_str().unwrap().parse().unwrap()
    }

    /// Lets something happen to a host, or to none, that only events tell of; its subject is `subject`.
    pub(crate) async fn tell(&self, team_id: TeamId, about: Option<HostId>, subject: &str) {
        let subject = subject.to_owned();
        self.app
            .change(Priority::Normal, self.app.clock.now(), move |unit| {
                let fact = Fact::new(Happening::HostBack, team_id, &Author::system(), &subject);
                unit.happened(match about {
                    Some(host_id) => fact.of_host(host_id),
                    None => fact,
                });
                Ok(())
            })
            .await
            .unwrap();
    }

    /// Makes a webhook of the admins' team that hears of hosts that are back; returns its id and its signing secret.
    pub(crate) async fn webhook(&self, name: &str, receiver: &Receiver) -> (String, String) {
        let body = json!({ "name": name, "target": { "webhook": { "url": receiver.url() } }, "events": ["host.back"] });
        let made = self.must("POST", "/v1/endpoints", Some(body)).await;
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&made["endpoint"]["id"]), text(&made["signing_secret"]))
    }

    /// The log of an endpoint, the oldest event first.
    pub(crate) async fn log(&self, endpoint: &str) -> Vec<Value> {
        let page = self.must("GET", &format!("/v1/endpoints/{endpoint}/deliveries?limit=200"), None).await;
        let mut items = page["items"].as_array().unwrap().clone();
        items.reverse();
        items
    }
}
