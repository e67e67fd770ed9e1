//! One client of the swarm with its channel: connect, hello, welcome, generation, configuration, heartbeats — and
//! back again when the channel ends, as an agent does it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::{SinkExt, StreamExt};
use muster_channel::agent::{AgentChannel, Effect};
use muster_channel::backoff::Backoff;
use muster_client::{WebSocket, WsDialError};
use muster_edge::Entropy;
use muster_ids::HostId;
use muster_proof::hello;
use muster_wire::channel::{AgentMessage, ServerMessage, close};
use muster_wire::enroll::Heartbeat;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;

use crate::crew::Tally;
use crate::machine::Machine;
use crate::stage::Door;

const PING_EVERY: Duration = Duration::from_secs(25);
const WELCOME_WITHIN: Duration = Duration::from_secs(60);
const JITTER: f64 = 0.2;
/// Heartbeats on their way at once on one channel, under load.
pub(crate) const AT_A_TIME: usize = 128;

/// What a client is told to do besides keeping its channel.
#[derive(Debug)]
pub(crate) enum Order {
    /// Send heartbeats one after the other until then, each one awaited.
    Beat { until: Instant },
    /// Say when every order before this one was carried out.
    Settle(oneshot::Sender<()>),
    /// Hand out a copy of the machine with all its state.
    Copy(oneshot::Sender<Machine>),
    /// Stop reading, for good.
    StopReading,
}

/// How a channel ended.
enum End {
    /// It broke or was closed with this code; come back after the hint.
    Lost { code: Option<u16>, hint: Option<Duration> },
    /// It was refused for good: revoked, a copy, or out of role.
    Over { code: u16 },
    /// The client was told to leave.
    Left,
}

/// A client under way.
pub(crate) struct Client {
    machine: Machine,
    host_id: HostId,
    door: Door,
    tally: Arc<Tally>,
    orders: mpsc::Receiver<Order>,
    reconnect_window: Option<Duration>,
    heartbeat_every: Duration,
}

impl Client {
    pub(crate) fn new(
        machine: Machine,
        door: Door,
        tally: Arc<Tally>,
        orders: mpsc::Receiver<Order>,
    ) -> anyhow::Result<Self> {
        let host_id = machine.host_id.context("the machine has not joined")?;
        let heartbeat_every = Duration::from_secs(30);
        Ok(Self { machine, host_id, door, tally, orders, reconnect_window: None, heartbeat_every })
    }

    pub(crate) fn host_id(&self) -> HostId {
        self.host_id
    }

