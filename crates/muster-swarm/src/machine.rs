//! A machine of the swarm: its key and what it knows, and the requests it makes of them.

use std::sync::Arc;

use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderName, HeaderValue};
use muster_channel::agent::Held;
use muster_edge::{Clock, Entropy};
use muster_ids::{HostId, MachineUid, UidSource};
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl};
use muster_wire::channel::{ConfigVersion, OFFERED_SUBPROTOCOLS, Report};
use serde_json::json;

use crate::connection;

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// One machine with a key of its own.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) key: Arc<HostKey>,
    pub(crate) uid: MachineUid,
    pub(crate) hostname: String,
    /// Its identity, once it joined.
    pub(crate) host_id: Option<HostId>,
    /// What the server gave it last.
    pub(crate) generation: Option<String>,
    pub(crate) config: Option<(ConfigVersion, String)>,
    pub(crate) nonce: Option<String>,
}

impl Machine {
    pub(crate) fn new(number: usize) -> Self {
        Self {
            key: Arc::new(HostKey::generate()),
            uid: MachineUid::from_sha256(UidSource::Smbios, &Entropy.bytes()),
            hostname: format!("swarm-{number:06}"),
            host_id: None,
            generation: None,
            config: None,
            nonce: None,
        }
    }

    /// A copy of the machine with all its state, as a copied disk makes one.
    pub(crate) fn copy(&self) -> Self {
        Self {
            key: Arc::clone(&self.key),
            uid: self.uid,
            hostname: self.hostname.clone(),
            host_id: self.host_id,
            generation: self.generation.clone(),
            config: self.config.clone(),
            nonce: None,
        }
    }

    /// The whole request that presents `ticket`, with a proof over it.
    pub(crate) fn enrolment(&self, url: &str, authority: &str, ticket: &str, clock: &Clock) -> Vec<u8> {
        let body = json!({
            "hostname": self.hostname, "machine_uid": self.uid, "facts": facts(),
        })
        .to_string();
        let url = HtuUrl::below(url, "/v1/enroll").expect("the server's URL is one");
        let claims = Claims::new("POST", &url, clock.now(), Entropy.bytes());
        let claims = claims.bearer(ticket).body(body.as_bytes());
        let (proof, bearer) = (prove(&self.key, &claims), format!("Bearer {ticket}"));
        let headers = [("dpop", proof.as_str()), ("authorization", bearer.as_str())];
        connection::post("/v1/enroll", authority, &headers, body.as_bytes())
    }

    /// The headers of its upgrade, with the nonce it got last.
    pub(crate) fn upgrade_headers(&self, url: &HtuUrl, clock: &Clock) -> HeaderMap {
        let mut claims = Claims::new("GET", url, clock.now(), Entropy.bytes());
        if let Some(host_id) = self.host_id {
            claims = claims.host(host_id);
        }
        if let Some(nonce) = &self.nonce {
            claims = claims.nonce(nonce);
        }
        let proof = HeaderValue::from_str(&prove(&self.key, &claims)).expect("a proof is one line");
        HeaderMap::from_iter([
            (DPOP, proof),
            (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(OFFERED_SUBPROTOCOLS)),
        ])
    }

    /// What it holds when it opens a channel to `url`.
    pub(crate) fn held(&self, host_id: HostId, url: &HtuUrl) -> Held {
        Held {
            host_id,
            server_url: url.to_string(),
            generation: self.generation.clone(),
            boot_id: format!("boot-{}", self.hostname),
            config: self.config.clone(),
        }
    }

    /// What it brings to a proved channel.
    pub(crate) fn report(&self) -> Report {
        serde_json::from_value(json!({ "hostname": self.hostname, "facts": facts() }))
            .expect("the swarm's machines report what the protocol allows")
    }
}

pub(crate) fn facts() -> serde_json::Value {
    json!({ "os": "Debian 12", "arch": "x86_64", "cpu_cores": 4, "memory_mb": 8192, "disk_gb": 100 })
}

/// The machines' request to join as bearer machines, and the agent key each one will have.
pub(crate) mod bearer {
    use muster_edge::Entropy;
    use muster_ids::{AgentKeyId, Bearer, BearerKind, HostId, MachineUid, UidSource};
    use muster_wire::enroll::AgentSecret;
    use secrecy::ExposeSecret;
    use serde_json::json;

    use crate::connection;

    /// A machine without a key pair.
    pub(crate) struct BearerMachine {
        secret: [u8; 32],
        number: usize,
    }

    impl BearerMachine {
        pub(crate) fn new(number: usize) -> Self {
            Self { secret: Entropy.bytes(), number }
        }

        /// The whole request that presents `ticket`.
        pub(crate) fn enrolment(&self, authority: &str, ticket: &str) -> Vec<u8> {
            let body = json!({
                "hostname": format!("bearer-{:06}", self.number),
                "machine_uid": MachineUid::from_sha256(UidSource::Smbios, &Entropy.bytes()),
                "facts": super::facts(),
                "agent_secret": AgentSecret::from_bytes(self.secret),
            });
            let bearer = format!("Bearer {ticket}");
            let headers = [("authorization", bearer.as_str())];
            connection::post("/v1/enroll", authority, &headers, body.to_string().as_bytes())
        }

        /// The whole request of a heartbeat; the bytes are the same every time, as a floor wants them.
        pub(crate) fn heartbeat(
            &self,
            authority: &str,
            host_id: HostId,
            id: AgentKeyId,
            body: &str,
        ) -> Vec<u8> {
            let key = Bearer::new(BearerKind::AgentKey, id.public_id(), self.secret);
            let bearer = format!("Bearer {}", key.expose().expose_secret());
            let path = format!("/v1/hosts/{host_id}/heartbeat");
            connection::post(&path, authority, &[("authorization", &bearer)], body.as_bytes())
        }
    }
}
