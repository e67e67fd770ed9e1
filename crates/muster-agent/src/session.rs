//! One channel, from the open socket to its end: the shell around `AgentChannel` (DESIGN §5).

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_channel::agent::{AgentChannel, Effect, Held};
use muster_client::WebSocket;
use muster_edge::Entropy;
use muster_proof::hello;
use muster_proof::instruction::Revoked;
use muster_wire::channel::{AgentMessage, Config, MAX_FRAME, Report, ServerMessage, close};
use muster_wire::text::Line;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::run::Agent;
use crate::state::{LastChannel, StateError};
use crate::{enroll, facts, policy, visible};

const LAST_WORDS: Duration = Duration::from_secs(2);
const ENDED: &str = "the connection ended";
const HEARTBEAT_SECS: std::ops::RangeInclusive<u32> = 1..=3600;
const HEARTBEAT_JITTER: f64 = 0.2;

/// How a channel ended.
#[derive(Debug)]
pub enum End {
    /// The agent was asked to stop.
    Stopped,
    /// The key is void; the statement is genuine.
    Revoked(Box<Revoked>),
    /// The server said goodbye.
    Left {
        /// Why.
        reason: String,
        /// When to come back.
        retry_after: Duration,
    },
    /// The server closed with a code.
    Closed {
        /// The code.
        code: u16,
    },
    /// The connection broke or fell silent.
    Lost(String),
    /// The server did what its role does not allow.
    Violation(String),
    /// The state folder failed; nothing was acknowledged.
    State(StateError),
}

/// One channel under way.
pub(crate) struct Session<'a> {
    agent: &'a Agent,
    url: &'a Url,
    socket: WebSocket,
    channel: AgentChannel,
    report: Option<Report>,
    heartbeat_every: Duration,
    /// Set once the generation is acknowledged.
    proved_at: Option<Instant>,
}

enum Event {
    Frame(Option<Result<Message, WsError>>),
    News,
    Heartbeat,
    Ping,
    Silence,
    Stop,
}

impl<'a> Session<'a> {
    /// Begins on an open socket; `report` is what the agent brings once the channel is proved.
    pub(crate) fn open(
        agent: &'a Agent,
        url: &'a Url,
        socket: WebSocket,
        report: Report,
    ) -> Result<Self, StateError> {
        let held = Held {
            host_id: agent.host_id,
            server_url: url.to_string(),
            generation: agent.state.generation()?,
            boot_id: agent.machine.boot_id(),
            config: agent.jobs.config(),
        };
        Ok(Self {
            agent,
            url,
            socket,
            channel: AgentChannel::open(held),
            report: Some(report),
            heartbeat_every: Duration::from_secs(30),
            proved_at: None,
        })
    }

    /// Keeps the channel until it ends; returns how long it was proved.
    pub(crate) async fn hold(mut self, stop: &CancellationToken) -> (End, Duration) {
        let end = tokio::select! {
            pumped = self.pump(stop) => match pumped {
                Ok(never) => match never {},
                Err(end) => end,
            },
            () = overdue(stop) => End::Stopped,
        };
        let code = match &end {
            End::Violation(_) => close::POLICY,
            _ => close::NORMAL,
        };
        if matches!(end, End::Stopped) {
            self.agent.jobs.stop().await;
            self.say_goodbye().await;
        }
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        // The socket is dropped next, however this ends.
        let _ = tokio::time::timeout(LAST_WORDS, self.socket.close(Some(frame))).await;
        (end, self.proved_at.map_or(Duration::ZERO, |at| at.elapsed()))
    }

