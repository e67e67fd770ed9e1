//! A machine that speaks the protocol by itself: key, proofs, enrolment, heartbeat, channel.

use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use muster_client::{DialError, Dialer, WebSocket, WsDialError};
use muster_edge::Entropy;
use muster_ids::{HostId, KeyName, MachineUid, UidSource};
use muster_proof::dpop::{Claims, prove};
use muster_proof::{HostKey, HtuUrl};
use muster_wire::channel::OFFERED_SUBPROTOCOLS;
use serde_json::{Value, json};
use url::Url;

use super::server::dialer;
use super::{Channel, Reply, now};

const DPOP: HeaderName = HeaderName::from_static("dpop");

/// A machine; its key never leaves it.
pub(crate) struct Machine {
    pub(crate) key: HostKey,
    pub(crate) uid: MachineUid,
    pub(crate) hostname: String,
    /// What it says of itself.
    pub(crate) facts: Value,
    dialer: Dialer,
    /// Where it connects to.
    dials: Url,
    /// The server's URL as its proofs name it.
    public: Url,
}

impl Machine {
    /// A fresh machine that reaches the server at `url`.
    pub(crate) fn new(hostname: &str, pins: &[String], url: Url) -> Self {
        let uid = MachineUid::from_sha256(UidSource::Smbios, &Entropy.bytes());
        Self {
            key: HostKey::generate(),
            uid,
            hostname: hostname.to_owned(),
            facts: json!({ "os": "Debian 12", "arch": "x86_64", "cpu_cores": 4, "memory_mb": 8192, "disk_gb": 100 }),
            dialer: dialer(pins),
            dials: url.clone(),
            public: url,
        }
    }

    /// The same hardware with a fresh installation: another key.
    pub(crate) fn twin(&self, hostname: &str) -> Self {
        Self {
            key: HostKey::generate(),
            uid: self.uid,
            hostname: hostname.to_owned(),
            facts: self.facts.clone(),
            dialer: self.dialer.clone(),
            dials: self.dials.clone(),
            public: self.public.clone(),
        }
    }

    /// A thief: a copy of the key, and nothing else in common.
    pub(crate) fn thief(&self) -> Self {
        let key = HostKey::from_pkcs8(&self.key.to_pkcs8()).unwrap();
        Self { key, ..self.twin("thief") }
    }

    /// Reaches the server through `address`; proofs go on naming its public URL.
    pub(crate) fn through(mut self, address: SocketAddr) -> Self {
        let port = address.port();
        self.dials.set_host(Some(&address.ip().to_string())).unwrap();
        self.dials.set_port(Some(port)).unwrap();
        self
    }

    /// Reaches the server directly again.
    pub(crate) fn direct(mut self) -> Self {
        self.dials = self.public.clone();
        self
    }

    pub(crate) fn key_name(&self) -> KeyName {
        KeyName::Pair(self.key.thumbprint())
    }

    /// What it says about itself at the door.
    pub(crate) fn report(&self) -> Value {
        json!({
            "hostname": self.hostname,
            "machine_uid": self.uid,
            "facts": self.facts,
        })
    }

    /// Presents a ticket.
    pub(crate) async fn enrol(&self, ticket: &str) -> Result<Reply, DialError> {
        self.enrol_as(ticket, &self.report()).await
    }

    /// Presents a ticket with another report.
    pub(crate) async fn enrol_as(&self, ticket: &str, report: &Value) -> Result<Reply, DialError> {
        let body = Bytes::from(serde_json::to_vec(report).unwrap());
        self.post("/v1/enroll", body, Some(ticket), None).await
    }

    /// Presents a ticket and must be admitted.
    pub(crate) async fn admitted(&self, ticket: &str) -> HostId {
        let reply = self.enrol(ticket).await.unwrap();
        assert!(matches!(reply.status, 200 | 201), "{} {}", reply.status, reply.text);
        host_of(&reply)
    }

    /// Sends a heartbeat over HTTP.
    pub(crate) async fn heartbeat(&self, host: HostId) -> Reply {
        self.heartbeat_as(host, host).await
    }

    /// Sends a heartbeat for `path_host`, proved as `host`.
    pub(crate) async fn heartbeat_as(&self, host: HostId, path_host: HostId) -> Reply {
        let path = format!("/v1/hosts/{path_host}/heartbeat");
        self.post(&path, Bytes::from_static(b"{}"), None, Some(host)).await.unwrap()
    }

    /// Posts with a proof; once more where the server asks for its nonce.
    pub(crate) async fn post(
        &self,
        path: &str,
        body: Bytes,
        ticket: Option<&str>,
        host: Option<HostId>,
    ) -> Result<Reply, DialError> {
        let first = self.post_once(path, body.clone(), ticket, host, None).await?;
        match nonce_wanted(&first) {
            Some(nonce) => self.post_once(path, body, ticket, host, Some(&nonce)).await,
            None => Ok(first),
        }
    }

