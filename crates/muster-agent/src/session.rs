//! One channel, from the open socket to its end: the shell around `AgentChannel` (DESIGN §5).

use std::io::ErrorKind;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use muster_channel::agent::{AgentChannel, Effect, Held};
use muster_client::WebSocket;
use muster_edge::Entropy;
use muster_proof::instruction::Revoked;
use muster_proof::{hello, successor};
use muster_wire::Object;
use muster_wire::channel::{AgentMessage, Config, MAX_FRAME, NextKeyClaims, Report, ServerMessage, close};
use muster_wire::parting::GoodbyeReason;
use muster_wire::text::Line;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::agent::Agent;
use crate::error::AgentError;
use crate::keys::{Chosen, Place};
use crate::pins::{self, Judged};
use crate::state::{LastChannel, StateError};
use crate::{facts, policy, visible};

const LAST_WORDS: Duration = Duration::from_secs(2);
/// Close codes below are the protocol's own (RFC 6455).
const FIRST_CODE_OF_MUSTER: u16 = 4000;
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
    /// The key is to be exchanged for the next one.
    Rekeyed,
}

/// A channel that ended.
#[derive(Debug)]
pub(crate) struct Ended {
    /// How.
    pub(crate) end: End,
    /// How long it was proved.
    pub(crate) held_for: Duration,
    /// Whether the server welcomed this host on it.
    pub(crate) welcomed: bool,
    /// Over which time the server wants its fleet back, if it said so.
    pub(crate) window: Option<Duration>,
}

impl End {
    /// Why the server let go of the channel, as it said or by its close code.
    pub fn reason(&self) -> Option<GoodbyeReason> {
        match self {
            Self::Left { reason, .. } => GoodbyeReason::parse(reason),
            Self::Closed { code } => GoodbyeReason::of_close(*code),
            _ => None,
        }
    }
}

impl Ended {
    pub(crate) fn before_the_welcome(end: End) -> Self {
        Self { end, held_for: Duration::ZERO, welcomed: false, window: None }
    }

    /// Whether it ended without a goodbye, as when a server dies or the way to it breaks.
    pub(crate) fn is_without_a_word(&self) -> bool {
        match self.end {
            End::Lost(_) => true,
            End::Closed { code } => code < FIRST_CODE_OF_MUSTER,
            _ => false,
        }
    }

    /// Whether the server did not bear what was shown to it.
    pub(crate) fn was_refused_in_role(&self) -> bool {
        !self.welcomed && matches!(self.end, End::Closed { code: close::POLICY })
    }

    /// Whether the server opened the socket and then did not welcome this host, in words: a connection that broke says
    /// nothing, and a key that ended is an alarm when it is shown.
    pub(crate) fn was_turned_away(&self) -> bool {
        let by_the_server = matches!(self.end, End::Closed { .. } | End::Left { .. } | End::Violation(_));
        !self.welcomed && by_the_server
    }
}

