//! The attacker of the demo: holds a copy of a host's key, taken before the host was retired.

use anyhow::Context;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request};
use muster_client::{Dialer, Response};
use muster_edge::{Clock, Entropy};
use muster_ids::HostId;
use muster_proof::HostKey;
use muster_proof::HtuUrl;
use muster_proof::dpop::{Claims, prove};
use muster_wire::problem::ProblemBody;
use serde_json::json;
use url::Url;

/// A copy of a host's key.
pub(super) struct StolenKey {
    key: HostKey,
    host_id: HostId,
    dialer: Dialer,
    base: Url,
}

impl StolenKey {
    /// Copies the key out of an agent's state folder.
    pub(super) fn copy(
        state: &std::path::Path,
        host_id: HostId,
        dialer: Dialer,
        base: Url,
    ) -> anyhow::Result<Self> {
        let der = std::fs::read(state.join("key.pk8")).context("the agent has no key file")?;
        let key = HostKey::from_pkcs8(&der).context("the agent's key file holds no key")?;
        Ok(Self { key, host_id, dialer, base })
    }

    /// Tries to be admitted again with a ticket; returns the code of the refusal.
    pub(super) async fn enroll(&self, ticket: &str) -> anyhow::Result<String> {
        let body = json!({
            "hostname": "stolen",
            "machine_uid": "random:00000000000000000000000000000000",
            "facts": { "os": "unknown", "arch": "unknown", "cpu_cores": 1, "memory_mb": 1, "disk_gb": 1 },
        });
        let body = Bytes::from(serde_json::to_vec(&body)?);
        self.ask(Method::POST, "/v1/enroll", body, Some(ticket)).await
    }

    /// Tries to send a heartbeat; returns the code of the refusal.
    pub(super) async fn heartbeat(&self) -> anyhow::Result<String> {
        let path = format!("/v1/hosts/{}/heartbeat", self.host_id);
        self.ask(Method::POST, &path, Bytes::from_static(b"{}"), None).await
    }

    /// Tries to open the channel; returns the code of the refusal.
    pub(super) async fn connect(&self) -> anyhow::Result<String> {
        self.ask(Method::GET, "/v1/agent/connect", Bytes::new(), None).await
    }

    /// Asks with a proof; when the server wants its nonce in the proof, once more with it.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        ticket: Option<&str>,
    ) -> anyhow::Result<String> {
        let first = self.send(&method, path, body.clone(), ticket, None).await?;
        let nonce = first.headers.get("dpop-nonce").and_then(|value| value.to_str().ok()).map(str::to_owned);
        let code = code(&first);
        if code == "use_dpop_nonce" {
            return Ok(self::code(&self.send(&method, path, body, ticket, nonce).await?));
        }
        Ok(code)
    }

    async fn send(
        &self,
        method: &Method,
        path: &str,
        body: Bytes,
        ticket: Option<&str>,
        nonce: Option<String>,
    ) -> anyhow::Result<Response> {
        let url = HtuUrl::below(self.base.as_str(), path)?;
        let mut claims = Claims::new(method.as_str(), &url, Clock::system().now(), Entropy.bytes());
        if !body.is_empty() {
            claims = claims.body(&body);
        }
        claims = match ticket {
            Some(ticket) => claims.bearer(ticket),
            None => claims.host(self.host_id),
        };
        if let Some(nonce) = nonce {
            claims = claims.nonce(nonce);
        }
        let mut request = Request::builder().method(method).uri(path);
        request = request.header("dpop", prove(&self.key, &claims));
        if let Some(ticket) = ticket {
            request = request.header(AUTHORIZATION, format!("Bearer {ticket}"));
        }
        if *method == Method::GET {
            for (name, value) in UPGRADE {
                request = request.header(name, HeaderValue::from_static(value));
            }
        } else {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        Ok(self.dialer.request(request.body(body)?, &self.base).await?)
    }
}

const UPGRADE: [(&str, &str); 5] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ("sec-websocket-protocol", muster_wire::channel::OFFERED_SUBPROTOCOLS),
];

fn code(response: &Response) -> String {
    let problem: Option<ProblemBody> = serde_json::from_slice(&response.body).ok();
    problem.map_or_else(|| format!("status {}", response.status.as_u16()), |problem| problem.code)
}