    /// Keeps a channel until it is told to leave or refused for good; returns the machine.
    pub(crate) async fn run(mut self) -> Machine {
        let mut backoff = Backoff::default();
        loop {
            let began = Instant::now();
            let end = match self.dial().await {
                Ok(socket) => self.hold(socket).await,
                Err(end) => end,
            };
            let (code, hint) = match end {
                End::Left => return self.machine,
                End::Over { code } => {
                    self.tally.refused(self.host_id, code);
                    return self.machine;
                }
                End::Lost { code, hint } => (code, hint),
            };
            self.tally.lost(code);
            backoff.ended(began.elapsed());
            // The welcome's window is for the first try after the loss of a proved channel.
            let wait = match (hint, self.reconnect_window.take()) {
                (None, Some(window)) => backoff.delay_after_loss(Entropy.fraction(), Some(window)),
                (hint, _) => backoff.delay(Entropy.fraction(), hint),
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Opens the socket; once more where the server asks for its nonce.
    async fn dial(&mut self) -> Result<WebSocket, End> {
        for _ in 0..2 {
            let headers = self.machine.upgrade_headers(&self.door.htu, &self.tally.clock);
            let refused = match self.door.dialer.websocket(&self.door.channel, headers).await {
                Ok(socket) => return Ok(socket),
                Err(WsDialError::Refused(response)) => response,
                Err(error) => {
                    self.tally.unanswered(&error);
                    return Err(End::Lost { code: None, hint: None });
                }
            };
            let header = |name| refused.headers.get(name).and_then(|value| value.to_str().ok());
            let nonce = header("dpop-nonce").map(str::to_owned);
            let hint = header("retry-after").and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
            let status = refused.status.as_u16();
            if status == 401 && nonce.is_some() && nonce != self.machine.nonce {
                self.machine.nonce = nonce;
                continue;
            }
            self.tally.answered(status, hint.is_some());
            return Err(match status {
                401 | 403 => End::Over { code: status },
                _ => End::Lost { code: Some(status), hint },
            });
        }
        self.tally.answered(401, false);
        Err(End::Over { code: 401 })
    }

    async fn hold(&mut self, mut socket: WebSocket) -> End {
        let mut channel = AgentChannel::open(self.machine.held(self.host_id, &self.door.htu));
        let opened_at = Instant::now();
        let (mut ping_at, mut heartbeat_at) = (opened_at + PING_EVERY, None);
        let mut is_connected = false;
        let end = loop {
            let beat_at = heartbeat_at.unwrap_or(opened_at + WELCOME_WITHIN);
            tokio::select! {
                frame = socket.next() => {
                    match self.take(&mut socket, &mut channel, frame).await {
                        Ok(()) => {}
                        Err(end) => break end,
                    }
                    if channel.is_proved() && !is_connected {
                        is_connected = true;
                        self.tally.connected();
                        heartbeat_at = Some(Instant::now() + self.until_heartbeat());
                    }
                }
                order = self.orders.recv() => match self.obey(&mut socket, order).await {
                    Ok(()) => {}
                    Err(end) => break end,
                },
                () = sleep_until(beat_at) => {
                    if !is_connected || send(&mut socket, &heartbeat()).await.is_err() {
                        break End::Lost { code: None, hint: None };
                    }
                    self.tally.heartbeats(1);
                    heartbeat_at = Some(Instant::now() + self.until_heartbeat());
                }
                () = sleep_until(ping_at) => {
                    ping_at = Instant::now() + PING_EVERY;
                    if socket.send(Message::Ping(Vec::new().into())).await.is_err() {
                        break End::Lost { code: None, hint: None };
                    }
                }
            }
        };
        if is_connected {
            self.tally.disconnected(self.host_id);
        }
        end
    }

    fn until_heartbeat(&self) -> Duration {
        self.heartbeat_every.mul_f64(1.0 + (Entropy.fraction() - 0.5) * JITTER)
    }

    async fn obey(&mut self, socket: &mut WebSocket, order: Option<Order>) -> Result<(), End> {
        match order {
            None => {
                // The server is told by the closed socket, however this ends.
                let _ = tokio::time::timeout(Duration::from_secs(2), socket.close(None)).await;
                Err(End::Left)
            }
            Some(Order::Beat { until }) => self.beat(socket, until).await,
            Some(Order::Settle(done)) => {
                // Whoever asked may have lost patience.
                let _ = done.send(());
                Ok(())
            }
            Some(Order::Copy(copy)) => {
                let _ = copy.send(self.machine.copy());
                Ok(())
            }
            Some(Order::StopReading) => {
                // The socket stays open, and what arrives in it stays there.
                while self.orders.recv().await.is_some() {}
                Err(End::Left)
            }
        }
    }

    /// Sends heartbeats, some at a time, which are awaited by the pong of a ping behind them: what is counted the server
    /// has taken. A ping behind each one would be more chatter than the server bears.
    async fn beat(&mut self, socket: &mut WebSocket, until: Instant) -> Result<(), End> {
        let lost = |_| End::Lost { code: None, hint: None };
        let text = serde_json::to_string(&heartbeat()).expect("a heartbeat is JSON");
        let mut beats = 0;
        while Instant::now() < until {
            for _ in 0..AT_A_TIME {
                socket.feed(Message::text(text.clone())).await.map_err(lost)?;
            }
            socket.send(Message::Ping(Vec::new().into())).await.map_err(lost)?;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Pong(_))) => break,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => {
                        return Err(End::Lost { code: None, hint: None });
                    }
                    Some(Ok(_)) => {}
                }
            }
            beats += AT_A_TIME;
        }
        self.tally.heartbeats(beats);
        Ok(())
    }

    async fn take(
        &mut self,
        socket: &mut WebSocket,
        channel: &mut AgentChannel,
        frame: Option<Result<Message, tokio_tungstenite::tungstenite::Error>>,
    ) -> Result<(), End> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Close(frame))) => return Err(closed(frame.map(|frame| frame.code.into()))),
            Some(Ok(_)) => return Ok(()),
            Some(Err(_)) | None => return Err(End::Lost { code: None, hint: None }),
        };
        let violation = || End::Over { code: close::POLICY };
        let message: ServerMessage = serde_json::from_str(&text).map_err(|_| violation())?;
        let effects = channel.handle(message, self.tally.clock.now()).map_err(|_| violation())?;
        for effect in effects {
            self.carry_out(socket, channel, effect).await?;
        }
        Ok(())
    }

    async fn carry_out(
        &mut self,
        socket: &mut WebSocket,
        channel: &mut AgentChannel,
        effect: Effect,
    ) -> Result<(), End> {
        let reply = match effect {
            Effect::SignHello(claims) => {
                AgentMessage::Hello { proof: hello::sign(&self.machine.key, &claims) }
            }
            Effect::PersistGeneration { generation, heartbeat_secs, reconnect_window_secs } => {
                self.machine.generation = Some(generation);
                self.heartbeat_every = Duration::from_secs(u64::from(heartbeat_secs.max(1)));
                self.reconnect_window = reconnect_window_secs.map(|secs| Duration::from_secs(secs.into()));
                self.tally.welcomed(self.reconnect_window);
                let acknowledged = channel.generation_persisted(self.machine.report());
                message_of(acknowledged.map_err(|_| End::Over { code: close::POLICY })?)?
            }
            Effect::PersistConfig(config) => {
                self.tally.configured();
                self.machine.config = Some((config.version, config.digest.clone()));
                message_of(channel.config_persisted(config.version, config.digest))?
            }
            Effect::Send(message) => message,
            Effect::ServerLeaves { retry_after_secs, .. } => {
                let hint = Duration::from_secs(u64::from(retry_after_secs));
                return match socket.next().await {
                    Some(Ok(Message::Close(Some(frame)))) => Err(match closed(Some(frame.code.into())) {
                        End::Lost { code, .. } => End::Lost { code, hint: Some(hint) },
                        end => end,
                    }),
                    _ => Err(End::Lost { code: None, hint: Some(hint) }),
                };
            }
            // The statement is the server's own; the close that follows ends the client.
            Effect::Revoked(_) => return Ok(()),
            // The swarm takes no work, keeps its key and pins the server it started.
            _ => return Ok(()),
        };
        send(socket, &reply).await.map_err(|()| End::Lost { code: None, hint: None })
    }
}

fn message_of(effect: Effect) -> Result<AgentMessage, End> {
    match effect {
        Effect::Send(message) => Ok(message),
        _ => Err(End::Over { code: close::POLICY }),
    }
}

fn closed(code: Option<u16>) -> End {
    match code {
        Some(code @ (close::POLICY | close::REVOKED | close::GENERATION_STALE | close::FENCED)) => {
            End::Over { code }
        }
        code => End::Lost { code, hint: None },
    }
}

/// A heartbeat as an agent sends it.
pub(crate) fn heartbeat() -> AgentMessage {
    let heartbeat: Heartbeat = serde_json::from_str(HEARTBEAT).expect("the heartbeat is one");
    AgentMessage::Heartbeat { heartbeat }
}

/// Its body over HTTP.
pub(crate) const HEARTBEAT: &str =
    r#"{"load_percent":37,"disk_free_gb":412,"clock":"2026-01-01T00:00:00.000Z"}"#;

async fn send(socket: &mut WebSocket, message: &AgentMessage) -> Result<(), ()> {
    let text = serde_json::to_string(message).map_err(drop)?;
    socket.send(Message::text(text)).await.map_err(drop)
}
