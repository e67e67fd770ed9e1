//! Hosts with agent keys, other teams, machines at the doors of two sites.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use muster_wire::channel::{Config, ServerMessage};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use crate::world::{Answer, Machine, Socket, World};

/// A repository secret.
pub(crate) fn repo() -> Value {
    json!({ "repo": { "url": "rest:https://backup.example/", "password": "correct horse" } })
}

/// A host and an agent key of it.
pub(crate) struct Bearer {
    pub(crate) host_id: String,
    /// As the API names it: `agk:…`.
    pub(crate) key: String,
    /// The header line it sends.
    pub(crate) header: String,
}

impl Bearer {
    /// Of the reply that showed it once.
    pub(crate) fn of_minted(host_id: &str, minted: &Value) -> Self {
        let token = minted["token"].as_str().unwrap();
        assert!(token.starts_with("msa_"), "{token}");
        Self {
            host_id: host_id.to_owned(),
            key: minted["key"]["name"].as_str().unwrap().to_owned(),
            header: format!("authorization: Bearer {token}\r\n"),
        }
    }

    /// Sends a heartbeat over HTTP.
    pub(crate) async fn heartbeat(&self, world: &World) -> Answer {
        let path = format!("/v1/hosts/{}/heartbeat", self.host_id);
        world.ask("POST", &path, &self.header, Some(json!({}))).await
    }

    /// Opens a socket and says hello.
    pub(crate) async fn hello(&self, world: &World, generation: Option<&str>) -> Socket {
        let mut socket = Socket::open(world, &self.header).await.unwrap();
        let mut hello = json!({
            "host_id": self.host_id, "challenge": socket.challenge, "server_url": world.url(""), "boot_id": "boot-1",
        });
        if let Some(generation) = generation {
            hello["generation"] = generation.into();
        }
        socket.send(json!({ "type": "hello", "proof": hello.to_string() })).await;
        socket
    }

    /// Connects and takes the configuration; returns its next generation, too.
    pub(crate) async fn connect(&self, world: &World, generation: Option<&str>) -> (Socket, String, Config) {
        let mut socket = self.hello(world, generation).await;
        let generation = match socket.message().await {
            ServerMessage::Welcome { generation, .. } => generation,
            other => panic!("not a welcome: {other:?}"),
        };
        let config = socket.acknowledge(&generation, json!([])).await;
        (socket, generation, config)
    }
}

/// Asks at the door with an agent secret.
pub(crate) async fn enroll_with_secret(
    world: &World,
    machine: &Machine,
    secret: &[u8; 32],
    ticket: &str,
) -> Answer {
    let mut request = machine.request();
    request["agent_secret"] = BASE64URL_NOPAD.encode(secret).into();
    let headers = format!("authorization: Bearer {ticket}\r\n");
    world.ask("POST", "/v1/enroll", &headers, Some(request)).await
}

/// Admits a machine that has no key pair, with a one-time token that carries these secrets.
pub(crate) async fn join_with_secret(world: &World, name: &str, secret: [u8; 32], secrets: Value) -> Bearer {
    let token = world.enrolment_token(secrets).await;
    let answer = enroll_with_secret(world, &Machine::new(name), &secret, &token).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    let bearer = world.app.keyring.agent_key(&secret);
    Bearer {
        host_id: answer.text("host_id"),
        key: format!("agk:{}", answer.text("agent_key_id")),
        header: format!("authorization: Bearer {}\r\n", bearer.expose().expose_secret()),
    }
}

/// Invites a host; returns its id and its registration token.
pub(crate) async fn invite(world: &World, name: &str) -> (String, String) {
    let invited = world.must("POST", "/v1/hosts", Some(json!({ "name": name }))).await;
    let token = invited["registration"]["token"].as_str().unwrap().to_owned();
    (invited["host"]["id"].as_str().unwrap().to_owned(), token)
}

/// Asks for another agent key of a host.
pub(crate) async fn mint(world: &World, host_id: &str) -> Answer {
    world.admin("POST", &format!("/v1/hosts/{host_id}/agent-keys"), Some(json!({}))).await
}

/// Revokes a key of a host as the admin.
pub(crate) async fn revoke(world: &World, host_id: &str, key: &str) -> Answer {
    world.admin("POST", &format!("/v1/hosts/{host_id}/keys/{key}/revoke"), None).await
}

/// Makes a site with this policy and returns its id and a site key of it.
pub(crate) async fn site(world: &World, name: &str, policy: Value) -> (String, String) {
    // The first site of the list stays the default one.
    world.clock.advance(Duration::from_secs(1));
    let made = world.must("POST", "/v1/sites", Some(json!({ "name": name, "policy": policy }))).await;
    let site_id = made["id"].as_str().unwrap().to_owned();
    let minted = world.must("POST", "/v1/site-keys", Some(json!({ "site_id": site_id }))).await;
    (site_id, minted["token"].as_str().unwrap().to_owned())
}

/// The bytes of a problem without the one thing that differs between two requests.
pub(crate) fn bytes(answer: &Answer) -> (u16, String) {
    let id = answer.header("x-request-id").unwrap();
    (answer.status, answer.raw_body.replace(id, ""))
}

/// Decides a claim on the evidence it shows now.
pub(crate) async fn decide(world: &World, claim_id: &str, verdict: &str, with_secrets: bool) -> Answer {
    let path = format!("/v1/claims/{claim_id}");
    let claim = world.must("GET", &path, None).await;
    let decision = json!({
        "verdict": verdict, "evidence_version": claim["evidence_version"], "with_secrets": with_secrets,
    });
    world.admin("POST", &format!("{path}/decision"), Some(decision)).await
}

/// Returns the claims that wait, oldest first.
pub(crate) async fn waiting(world: &World) -> Vec<Value> {
    let page = world.must("GET", "/v1/claims?state=waiting", None).await;
    page["items"].as_array().unwrap().clone()
}

/// A machine of the hardware of this name, with a key of its own.
pub(crate) fn twin(name: &str) -> Machine {
    Machine::new(name)
}
