//! The agent's side of one channel.

use muster_ids::{HostId, KeyThumbprint, Timestamp};
use muster_wire::channel::{
    AgentMessage, Attempt, Config, ConfigVersion, Dispatch, HelloClaims, Protocol, Report, ServerMessage,
};
use muster_wire::parting::GoodbyeReason;

/// What the server did that its role does not allow; the agent closes and backs off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message that has no place at this stage.
    #[error("the server sent a message out of order")]
    OutOfOrder,
    /// The server speaks another version of the channel.
    #[error("the server speaks another version of the channel")]
    Protocol,
    /// Work that is meant for another host.
    #[error("the server sent work of another host")]
    ForeignHost,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Sign the claims with the host key and send them as the hello.
    SignHello(HelloClaims),
    /// Fsync the generation, then call [`AgentChannel::generation_persisted`].
    PersistGeneration {
        /// The generation, opaque.
        generation: String,
        /// Seconds between heartbeats.
        heartbeat_secs: u32,
        /// Seconds over which to come back when the connection is lost without a word.
        reconnect_window_secs: Option<u32>,
    },
    /// Fsync the configuration, then call [`AgentChannel::config_persisted`].
    PersistConfig(Box<Config>),
    /// Send a frame.
    Send(AgentMessage),
    /// Begin an attempt, if it was never begun; otherwise tell how it stands.
    RunAttempt(Box<Dispatch>),
    /// The end of an attempt is recorded; it may be forgotten.
    ForgetAttempt(Attempt),
    /// Verify the statement; if it is genuine, give up the credential.
    Revoked(String),
    /// Make the next key if there is none, fsync it, sign the challenge with it, then call
    /// [`AgentChannel::next_key_persisted`].
    MakeNextKey {
        /// The challenge of this channel.
        challenge: String,
    },
    /// The server knows the next key: connect anew, with it.
    UseNextKey(KeyThumbprint),
    /// Verify the statement; if it is genuine and newer, fsync it, then call [`AgentChannel::pins_persisted`].
    KeepPins(String),
    /// The server is about to close.
    ServerLeaves {
        /// Why.
        reason: String,
        /// Seconds to wait before coming back.
        retry_after_secs: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    AwaitChallenge,
    AwaitWelcome,
    PersistingGeneration { generation: String },
    Proved,
}

/// What the agent holds on disk when it connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The identity.
    pub host_id: HostId,
    /// The URL it dialled.
    pub server_url: String,
    /// The generation it holds.
    pub generation: Option<String>,
    /// Names this start of the machine.
    pub boot_id: String,
    /// The configuration it has applied.
    pub config: Option<(ConfigVersion, String)>,
}

/// The agent's side of one channel, from the open socket to its end.
#[derive(Debug)]
pub struct AgentChannel {
    held: Held,
    protocol: Protocol,
    challenge: String,
    stage: Stage,
}

impl AgentChannel {
    /// Begins with an open socket; the first move is the server's.
    pub fn open(held: Held) -> Self {
        Self { held, protocol: Protocol::V1, challenge: String::new(), stage: Stage::AwaitChallenge }
    }

    /// Whether the server proved that it accepts this host's hello.
    pub fn is_proved(&self) -> bool {
        self.stage == Stage::Proved
    }

    /// Whether the server has the hello and has not answered it: only then can it say that the state is a copy.
    pub fn awaits_judgement(&self) -> bool {
        self.stage == Stage::AwaitWelcome
    }

