//! A server that answers by script and judges every proof as a real one does.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_agent::error::AgentError;
use muster_agent::join::{Joined, Options};
use muster_agent::leave::Left;
use muster_agent::machine::{Machine, Pace};
use muster_agent::state::{IdentityState, StateError, StateView};
use muster_client::{ProxyRules, Timeouts};
use muster_edge::Clock;
use muster_ids::{Bearer, BearerKind, HostId, KeyName, KeyThumbprint, PublicId, Timestamp};
use muster_proof::dpop::{Expected, Proof, VerifiedProof};
use muster_proof::instruction::{Pins, Revoked, sign_pins, sign_revoked};
use muster_proof::{HostKey, HtuUrl, ProofError, PublicKey, digest, hello};
use muster_wire::JoinString;
use muster_wire::channel::{AgentMessage, Attempt, HelloClaims, Protocol, Report, ServerMessage};
use muster_wire::parting::GoodbyeReason;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_util::sync::CancellationToken;
use url::Url;

pub(crate) const NONCE: &str = "nonce-of-the-server";
pub(crate) const CHALLENGE: &str = "c2l4dGVlbiBieXRlcw";
pub(crate) const HOST: u128 = 0x0190_0000_0000_7000_8000_0000_0000_0001;

/// One request, with the proof that came with it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) target: String,
    pub(crate) ticket: Option<String>,
    pub(crate) body: Vec<u8>,
    pub(crate) proof: Option<Result<VerifiedProof, ProofError>>,
}

impl Seen {
    pub(crate) fn key(&self) -> KeyThumbprint {
        self.proof.clone().expect("a proof").expect("a good proof").thumbprint
    }
}

/// What the server does with a request.
pub(crate) enum Act {
    /// Reads it whole and closes.
    Close,
    Reply(u16, Vec<(&'static str, String)>, Value),
    /// Accepts the channel and hands it to the test.
    Upgrade,
}

pub(crate) type Socket = WebSocketStream<TcpStream>;

pub(crate) struct Fake {
    pub(crate) url: Url,
    pub(crate) seen: Arc<Mutex<Vec<Seen>>>,
    pub(crate) channels: mpsc::UnboundedReceiver<Peer>,
    pub(crate) instruction: Arc<HostKey>,
}

/// The server's end of a channel.
pub(crate) struct Peer {
    socket: Socket,
    key: PublicKey,
    url: Url,
}

pub(crate) fn host_id() -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(HOST))
}

impl Fake {
    /// Answers the n-th request (from 0) as `script` says.
    pub(crate) async fn start(script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        Self::behind(listener, url, script)
    }

    /// The same behind something that is reached at `url`.
    pub(crate) fn behind(
        listener: TcpListener,
        url: Url,
        script: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static,
    ) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (sender, channels) = mpsc::unbounded_channel();
        let fake = Self {
            url: url.clone(),
            seen: Arc::clone(&seen),
            channels,
            instruction: Arc::new(HostKey::generate()),
        };
        let script = Arc::new(script);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (script, seen, sender, url) =
                    (Arc::clone(&script), Arc::clone(&seen), sender.clone(), url.clone());
                tokio::spawn(async move { serve(stream, &url, &*script, &seen, &sender).await });
            }
        });
        fake
    }

    pub(crate) fn requests(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn join_string(&self, kind: BearerKind, n: u8) -> JoinString {
        JoinString {
            urls: vec![self.url.clone()],
            ticket: ticket(kind, n),
            instruction_key: self.instruction.thumbprint(),
            pins: Vec::new(),
        }
    }

    pub(crate) fn revoked(&self, key: KeyThumbprint) -> String {
        revoked_by(&self.instruction, key)
    }

    pub(crate) async fn channel(&mut self) -> Peer {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.channels.recv());
        waited.await.expect("a channel in time").expect("a channel")
    }
}