    async fn pump(&mut self, stop: &CancellationToken) -> Result<std::convert::Infallible, End> {
        let pace = self.agent.machine.pace;
        let opened_at = Instant::now();
        let mut heard_at = opened_at;
        let mut ping_at = opened_at + pace.ping_every;
        let mut heartbeat_at = None;
        loop {
            let is_proved = self.proved_at.is_some();
            let silent_at =
                if is_proved { heard_at + pace.dead_after } else { opened_at + pace.welcome_within };
            let heartbeat_due = heartbeat_at.unwrap_or(silent_at);
            let event = tokio::select! {
                frame = self.socket.next() => Event::Frame(frame),
                () = self.agent.jobs.news(), if is_proved => Event::News,
                () = tokio::time::sleep_until(heartbeat_due), if heartbeat_at.is_some() => Event::Heartbeat,
                () = tokio::time::sleep_until(ping_at) => Event::Ping,
                () = tokio::time::sleep_until(silent_at) => Event::Silence,
                () = stop.cancelled() => Event::Stop,
            };
            match event {
                Event::Frame(frame) => {
                    heard_at = Instant::now();
                    self.take_frame(frame).await?;
                    if self.proved_at.is_some() && heartbeat_at.is_none() {
                        heartbeat_at = Some(Instant::now() + self.until_heartbeat());
                    }
                }
                Event::News => self.tell().await?,
                Event::Heartbeat => {
                    let machine = &self.agent.machine;
                    let heartbeat = facts::heartbeat(&machine.root, machine.clock.now());
                    self.send(&AgentMessage::Heartbeat { heartbeat }).await?;
                    heartbeat_at = Some(Instant::now() + self.until_heartbeat());
                }
                Event::Ping => {
                    self.push(Message::Ping(Vec::new().into())).await?;
                    ping_at = Instant::now() + pace.ping_every;
                }
                Event::Silence => return Err(End::Lost("the server fell silent".to_owned())),
                Event::Stop => return Err(End::Stopped),
            }
        }
    }

    /// Ten percent to either side, so that a fleet does not beat in step.
    fn until_heartbeat(&self) -> Duration {
        self.heartbeat_every.mul_f64(1.0 + (Entropy.fraction() - 0.5) * HEARTBEAT_JITTER)
    }

    async fn take_frame(&mut self, frame: Option<Result<Message, WsError>>) -> Result<(), End> {
        let text = match frame {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Ok(()),
            Some(Ok(Message::Close(frame))) => {
                let code = frame.map_or(close::NORMAL, |frame| frame.code.into());
                return Err(End::Closed { code });
            }
            Some(Ok(_)) => return Err(End::Violation("the server sent a frame that is no text".to_owned())),
            Some(Err(cause)) => return Err(End::Lost(broken(&cause))),
            None => return Err(End::Lost(ENDED.to_owned())),
        };
        let message: ServerMessage = serde_json::from_str(&text)
            .map_err(|_| End::Violation("the server sent a message this agent does not know".to_owned()))?;
        if let ServerMessage::Challenge { server_time, .. } | ServerMessage::Welcome { server_time, .. } =
            &message
        {
            self.agent.jobs.set_server_time(*server_time);
        }
        let now = self.agent.jobs.now();
        let effects = self.channel.handle(message, now).map_err(|cause| End::Violation(cause.to_string()))?;
        for effect in effects {
            self.carry_out(effect).await?;
        }
        Ok(())
    }

    async fn carry_out(&mut self, effect: Effect) -> Result<(), End> {
        match effect {
            Effect::SignHello(claims) => {
                let proof = hello::sign(&self.agent.key, &claims);
                self.send(&AgentMessage::Hello { proof }).await
            }
            Effect::PersistGeneration { generation, heartbeat_secs } => {
                self.acknowledge(&generation, heartbeat_secs).await
            }
            Effect::PersistConfig(config) => self.apply(*config).await,
            Effect::Send(message) => self.send(&message).await,
            Effect::RunAttempt(dispatch) => {
                self.agent.jobs.accept(*dispatch);
                Ok(())
            }
            Effect::ForgetAttempt(attempt) => {
                self.agent.jobs.recorded(attempt);
                Ok(())
            }
            Effect::Revoked(statement) => {
                let Agent { identity, key, host_id, .. } = self.agent;
                match enroll::genuine(&statement, identity, key, Some(*host_id)) {
                    Some(revoked) => Err(End::Revoked(Box::new(revoked))),
                    None => Ok(()),
                }
            }
            Effect::ServerLeaves { reason, retry_after_secs } => {
                let reason = visible::line::<64>(&reason).map_or_else(String::new, |line| line.to_string());
                let retry_after = Duration::from_secs(u64::from(retry_after_secs.min(3600)));
                Err(End::Left { reason, retry_after })
            }
        }
    }

