//! The agent's side of a channel, played by hand.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_proof::hello;
use muster_wire::channel::{Config, HelloClaims, Protocol, ServerMessage};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{Joined, World};

/// What the server did.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    /// It sent a message.
    Message(Box<ServerMessage>),
    /// It closed, with this code and reason.
    Closed(u16, String),
    /// The socket ended without a close frame.
    Gone,
}

/// An open socket.
pub(crate) struct Socket {
    stream: WebSocketStream<TcpStream>,
    pub(crate) challenge: String,
    /// The start of the machine it says it is.
    pub(crate) boot_id: String,
    /// The statements of pins that came; they are skipped where something else is expected.
    pub(crate) pins: Vec<String>,
}

impl Socket {
    /// Upgrades with these header lines and waits for the challenge. `Err`: the status of another answer.
    pub(crate) async fn open(world: &World, headers: &str) -> Result<Self, u16> {
        Self::open_as(world, headers, Protocol::BEST).await
    }

    /// Opens as an agent that knows this version of the channel at most.
    pub(crate) async fn open_as(world: &World, headers: &str, protocol: Protocol) -> Result<Self, u16> {
        let mut socket = Self::upgrade_as(world, headers, protocol).await?;
        match socket.next().await {
            Told::Message(message) => match *message {
                ServerMessage::Challenge { challenge, .. } => socket.challenge = challenge,
                other => panic!("not a challenge: {other:?}"),
            },
            other => panic!("not a challenge: {other:?}"),
        }
        Ok(socket)
    }

    /// Upgrades with these header lines. `Err`: the status of another answer.
    pub(crate) async fn upgrade(world: &World, headers: &str) -> Result<Self, u16> {
        Self::upgrade_as(world, headers, Protocol::BEST).await
    }

    async fn upgrade_as(world: &World, headers: &str, protocol: Protocol) -> Result<Self, u16> {
        let url = format!("ws://{}/v1/agent/connect", world.address);
        let mut request = url.into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.subprotocol().parse().unwrap());
        for line in headers.lines().filter(|line| !line.is_empty()) {
            let (name, value) = line.split_once(": ").unwrap();
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let tcp = TcpStream::connect(world.address).await.unwrap();
        match tokio_tungstenite::client_async(request, tcp).await {
            Ok((stream, response)) => {
                assert_eq!(response.headers()["sec-websocket-protocol"], protocol.subprotocol());
                let (challenge, boot_id) = (String::new(), "boot-1".to_owned());
                Ok(Self { stream, challenge, boot_id, pins: Vec::new() })
            }
            Err(Error::Http(response)) => Err(response.status().as_u16()),
            Err(error) => panic!("not upgraded: {error}"),
        }
    }

    /// Waits for what the server does next; pings are answered on the way.
    pub(crate) async fn next(&mut self) -> Told {
        self.within(Duration::from_secs(10)).await.expect("the server does something")
    }

    /// Waits this long for what the server does next.
    pub(crate) async fn within(&mut self, patience: Duration) -> Option<Told> {
        let wait = async {
            loop {
                return match self.stream.next().await {
                    Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).expect("a message") {
                        ServerMessage::Pins { statement } => {
                            self.pins.push(statement);
                            continue;
                        }
                        message => Told::Message(Box::new(message)),
                    },
                    Some(Ok(Message::Close(Some(frame)))) => {
                        Told::Closed(frame.code.into(), frame.reason.to_string())
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(other)) => panic!("unexpected frame: {other:?}"),
                    None | Some(Err(_)) => Told::Gone,
                };
            }
        };
        tokio::time::timeout(patience, wait).await.ok()
    }

    /// Waits for the next frame of any kind, however long that takes; a ping is answered. `false`: the socket ended.
    pub(crate) async fn frame(&mut self) -> bool {
        matches!(self.stream.next().await, Some(Ok(frame)) if !frame.is_close())
    }

    /// Expects a message.
    pub(crate) async fn message(&mut self) -> ServerMessage {
        match self.next().await {
            Told::Message(message) => *message,
            other => panic!("not a message: {other:?}"),
        }
    }

    /// Expects the server to close with this code, after at most a goodbye.
    pub(crate) async fn closes_with(&mut self, code: u16) {
        let mut told = self.next().await;
        if matches!(&told, Told::Message(message) if matches!(**message, ServerMessage::Goodbye { .. })) {
            told = self.next().await;
        }
        assert!(matches!(told, Told::Closed(closed, _) if closed == code), "{told:?}, not {code}");
    }

    /// Sends a message.
    pub(crate) async fn send(&mut self, message: Value) {
        self.send_frame(Message::text(message.to_string())).await;
    }

    /// Sends a frame; a socket the server closed takes none.
    pub(crate) async fn send_frame(&mut self, frame: Message) {
        let _ = self.stream.send(frame).await;
    }

    /// The claims of an honest hello.
    pub(crate) fn claims(&self, host: &Joined, world: &World, generation: Option<String>) -> HelloClaims {
        HelloClaims {
            host_id: host.host_id,
            challenge: self.challenge.clone(),
            server_url: world.url(""),
            generation,
            boot_id: self.boot_id.clone(),
        }
    }

    /// Says hello with these claims.
    pub(crate) async fn hello(&mut self, host: &Joined, claims: &HelloClaims) {
        self.send(json!({ "type": "hello", "proof": hello::sign(&host.key, claims) })).await;
    }

    /// Says hello and expects a welcome; returns its generation.
    pub(crate) async fn welcome(&mut self, host: &Joined, world: &World, holds: Option<String>) -> String {
        let claims = self.claims(host, world, holds);
        self.hello(host, &claims).await;
        match self.message().await {
            ServerMessage::Welcome { generation, .. } => generation,
            other => panic!("not a welcome: {other:?}"),
        }
    }

    /// Acknowledges a generation without waiting for what follows.
    pub(crate) async fn acknowledge_only(&mut self, generation: &str, running: Value) {
        let report = json!({
            "hostname": "reported",
            "facts": { "os": "Debian 12", "arch": "x86_64", "cpu_cores": 2, "memory_mb": 2048, "disk_gb": 20 },
            "running": running,
        });
        let message =
            json!({ "type": "generation_acknowledged", "generation": generation, "report": report });
        self.send(message).await;
    }

    /// Acknowledges a generation, takes the configuration and confirms it.
    pub(crate) async fn acknowledge(&mut self, generation: &str, running: Value) -> Config {
        self.acknowledge_only(generation, running).await;
        let config = self.config().await;
        self.apply(&config).await;
        config
    }

    /// Expects a configuration.
    pub(crate) async fn config(&mut self) -> Config {
        match self.message().await {
            ServerMessage::ConfigUpdate { config } => config,
            other => panic!("not a configuration: {other:?}"),
        }
    }

    /// Confirms a configuration.
    pub(crate) async fn apply(&mut self, config: &Config) {
        let version = json!({ "epoch": config.version.epoch, "n": config.version.n });
        self.send(json!({ "type": "config_applied", "version": version, "digest": config.digest })).await;
    }

    /// Sends a heartbeat.
    pub(crate) async fn heartbeat(&mut self) {
        self.send(json!({ "type": "heartbeat", "heartbeat": {} })).await;
    }
}
