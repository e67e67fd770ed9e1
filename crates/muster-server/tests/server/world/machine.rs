//! Machines as they stand before the door, and hosts as their agents speak for them.

use muster_edge::Entropy;
use muster_ids::{HostId, KeyName};
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl};
use serde_json::{Value, json};

use super::http::Answer;
use super::{Socket, World, http};

/// A machine with a key pair.
pub(crate) struct Machine {
    pub(crate) key: HostKey,
    pub(crate) hostname: String,
    pub(crate) uid: String,
}

impl Machine {
    /// A machine of its own: name, uid and key.
    pub(crate) fn new(hostname: &str) -> Self {
        let digest = muster_proof::digest::sha256(hostname.as_bytes());
        let uid = format!("smbios:{}", &data_encoding::HEXLOWER.encode(&digest)[..32]);
        Self { key: HostKey::generate(), hostname: hostname.to_owned(), uid }
    }

    /// What it says at the door.
    pub(crate) fn request(&self) -> Value {
        json!({
            "hostname": self.hostname,
            "machine_uid": self.uid,
            "facts": { "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20 },
        })
    }

    /// Asks to be admitted.
    pub(crate) async fn enroll(&self, world: &World, ticket: &str) -> Answer {
        let body = self.request().to_string();
        let claims = claims(world, "POST", "/v1/enroll").bearer(ticket).body(body.as_bytes());
        let headers = format!("authorization: Bearer {ticket}\r\ndpop: {}\r\n", prove(&self.key, &claims));
        http::ask(world.address, "POST", "/v1/enroll", &headers, Some(body)).await
    }

    /// Is admitted.
    pub(crate) async fn join(self, world: &World, ticket: &str) -> Joined {
        let answer = self.enroll(world, ticket).await;
        assert!(matches!(answer.status, 200 | 201), "{answer:?}");
        let host_id = answer.text("host_id").parse().unwrap();
        Joined { key: self.key, host_id, hostname: self.hostname }
    }
}

/// An admitted machine.
pub(crate) struct Joined {
    pub(crate) key: HostKey,
    pub(crate) host_id: HostId,
    pub(crate) hostname: String,
}

impl Joined {
    /// Names its key.
    pub(crate) fn key_name(&self) -> KeyName {
        KeyName::Pair(self.key.thumbprint())
    }

    /// Makes the header line of a proof with the server's nonce.
    pub(crate) fn proof(&self, world: &World, method: &str, path: &str, body: Option<&str>) -> String {
        let claims = self.claims(world, method, path);
        let claims = match body {
            Some(body) => claims.body(body.as_bytes()),
            None => claims,
        };
        format!("dpop: {}\r\n", prove(&self.key, &claims))
    }

    /// The claims of a proof with the server's nonce.
    pub(crate) fn claims(&self, world: &World, method: &str, path: &str) -> Claims {
        claims(world, method, path).host(self.host_id).nonce(world.app.keyring.nonce(world.app.clock.now()))
    }

    /// Posts to a path of its own.
    pub(crate) async fn post(&self, world: &World, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        let proof = self.proof(world, "POST", path, body.as_deref());
        http::ask(world.address, "POST", path, &proof, body).await
    }

    /// Sends a heartbeat over HTTP.
    pub(crate) async fn heartbeat(&self, world: &World) -> Answer {
        let path = format!("/v1/hosts/{}/heartbeat", self.host_id);
        self.post(world, &path, Some(json!({ "load_percent": 12 }))).await
    }

    /// Opens a channel up to the challenge.
    pub(crate) async fn dial(&self, world: &World) -> Socket {
        let proof = self.proof(world, "GET", "/v1/agent/connect", None);
        Socket::open(world, &proof).await.unwrap_or_else(|answer| panic!("not upgraded: {answer:?}"))
    }

    /// Opens a channel and brings it to the point where work is possible. Returns its next generation, too.
    pub(crate) async fn connect(&self, world: &World, generation: Option<String>) -> (Socket, String) {
        let mut socket = self.dial(world).await;
        let generation = socket.welcome(self, world, generation).await;
        socket.acknowledge(&generation, json!([])).await;
        (socket, generation)
    }
}

fn claims(world: &World, method: &str, path: &str) -> Claims {
    let url = HtuUrl::parse(&world.url(path)).unwrap();
    Claims::new(method, &url, world.app.clock.now(), Entropy.bytes())
}