    /// Takes a message of the server.
    pub fn handle(&mut self, message: ServerMessage, now: Timestamp) -> Result<Vec<Effect>, Violation> {
        match message {
            ServerMessage::Challenge { challenge, protocol, .. } => self.challenged(challenge, protocol),
            ServerMessage::Welcome { generation, heartbeat_secs, reconnect_window_secs, .. } => {
                if self.stage != Stage::AwaitWelcome {
                    return Err(Violation::OutOfOrder);
                }
                self.stage = Stage::PersistingGeneration { generation: generation.clone() };
                Ok(vec![Effect::PersistGeneration { generation, heartbeat_secs, reconnect_window_secs }])
            }
            ServerMessage::Revoked { statement } => Ok(vec![Effect::Revoked(statement)]),
            ServerMessage::Goodbye { reason, .. }
                if GoodbyeReason::parse(reason.as_str()).is_some_and(GoodbyeReason::says_copy)
                    && !self.awaits_judgement() =>
            {
                Err(Violation::OutOfOrder)
            }
            ServerMessage::Goodbye { reason, retry_after_secs } => {
                Ok(vec![Effect::ServerLeaves { reason: reason.to_string(), retry_after_secs }])
            }
            _ if self.stage != Stage::Proved => Err(Violation::OutOfOrder),
            ServerMessage::ConfigUpdate { config } => Ok(self.configured(config)),
            ServerMessage::JobRun { dispatch } => self.dispatched(dispatch, now),
            ServerMessage::JobRecorded { attempt } => Ok(vec![Effect::ForgetAttempt(attempt)]),
            ServerMessage::RotateKey {} => {
                Ok(vec![Effect::MakeNextKey { challenge: self.challenge.clone() }])
            }
            ServerMessage::NextKeyStored { key } => Ok(vec![Effect::UseNextKey(key)]),
            ServerMessage::Pins { statement } => Ok(vec![Effect::KeepPins(statement)]),
        }
    }

    /// Takes the news that the next key is on disk: only now is it shown.
    pub fn next_key_persisted(&self, proof: String) -> Effect {
        Effect::Send(AgentMessage::NextKey { proof })
    }

    /// Takes the news that pins are on disk.
    pub fn pins_persisted(&self, issued_at: Timestamp) -> Effect {
        Effect::Send(AgentMessage::PinsKept { issued_at })
    }

    /// Takes the news that the generation is on disk: only now is it acknowledged.
    pub fn generation_persisted(&mut self, mut report: Report) -> Result<Effect, Violation> {
        let Stage::PersistingGeneration { generation } = &self.stage else {
            return Err(Violation::OutOfOrder);
        };
        let generation = generation.clone();
        self.held.generation = Some(generation.clone());
        self.stage = Stage::Proved;
        if let Some((version, digest)) = &self.held.config {
            report.config_version = Some(*version);
            report.config_digest = Some(digest.clone());
        }
        report.pins_issued_at = report.pins_issued_at.filter(|_| self.protocol >= Protocol::V2);
        Ok(Effect::Send(AgentMessage::GenerationAcknowledged { generation, report }))
    }

    /// Takes the news that a configuration is on disk: only now is it applied.
    pub fn config_persisted(&mut self, version: ConfigVersion, digest: String) -> Effect {
        self.held.config = Some((version, digest.clone()));
        Effect::Send(AgentMessage::ConfigApplied { version, digest })
    }

    fn challenged(&mut self, challenge: String, protocol: u32) -> Result<Vec<Effect>, Violation> {
        if self.stage != Stage::AwaitChallenge {
            return Err(Violation::OutOfOrder);
        }
        self.protocol = Protocol::of_number(protocol).ok_or(Violation::Protocol)?;
        self.challenge.clone_from(&challenge);
        self.stage = Stage::AwaitWelcome;
        Ok(vec![Effect::SignHello(HelloClaims {
            host_id: self.held.host_id,
            challenge,
            server_url: self.held.server_url.clone(),
            generation: self.held.generation.clone(),
            boot_id: self.held.boot_id.clone(),
        })])
    }

    /// A lower version is refused, the same one is only confirmed, everything else is applied.
    fn configured(&mut self, config: Config) -> Vec<Effect> {
        match &self.held.config {
            Some((held, _)) if config.version < *held => Vec::new(),
            Some((held, digest)) if config.version == *held && config.digest == *digest => {
                vec![Effect::Send(AgentMessage::ConfigApplied { version: *held, digest: digest.clone() })]
            }
            _ => vec![Effect::PersistConfig(Box::new(config))],
        }
    }

    /// A dispatch that lapsed is ignored: a recorded frame that is played again does nothing.
    fn dispatched(&mut self, dispatch: Dispatch, now: Timestamp) -> Result<Vec<Effect>, Violation> {
        if dispatch.host_id != self.held.host_id {
            return Err(Violation::ForeignHost);
        }
        if now >= dispatch.expires_at {
            return Ok(Vec::new());
        }
        Ok(vec![Effect::RunAttempt(Box::new(dispatch))])
    }
}