pub(crate) fn revoked_by(instruction: &HostKey, key: KeyThumbprint) -> String {
    let revoked = Revoked {
        host_id: host_id(),
        key: KeyName::Pair(key),
        reason: "retired by alice".to_owned(),
        at: Timestamp::from_millis(5_000),
    };
    sign_revoked(instruction, &revoked)
}

pub(crate) fn ticket(kind: BearerKind, n: u8) -> Bearer {
    Bearer::new(kind, PublicId::from_entropy([n; 16]), [n; 32])
}

async fn serve(
    mut stream: TcpStream,
    base: &Url,
    script: &(impl Fn(usize, &Seen) -> Act + Send + Sync),
    record: &Mutex<Vec<Seen>>,
    channels: &mpsc::UnboundedSender<Peer>,
) {
    let Some((seen, upgrade_key)) = read_request(&mut stream, base).await else { return };
    let n = {
        let mut record = record.lock().unwrap();
        record.push(seen.clone());
        record.len() - 1
    };
    let head = match script(n, &seen) {
        Act::Close => return,
        Act::Reply(status, headers, body) => {
            let body = body.to_string();
            let mut head = format!("HTTP/1.1 {status} X\r\nContent-Length: {}\r\n", body.len());
            for (name, value) in headers {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
            format!("{head}\r\n{body}")
        }
        Act::Upgrade => format!(
            "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {}\r\n\r\n",
            derive_accept_key(upgrade_key.as_bytes())
        ),
    };
    if stream.write_all(head.as_bytes()).await.is_err() {
        return;
    }
    if head.starts_with("HTTP/1.1 101") {
        let key = seen.proof.unwrap().unwrap().key;
        let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
        let _ = channels.send(Peer { socket, key, url: base.clone() });
    }
}

async fn read_request(stream: &mut TcpStream, base: &Url) -> Option<(Seen, String)> {
    let mut bytes = Vec::new();
    let end = loop {
        let mut chunk = [0; 4096];
        let read = stream.read(&mut chunk).await.ok().filter(|read| *read > 0)?;
        bytes.extend_from_slice(&chunk[..read]);
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let mut first = lines.next().unwrap().split(' ');
    let (method, target) = (first.next().unwrap().to_owned(), first.next().unwrap().to_owned());
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let length: usize = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = bytes[end + 4..].to_vec();
    while body.len() < length {
        body.push(stream.read_u8().await.ok()?);
    }
    let ticket = headers.get("authorization").map(|value| value.strip_prefix("Bearer ").unwrap().to_owned());
    let urls = [HtuUrl::below(base.as_str(), &target).unwrap()];
    let expected = Expected {
        method: &method,
        accepted_urls: &urls,
        body_sha256: (method == "POST" && headers.contains_key("content-type"))
            .then(|| digest::sha256(&body)),
        bearer: ticket.as_deref(),
        now: Clock::system().now(),
        nonce_is_valid: |nonce: &str| nonce == NONCE,
        nonce_required: method == "GET",
    };
    let judge = |header: &String| Proof::parse(header)?.judge_request(&expected)?.verify_signature();
    let proof = headers.get("dpop").map(judge);
    let upgrade_key = headers.get("sec-websocket-key").cloned().unwrap_or_default();
    Some((Seen { target, ticket: ticket.clone(), body, proof }, upgrade_key))
}

/// Refuses proofs as a real server does; `None`: the proof is good.
pub(crate) fn proof_refused(seen: &Seen) -> Option<Act> {
    match seen.proof.as_ref()? {
        Ok(_) => None,
        Err(ProofError::UseNonce) => {
            Some(problem_with(401, "use_dpop_nonce", vec![("DPoP-Nonce", NONCE.to_owned())], &json!({})))
        }
        Err(error) => panic!("{error}"),
    }
}

pub(crate) fn problem(status: u16, code: &str) -> Act {
    problem_with(status, code, Vec::new(), &json!({}))
}

pub(crate) fn problem_with(
    status: u16,
    code: &str,
    headers: Vec<(&'static str, String)>,
    extra: &Value,
) -> Act {
    let mut body = json!({
        "type": format!("urn:muster:problem:{code}"), "title": "X", "status": status,
        "detail": "a\u{1b}[31mtext", "instance": "urn:muster:req-7", "code": code,
    });
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    Act::Reply(status, headers, body)
}

pub(crate) fn admitted(instruction_key: KeyThumbprint, disposition: &str) -> Act {
    admitted_as(host_id(), instruction_key, disposition)
}

pub(crate) fn admitted_as(host_id: HostId, instruction_key: KeyThumbprint, disposition: &str) -> Act {
    let body = json!({
        "host_id": host_id, "disposition": disposition, "state": "active", "heartbeat_secs": 1,
        "server_time": Timestamp::from_millis(1_700_000_000_000), "instruction_key": instruction_key,
    });
    Act::Reply(201, Vec::new(), body)
}

impl Peer {
    pub(crate) async fn say(&mut self, message: &ServerMessage) {
        let text = serde_json::to_string(message).unwrap();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// Returns the next message that is no heartbeat; `None` at the end.
    pub(crate) async fn hear(&mut self) -> Option<AgentMessage> {
        loop {
            let next = tokio::time::timeout(Duration::from_secs(20), self.socket.next()).await;
            match next.expect("a frame in time") {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).unwrap() {
                    AgentMessage::Heartbeat { .. } => {}
                    message => return Some(message),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                _ => return None,
            }
        }
    }

    /// Waits for the next frame of any kind, however long that takes; a ping is answered. `false`: the socket ended.
    pub(crate) async fn frame(&mut self) -> bool {
        matches!(self.socket.next().await, Some(Ok(frame)) if !frame.is_close())
    }

    /// Leads the channel to its acknowledged generation; returns the attempts the agent says it runs.
    pub(crate) async fn welcome(&mut self, generation: &str) -> Vec<Attempt> {
        let (claims, report) = self.welcome_in(generation, None).await;
        assert_eq!(claims.host_id, host_id());
        report.running
    }

    /// The same for any host, with the window of its fleet; returns what the agent said.
    pub(crate) async fn welcome_in(
        &mut self,
        generation: &str,
        window_secs: Option<u32>,
    ) -> (HelloClaims, Report) {
        self.welcome_beating(generation, window_secs, 1).await
    }

    /// The same with so many seconds between two heartbeats.
    pub(crate) async fn welcome_beating(
        &mut self,
        generation: &str,
        window_secs: Option<u32>,
        heartbeat_secs: u32,
    ) -> (HelloClaims, Report) {
        let claims = self.hello().await;
        let server_time = Clock::system().now();
        let generation = generation.to_owned();
        let welcome = ServerMessage::Welcome {
            generation: generation.clone(),
            heartbeat_secs,
            server_time,
            reconnect_window_secs: window_secs,
        };
        self.say(&welcome).await;
        let Some(AgentMessage::GenerationAcknowledged { generation: got, report }) = self.hear().await else {
            panic!("no acknowledgement")
        };
        assert_eq!(got, generation);
        (claims, report)
    }

    /// Asks for the hello and verifies it with the key of the upgrade.
    pub(crate) async fn hello(&mut self) -> HelloClaims {
        let challenge = CHALLENGE.to_owned();
        let protocol = Protocol::BEST.number();
        let server_time = Clock::system().now();
        self.say(&ServerMessage::Challenge { challenge: challenge.clone(), protocol, server_time }).await;
        let Some(AgentMessage::Hello { proof }) = self.hear().await else { panic!("no hello") };
        let claims = hello::verify(&proof, &self.key).unwrap();
        assert_eq!((&claims.challenge, &claims.server_url), (&challenge, &self.url.to_string()));
        claims
    }

    /// Says its pins, as a server does that took the key of this channel, and hears that they are kept.
    pub(crate) async fn sign(&mut self, instruction: &HostKey) {
        let statement = self.pins(instruction, self.key());
        self.say(&statement).await;
        let Some(AgentMessage::PinsKept { .. }) = self.hear().await else { panic!("not kept") };
    }

    /// The pins of a server without certificates, said to this key.
    #[allow(clippy::unused_self)]
    pub(crate) fn pins(&self, instruction: &HostKey, to: KeyThumbprint) -> ServerMessage {
        let issued_at = Timestamp::from_millis(10);
        let pins = Pins {
            to: KeyName::Pair(to),
            issued_at,
            current: Vec::new(),
            next: Vec::new(),
            instruction_key: instruction.thumbprint(),
            next_instruction_key: None,
            not_before: issued_at,
        };
        ServerMessage::Pins { statement: sign_pins(instruction, &pins) }
    }

    /// Closes with a code and no other word.
    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        let _ = self.socket.close(Some(frame)).await;
    }

    /// The key the channel was opened with.
    pub(crate) fn key(&self) -> KeyThumbprint {
        self.key.thumbprint()
    }

    /// Says goodbye and closes, as a server that turns a connection away.
    pub(crate) async fn turn_away(mut self, reason: GoodbyeReason) {
        self.say(&ServerMessage::Goodbye { reason: reason.line(), retry_after_secs: 0 }).await;
        self.close(reason.close_code()).await;
    }
}

/// A machine with a state folder of its own.
pub(crate) struct Rig {
    pub(crate) parent: TempDir,
    pub(crate) machine: Machine,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let parent = TempDir::new().unwrap();
        let machine = Machine {
            root: PathBuf::from("/"),
            policy: parent.path().join("policy.toml"),
            restic: PathBuf::from("/nowhere/restic"),
            install_id: None,
            clock: Clock::system(),
            proxy: ProxyRules::none(),
            pace: Pace {
                timeouts: Timeouts { response: Duration::from_secs(2), ..Timeouts::default() },
                welcome_within: Duration::from_secs(5),
                stop_within: Duration::from_secs(2),
                scale: 0.001,
                ..Pace::default()
            },
        };
        Self { parent, machine }
    }

    pub(crate) fn folder(&self) -> PathBuf {
        self.parent.path().join("state")
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }

    pub(crate) fn identity(&self) -> Option<IdentityState> {
        StateView::open(&self.folder()).unwrap()?.identity().unwrap()
    }

    pub(crate) async fn join(&self, join: &JoinString) -> Result<Joined, AgentError> {
        free(async || {
            let options = Options { machine_uid: Some("box".to_owned()), ..Options::default() };
            muster_agent::join::join(&self.machine, &self.folder(), join, options).await
        })
        .await
    }

    pub(crate) async fn leave(&self, force: bool) -> Result<Left, AgentError> {
        free(async || muster_agent::leave::leave(&self.machine, &self.folder(), force).await).await
    }

    /// Runs the agent until it ends.
    pub(crate) async fn run(&self, stop: &CancellationToken) -> Result<(), AgentError> {
        free(async || muster_agent::run::run(&self.machine, &self.folder(), stop).await).await
    }

    /// Runs the agent beside `test`, in one thread as the agent does, and returns how it ended.
    pub(crate) async fn running<T: Future<Output = ()>>(
        &self,
        stop: &CancellationToken,
        test: T,
    ) -> Result<(), AgentError> {
        let (ended, ()) = tokio::join!(self.run(stop), test);
        ended
    }
}

/// Tries until the state folder is free: the children of tests beside this one hold its lock from fork to exec.
async fn free<T>(attempt: impl AsyncFn() -> Result<T, AgentError>) -> Result<T, AgentError> {
    loop {
        match attempt().await {
            Err(AgentError::State(StateError::InUse { .. })) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            outcome => return outcome,
        }
    }
}