    async fn post_once(
        &self,
        path: &str,
        body: Bytes,
        ticket: Option<&str>,
        host: Option<HostId>,
        nonce: Option<&str>,
    ) -> Result<Reply, DialError> {
        let proof = self.proof(&Method::POST, path, Some(&body), ticket, host, nonce);
        let mut request = Request::builder().method(Method::POST).uri(path);
        request = request.header(CONTENT_TYPE, "application/json").header(DPOP, proof);
        if let Some(ticket) = ticket {
            request = request.header(AUTHORIZATION, format!("Bearer {ticket}"));
        }
        Ok(self.dialer.request(request.body(body).unwrap(), &self.dials).await?.into())
    }

    /// Makes the proof of one request.
    pub(crate) fn proof(
        &self,
        method: &Method,
        path: &str,
        body: Option<&[u8]>,
        ticket: Option<&str>,
        host: Option<HostId>,
        nonce: Option<&str>,
    ) -> String {
        let url = HtuUrl::below(self.public.as_str(), path).unwrap();
        let mut claims = Claims::new(method.as_str(), &url, now(), Entropy.bytes());
        if let Some(body) = body {
            claims = claims.body(body);
        }
        if let Some(ticket) = ticket {
            claims = claims.bearer(ticket);
        }
        if let Some(host) = host {
            claims = claims.host(host);
        }
        if let Some(nonce) = nonce {
            claims = claims.nonce(nonce);
        }
        prove(&self.key, &claims)
    }

    /// The headers of an upgrade, with the nonce the server wants.
    pub(crate) async fn upgrade_headers(&self, host: HostId) -> Result<HeaderMap, Reply> {
        let refused = match self.upgrade(self.headers(host, None)).await {
            Ok(_) => panic!("the channel opened without a nonce"),
            Err(refused) => refused,
        };
        match nonce_wanted(&refused) {
            Some(nonce) => Ok(self.headers(host, Some(&nonce))),
            None => Err(refused),
        }
    }

    fn headers(&self, host: HostId, nonce: Option<&str>) -> HeaderMap {
        let proof = self.proof(&Method::GET, "/v1/agent/connect", None, None, Some(host), nonce);
        HeaderMap::from_iter([
            (DPOP, HeaderValue::from_str(&proof).unwrap()),
            (SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(OFFERED_SUBPROTOCOLS)),
        ])
    }

    /// Opens a socket with these headers; nothing was said on it yet.
    pub(crate) async fn upgrade(&self, headers: HeaderMap) -> Result<WebSocket, Reply> {
        let mut url = self.dials.join("/v1/agent/connect").unwrap();
        url.set_scheme(if self.dials.scheme() == "https" { "wss" } else { "ws" }).unwrap();
        match self.dialer.websocket(&url, headers).await {
            Ok(socket) => Ok(socket),
            Err(WsDialError::Refused(response)) => Err((*response).into()),
            Err(error) => panic!("the channel does not open: {error}"),
        }
    }

    /// Opens a socket with a proof of its own.
    pub(crate) async fn open(&self, host: HostId) -> Result<Channel, Reply> {
        let headers = self.upgrade_headers(host).await?;
        let socket = self.upgrade(headers).await?;
        Ok(Channel::new(socket, host, self.connect_url()))
    }

    /// Opens a channel and goes through all of its handshake.
    pub(crate) async fn connect(&self, host: HostId) -> Channel {
        self.connect_with(host, None).await
    }

    /// Opens a channel with the generation of an earlier one.
    pub(crate) async fn connect_with(&self, host: HostId, generation: Option<String>) -> Channel {
        let opened = self.open(host).await;
        let mut channel = opened.unwrap_or_else(|reply| panic!("refused: {} {}", reply.status, reply.text));
        channel.handshake(self, generation).await;
        channel
    }

    /// The URL of the channel, as the hello names it.
    pub(crate) fn connect_url(&self) -> String {
        self.public.join("/v1/agent/connect").unwrap().to_string()
    }
}

/// Returns the host an answer names.
pub(crate) fn host_of(reply: &Reply) -> HostId {
    let id = reply.json["host_id"].as_str().unwrap_or_else(|| panic!("no host in {}", reply.text));
    id.parse().unwrap()
}

fn nonce_wanted(reply: &Reply) -> Option<String> {
    (reply.code() == "use_dpop_nonce").then(|| reply.header("dpop-nonce").map(str::to_owned)).flatten()
}