    /// The generation is on disk before it is acknowledged: a crash in between costs nothing.
    async fn acknowledge(&mut self, generation: &str, heartbeat_secs: u32) -> Result<(), End> {
        let Agent { state, jobs, .. } = self.agent;
        state.store_generation(generation).map_err(End::State)?;
        let report = self.report.take().ok_or_else(|| End::Violation("a second welcome".to_owned()))?;
        let report = Report { running: jobs.running(), ..report };
        let effect =
            self.channel.generation_persisted(report).map_err(|cause| End::Violation(cause.to_string()))?;
        if let Effect::Send(message) = effect {
            self.send(&message).await?;
        }
        let heartbeat_secs = heartbeat_secs.clamp(*HEARTBEAT_SECS.start(), *HEARTBEAT_SECS.end());
        self.heartbeat_every = Duration::from_secs(u64::from(heartbeat_secs));
        self.proved_at = Some(Instant::now());
        jobs.begin_telling();
        tracing::info!(host.id = %self.agent.host_id, url = %self.url, "connected");
        let last = LastChannel { url: self.url.clone(), connected_at: jobs.now() };
        if let Err(cause) = state.store_last_channel(&last) {
            tracing::warn!("{cause}");
        }
        Ok(())
    }

    async fn apply(&mut self, config: Config) -> Result<(), End> {
        self.agent.state.store_config(&config).map_err(End::State)?;
        let (version, digest) = (config.version, config.digest.clone());
        tracing::info!(
            config.n = version.n,
            secrets = config.secrets.iter().count(),
            "configuration applied"
        );
        self.agent.jobs.configure(config);
        let applied = self.channel.config_persisted(version, digest);
        match applied {
            Effect::Send(message) => self.send(&message).await,
            _ => Ok(()),
        }
    }

    async fn tell(&mut self) -> Result<(), End> {
        loop {
            let report = self.agent.jobs.next_report();
            let Some(report) = report else { return Ok(()) };
            self.send(&report).await?;
        }
    }

    async fn say_goodbye(&mut self) {
        if self.proved_at.is_none() {
            return;
        }
        let last_words = async {
            self.tell().await?;
            let reason = Line::parse("stopped").expect("a word is a line");
            self.send(&AgentMessage::Goodbye { reason }).await
        };
        // A server that does not listen is told at the next start.
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
    }

    async fn send(&mut self, message: &AgentMessage) -> Result<(), End> {
        let text = serde_json::to_string(message).expect("messages have string keys and no failing field");
        if text.len() > MAX_FRAME {
            tracing::warn!(bytes = text.len(), "left out a message larger than a frame");
            return Ok(());
        }
        self.push(Message::text(text)).await
    }

    /// A server that takes nothing for as long as it may be silent is as good as gone.
    async fn push(&mut self, message: Message) -> Result<(), End> {
        let within = self.agent.machine.pace.dead_after;
        match tokio::time::timeout(within, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(cause)) => Err(End::Lost(broken(&cause))),
            Err(_) => Err(End::Lost("the server takes nothing".to_owned())),
        }
    }
}

fn broken(cause: &WsError) -> String {
    let is_end =
        |kind| matches!(kind, ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe);
    match cause {
        WsError::Io(cause) if is_end(cause.kind()) => ENDED.to_owned(),
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => ENDED.to_owned(),
        _ => crate::error::in_full(cause),
    }
}

/// Comes when a stop was asked for and whatever the channel was doing did not give way to it.
async fn overdue(stop: &CancellationToken) {
    stop.cancelled().await;
    tokio::time::sleep(LAST_WORDS).await;
}

/// Makes the report of a channel, before it is opened: its parts take time.
pub(crate) async fn report(agent: &Agent) -> Report {
    let machine = &agent.machine;
    Report {
        hostname: machine.hostname(&agent.identity),
        facts: machine.facts(&agent.state).await,
        config_version: None,
        config_digest: None,
        running: Vec::new(),
        policy: policy::Policy::read(&machine.policy).summary(),
    }
}
