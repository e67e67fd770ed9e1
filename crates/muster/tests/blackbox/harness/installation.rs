//! A server with its first admin, a team, the team's owner, a site and the site's key.

use std::time::Duration;

use http::Method;
use muster_client::OperatorClient;
use muster_ids::{HostId, KeyThumbprint, SiteId, TeamId};
use muster_wire::JoinString;
use muster_wire::audit::AuditEntry;
use muster_wire::claim::Claim;
use muster_wire::host::{Host, InvitedHost, RetirementPreview};
use muster_wire::page::Page;
use muster_wire::people::{MintedToken, Team};
use muster_wire::site::Site;
use muster_wire::ticket::MintedTicket;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{Backend, Machine, Reply, Server, until};

/// Somebody with an API token.
pub(crate) struct Person {
    pub(crate) token: String,
    pub(crate) team: TeamId,
    pub(crate) api: OperatorClient,
}

/// A server somebody set up.
pub(crate) struct Installation {
    pub(crate) server: Server,
    pub(crate) admin: Person,
    pub(crate) owner: Person,
    pub(crate) site: SiteId,
    pub(crate) site_key: MintedTicket,
    pub(crate) pins: Vec<String>,
    pub(crate) instruction_key: KeyThumbprint,
}

impl Installation {
    pub(crate) async fn start(backend: Backend) -> Self {
        Self::over(Server::start(backend).await).await
    }

    /// Sets a running server up.
    pub(crate) async fn over(server: Server) -> Self {
        let setup = json!({ "code": server.setup_code(), "admin_name": "first admin" });
        let admin: MintedToken = server.client(None).post("/v1/setup", &setup).await.unwrap();
        let admin = Person::new(&server, admin);
        let owner = make_team(&server, &admin, "workshop").await;
        let site: Site = owner.api.post("/v1/sites", &json!({ "name": "floor" })).await.unwrap();
        let site_key: MintedTicket =
            owner.api.post("/v1/site-keys", &json!({ "site_id": site.id })).await.unwrap();
        let join: JoinString = site_key.join_string.parse().unwrap();
        let (pins, instruction_key) = (join.pins, join.instruction_key);
        Self { server, admin, owner, site: site.id, site_key, pins, instruction_key }
    }

    /// A second team and its owner.
    pub(crate) async fn another_team(&self, name: &str) -> Person {
        make_team(&self.server, &self.admin, name).await
    }

    /// A machine with a key and a uid of its own, which speaks over TLS.
    pub(crate) fn machine(&self, name: &str) -> Machine {
        Machine::new(name, &self.pins, self.server.machines_url())
    }

    /// A one-time token.
    pub(crate) async fn token(&self) -> MintedTicket {
        self.token_with(json!({})).await
    }

    /// A one-time token of this site with more fields.
    pub(crate) async fn token_with(&self, mut fields: Value) -> MintedTicket {
        fields["site_id"] = json!(self.site);
        self.owner.api.post("/v1/enrolment-tokens", &fields).await.unwrap()
    }

    pub(crate) async fn invite(&self, name: &str) -> InvitedHost {
        let body = json!({ "name": name, "site_id": self.site });
        self.owner.api.post("/v1/hosts", &body).await.unwrap()
    }

    /// Issues a registration token anew.
    pub(crate) async fn reissue(&self, host: HostId, fields: Value) -> MintedTicket {
        let path = format!("/v1/hosts/{host}/registration-token");
        self.owner.api.post(&path, &fields).await.unwrap()
    }

    pub(crate) async fn host(&self, id: HostId) -> Host {
        self.owner.api.get(&format!("/v1/hosts/{id}")).await.unwrap()
    }

    /// Everything of a host but its last sign of life, which changes by itself.
    pub(crate) async fn host_bytes(&self, id: HostId) -> String {
        let reply =
            self.server.ask(Method::GET, &format!("/v1/hosts/{id}"), Some(&self.owner.token), None).await;
        assert_eq!(reply.status, 200, "{}", reply.text);
        let mut host = reply.json;
        host["presence"]["last_seen_at"] = Value::Null;
        host["vitals"] = Value::Null;
        host.to_string()
    }

    /// Every host of the team.
    pub(crate) async fn hosts(&self) -> Vec<Host> {
        self.owner.all("/v1/hosts").await
    }

    /// Every claim of the team.
    pub(crate) async fn claims(&self) -> Vec<Claim> {
        self.owner.all("/v1/claims").await
    }

    /// The whole audit trail, over all teams, in order.
    pub(crate) async fn audit(&self) -> Vec<AuditEntry> {
        let teams: Vec<Team> = self.admin.all("/v1/teams").await;
        let mut entries = Vec::new();
        for team in teams {
            let api = self.admin.api.clone().in_team(team.id);
            entries.extend(all_of::<AuditEntry>(&api, "/v1/audit").await);
        }
        entries.sort_by_key(|entry| entry.position);
        entries
    }

    /// Retires a host exactly as its preview shows it.
    pub(crate) async fn retire(&self, id: HostId) -> Host {
        let path = format!("/v1/hosts/{id}");
        let preview: RetirementPreview = self.owner.api.get(&format!("{path}/retirement")).await.unwrap();
        let body = json!({ "preview_version": preview.preview_version });
        self.owner.api.post(&format!("{path}/retire"), &body).await.unwrap()
    }

    pub(crate) async fn suspend(&self, id: HostId) -> Host {
        self.owner.api.post_empty(&format!("/v1/hosts/{id}/suspend")).await.unwrap()
    }

    pub(crate) async fn resume(&self, id: HostId) -> Host {
        self.owner.api.post_empty(&format!("/v1/hosts/{id}/resume")).await.unwrap()
    }

    /// Waits until a host has this presence, in the words of the API.
    pub(crate) async fn until_presence(&self, id: HostId, status: &str, within: Duration) {
        until(&format!("{id} does not become {status}"), within, async || {
            let reply =
                self.server.ask(Method::GET, &format!("/v1/hosts/{id}"), Some(&self.owner.token), None).await;
            (reply.json["presence"]["status"] == status).then_some(())
        })
        .await;
    }

    /// Asks as the owner.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Reply {
        self.server.ask(method, path, Some(&self.owner.token), body).await
    }
}

impl Person {
    fn new(server: &Server, minted: MintedToken) -> Self {
        let api = server.client(Some(&minted.token));
        Self { token: minted.token, team: minted.team_id, api }
    }

    /// Every item of a list, page by page.
    pub(crate) async fn all<T: DeserializeOwned>(&self, path: &str) -> Vec<T> {
        all_of(&self.api, path).await
    }
}

async fn all_of<T: DeserializeOwned>(api: &OperatorClient, path: &str) -> Vec<T> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page: Page<T> = api.get(&format!("{path}?limit=200{cursor}")).await.unwrap();
        items.extend(page.items);
        match page.next_cursor {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return items,
        }
    }
}

async fn make_team(server: &Server, admin: &Person, name: &str) -> Person {
    let team: Team = admin.api.post("/v1/teams", &json!({ "name": name })).await.unwrap();
    let body = json!({ "name": format!("owner of {name}") });
    let owner: MintedToken = admin.api.post(&format!("/v1/teams/{}/owners", team.id), &body).await.unwrap();
    Person::new(server, owner)
}