/// One channel under way.
pub(crate) struct Session<'a> {
    agent: &'a Agent,
    chosen: Chosen,
    url: &'a Url,
    socket: WebSocket,
    channel: AgentChannel,
    report: Option<Report>,
    heartbeat_every: Duration,
    window: Option<Duration>,
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
        chosen: Chosen,
        url: &'a Url,
        socket: WebSocket,
        report: Report,
    ) -> Result<Self, StateError> {
        let held = Held {
            host_id: agent.host_id,
            server_url: url.to_string(),
            generation: chosen.generation(&agent.state)?,
            boot_id: agent.machine.boot_id(),
            config: agent.jobs.config(),
        };
        Ok(Self {
            agent,
            chosen,
            url,
            socket,
            channel: AgentChannel::open(held),
            report: Some(report),
            heartbeat_every: Duration::from_secs(30),
            window: None,
            proved_at: None,
        })
    }

    /// Keeps the channel until it ends.
    pub(crate) async fn hold(mut self, stop: &CancellationToken) -> Ended {
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
        Ended {
            end,
            held_for: self.proved_at.map_or(Duration::ZERO, |at| at.elapsed()),
            welcomed: self.proved_at.is_some(),
            window: self.window,
        }
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
                let says_copy = GoodbyeReason::of_close(code).is_some_and(GoodbyeReason::says_copy);
                if says_copy && !self.channel.awaits_judgement() {
                    return Err(End::Violation("the server judged a state it was not shown".to_owned()));
                }
                return Err(End::Closed { code });
            }
            Some(Ok(_)) => return Err(End::Violation("the server sent a frame that is no text".to_owned())),
            Some(Err(cause)) => return Err(End::Lost(broken(&cause))),
            None => return Err(End::Lost(ENDED.to_owned())),
        };
        let Object(message): Object<ServerMessage> = serde_json::from_str(&text)
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
                if self.chosen.place == Place::Next {
                    // The server took its upgrade: from now on it may have taken the place of the former key.
                    let key = self.chosen.key.thumbprint();
                    self.agent.keys.borrow_mut().next_is_known(&self.agent.state, key).map_err(End::State)?;
                }
                let proof = hello::sign(&self.chosen.key, &claims);
                self.send(&AgentMessage::Hello { proof }).await
            }
            Effect::PersistGeneration { generation, heartbeat_secs, reconnect_window_secs } => {
                self.window = reconnect_window_secs.map(|secs| Duration::from_secs(secs.into()));
                self.acknowledge(&generation, heartbeat_secs).await
            }
            Effect::PersistConfig(config) => self.apply(*config).await,
            Effect::Send(message) => self.send(&message).await,
            Effect::MakeNextKey { challenge } => self.show_next_key(challenge).await,
            Effect::UseNextKey(key) => {
                let is_ours = self.agent.keys.borrow_mut().next_is_known(&self.agent.state, key);
                if is_ours.map_err(End::State)? {
                    return Err(End::Rekeyed);
                }
                tracing::info!("ignored the news of a next key that is not this machine's");
                Ok(())
            }
            Effect::KeepPins(statement) => self.keep_pins(&statement).await,
            Effect::RunAttempt(dispatch) => {
                self.agent.jobs.accept(*dispatch);
                Ok(())
            }
            Effect::ForgetAttempt(attempt) => {
                self.agent.jobs.recorded(attempt);
                Ok(())
            }
            Effect::Revoked(statement) => match self.agent.revoked(&statement) {
                Ok(None) => Ok(()),
                Ok(Some(end)) => Err(end),
                Err(AgentError::State(cause)) => Err(End::State(cause)),
                Err(cause) => Err(End::Violation(cause.to_string())),
            },
            Effect::ServerLeaves { reason, retry_after_secs } => {
                let reason = visible::line::<64>(&reason).map_or_else(String::new, |line| line.to_string());
                let retry_after = Duration::from_secs(u64::from(retry_after_secs));
                Err(End::Left { reason, retry_after })
            }
        }
    }

    /// The generation is on disk before it is acknowledged: a crash in between costs nothing.
    async fn acknowledge(&mut self, generation: &str, heartbeat_secs: u32) -> Result<(), End> {
        let Agent { state, jobs, .. } = self.agent;
        self.chosen.store_generation(state, generation).map_err(End::State)?;
        let report = self.report.take().ok_or_else(|| End::Violation("a second welcome".to_owned()))?;
        let mut report = Report { running: jobs.running(), ..report };
        if !self.chosen.place.is_proved() {
            // The server says its pins once more: what it signs to this key shows that it took it.
            report.pins_issued_at = report.pins_issued_at.map(pins::just_older);
        }
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

    /// The next key is on disk before it is shown: whatever breaks, this machine holds the key the server may know.
    async fn show_next_key(&mut self, challenge: String) -> Result<(), End> {
        let Agent { state, keys, host_id, .. } = self.agent;
        if !self.chosen.place.is_proved() {
            tracing::info!("made no next key: nothing shows yet that the server took this one");
            return Ok(());
        }
        let next = keys.borrow_mut().make_next(state).map_err(End::State)?;
        let former = self.chosen.key.thumbprint();
        let claims = NextKeyClaims { host_id: *host_id, former, challenge };
        let proof = successor::sign_next_key(&next, &claims);
        match self.channel.next_key_persisted(proof) {
            Effect::Send(message) => self.send(&message).await,
            _ => Ok(()),
        }
    }

    async fn keep_pins(&mut self, statement: &str) -> Result<(), End> {
        let Agent { state, identity, .. } = self.agent;
        let key = self.chosen.key.thumbprint();
        if pins::judge(statement, &identity.borrow(), key).is_ok() {
            self.agent.proved(&mut self.chosen).map_err(End::State)?;
        }
        let judged = pins::judge(statement, &identity.borrow(), key);
        let issued_at = match judged {
            Ok(Judged::Newer(newer, issued_at)) => {
                let are_given_up = pins::are_given_up(&identity.borrow(), &newer);
                if are_given_up && let Err(cause) = self.agent.machine.takes_without_pins(self.url).await {
                    tracing::warn!(
                        %cause,
                        "kept the pins: this machine does not take the server's certificate without them"
                    );
                    return Ok(());
                }
                state.store_identity(&newer).map_err(End::State)?;
                tracing::info!("{}", pins::in_words(&identity.borrow(), &newer));
                identity.replace(*newer);
                issued_at
            }
            Ok(Judged::Kept(issued_at)) => issued_at,
            Ok(Judged::Older) => {
                tracing::info!("ignored pins older than those that are kept");
                return Ok(());
            }
            Err(cause) => {
                tracing::warn!(%cause, "ignored pins: the statement is not genuine");
                return Ok(());
            }
        };
        match self.channel.pins_persisted(issued_at) {
            Effect::Send(message) => self.send(&message).await,
            _ => Ok(()),
        }
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
    let (hostname, pins_issued_at) = {
        let identity = agent.identity.borrow();
        (machine.hostname(&identity), identity.pins_issued_at)
    };
    Report {
        hostname,
        facts: machine.facts(&agent.state).await,
        config_version: None,
        config_digest: None,
        running: Vec::new(),
        policy: policy::Policy::read(&machine.policy).summary(),
        pins_issued_at,
    }
}
