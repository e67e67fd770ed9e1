//! A machine's side of the channel, frame by frame.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_client::WebSocket;
use muster_ids::HostId;
use muster_wire::channel::{AgentMessage, ConfigVersion, HelloClaims, ServerMessage};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::Machine;

const FRAME_WITHIN: Duration = Duration::from_secs(8);

/// What came next on a channel.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    Frame(ServerMessage),
    /// The channel ended: close code and reason, if the server said any.
    Closed(Option<(u16, String)>),
    /// Nothing came in time.
    Quiet,
}

/// An open socket to the server.
pub(crate) struct Channel {
    socket: WebSocket,
    host: HostId,
    url: String,
    pub(crate) generation: Option<String>,
    /// Version and digest of the configuration it confirmed last.
    pub(crate) confirmed: Option<(ConfigVersion, String)>,
    /// The statements of pins that came; they are skipped where something else is expected.
    pub(crate) pins: Vec<String>,
}

impl Channel {
    pub(crate) fn new(socket: WebSocket, host: HostId, url: String) -> Self {
        Self { socket, host, url, generation: None, confirmed: None, pins: Vec::new() }
    }

    /// The next frame that is no ping or pong.
    pub(crate) async fn next(&mut self) -> Next {
        self.next_within(FRAME_WITHIN).await
    }

    pub(crate) async fn next_within(&mut self, within: Duration) -> Next {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let message = serde_json::from_str(text.as_str());
                        match message.unwrap_or_else(|error| panic!("{error}: {text}")) {
                            ServerMessage::Pins { statement } => self.pins.push(statement),
                            message => return Next::Frame(message),
                        }
                    }
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    Some(Ok(Message::Close(frame))) => {
                        return Next::Closed(
                            frame.map(|frame| (frame.code.into(), frame.reason.to_string())),
                        );
                    }
                    Some(Ok(other)) => panic!("the server sent {other:?}"),
                    Some(Err(_)) | None => return Next::Closed(None),
                }
            }
        };
        tokio::time::timeout(within, next).await.unwrap_or(Next::Quiet)
    }

    /// The next frame, which must be one.
    pub(crate) async fn frame(&mut self) -> ServerMessage {
        match self.next().await {
            Next::Frame(message) => message,
            other => panic!("no frame but {other:?}"),
        }
    }

    /// Reads to the end and returns every frame before it and the close code.
    pub(crate) async fn until_end(&mut self) -> (Vec<ServerMessage>, Option<u16>) {
        let mut frames = Vec::new();
        loop {
            match self.next().await {
                Next::Frame(message) => frames.push(message),
                Next::Closed(close) => return (frames, close.map(|(code, _)| code)),
                Next::Quiet => panic!("the server keeps the channel open after {frames:?}"),
            }
        }
    }

    pub(crate) async fn send(&mut self, message: &AgentMessage) {
        self.send_json(&serde_json::to_value(message).unwrap()).await;
    }

    pub(crate) async fn send_json(&mut self, message: &Value) {
        self.send_raw(Message::text(message.to_string())).await;
    }

    /// Sends any frame; a socket that the server closed meanwhile is for the next read to find.
    pub(crate) async fn send_raw(&mut self, message: Message) {
        let _ = self.socket.send(message).await;
    }

    pub(crate) async fn close(&mut self) {
        let _ = self.socket.close(None).await;
    }

    /// Signs the hello for this challenge.
    pub(crate) fn hello(
        &self,
        machine: &Machine,
        challenge: &str,
        generation: Option<String>,
    ) -> AgentMessage {
        let claims = HelloClaims {
            host_id: self.host,
            challenge: challenge.to_owned(),
            server_url: self.url.clone(),
            generation,
            boot_id: format!("boot-{}", machine.hostname),
        };
        AgentMessage::Hello { proof: muster_proof::hello::sign(&machine.key, &claims) }
    }

    /// Takes the challenge, which must be the first frame.
    pub(crate) async fn challenge(&mut self) -> String {
        match self.frame().await {
            ServerMessage::Challenge { challenge, .. } => challenge,
            other => panic!("the first frame is {other:?}"),
        }
    }

    /// Goes through the handshake and confirms the configuration; returns the secrets that came with it.
    pub(crate) async fn handshake(&mut self, machine: &Machine, generation: Option<String>) -> Value {
        let challenge = self.challenge().await;
        let hello = self.hello(machine, &challenge, generation);
        self.send(&hello).await;
        self.after_hello(machine).await
    }

    /// Goes on after the hello.
    pub(crate) async fn after_hello(&mut self, machine: &Machine) -> Value {
        let generation = match self.frame().await {
            ServerMessage::Welcome { generation, .. } => generation,
            other => panic!("after the hello came {other:?}"),
        };
        self.generation = Some(generation.clone());
        let report = machine.report();
        self.send_json(&json!({
            "type": "generation_acknowledged",
            "generation": generation,
            "report": { "hostname": report["hostname"], "facts": report["facts"] },
        }))
        .await;
        self.confirm_config().await
    }

    /// Takes a configuration and confirms it.
    pub(crate) async fn confirm_config(&mut self) -> Value {
        let config = match self.frame().await {
            ServerMessage::ConfigUpdate { config } => config,
            other => panic!("instead of the configuration came {other:?}"),
        };
        let secrets = serde_json::to_value(&config.secrets).unwrap();
        self.confirmed = Some((config.version, config.digest.clone()));
        self.send(&AgentMessage::ConfigApplied { version: config.version, digest: config.digest }).await;
        secrets
    }

    pub(crate) async fn heartbeat(&mut self) {
        self.send_json(&json!({ "type": "heartbeat", "heartbeat": {} })).await;
    }

    /// Whether the server still answers on this channel.
    pub(crate) async fn is_alive(&mut self) -> bool {
        if self.socket.send(Message::Ping(bytes::Bytes::from_static(b"alive?"))).await.is_err() {
            return false;
        }
        let pong = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Pong(bytes))) if bytes.as_ref() == b"alive?" => return true,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                    Some(Ok(_)) => {}
                }
            }
        };
        tokio::time::timeout(FRAME_WITHIN, pong).await.unwrap_or(false)
    }
}
