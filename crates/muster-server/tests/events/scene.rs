//! What the tests do again and again.

use muster_ids::{HostId, TeamId};
use muster_server::reconcile;
use muster_server::unit::{Author, Fact};
use muster_store::Priority;
use muster_wire::happening::Happening;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::receiver::Receiver;
use crate::world::World;

/// A team with an owner.
pub(crate) struct Team {
    pub(crate) id: TeamId,
    pub(crate) token: String,
}

impl Team {
    /// Header of its owner.
    pub(crate) fn owner(&self) -> String {
        format!("authorization: Bearer {}\r\n", self.token)
    }
}

pub(crate) fn host(n: u128) -> HostId {
    HostId::from_uuid(Uuid::from_u128(n))
}

impl World {
    /// The admins' own team.
    pub(crate) async fn own_team(&self) -> TeamId {
        self.must("GET", "/v1/me", None).await["team_id"].as_str().unwrap().parse().unwrap()
    }

    /// Makes another team with an owner.
    pub(crate) async fn team(&self, name: &str) -> Team {
        let team = self.must("POST", "/v1/teams", Some(json!({ "name": name }))).await;
        let id = team["id"].as_str().unwrap().to_owned();
        let owner = json!({ "name": format!("Owner of {name}") });
        let minted = self.must("POST", &format!("/v1/teams/{id}/owners"), Some(owner)).await;
        Team { id: id.parse().unwrap(), token: minted["token"].as_str().unwrap().to_owned() }
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

    /// Gives everything that was told its position.
    pub(crate) async fn seal(&self) {
        while self.app.look(|tx| tx.outbox_has_unsealed()).await.unwrap() {
            reconcile::seal(&self.app).await.unwrap();
        }
    }

    /// Does what the server does in the background until nothing is due.
    pub(crate) async fn work(&self) {
        self.seal().await;
        while reconcile::spread(&self.app).await.unwrap() > 0 {}
        reconcile::deliver(&self.app).await.unwrap();
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
