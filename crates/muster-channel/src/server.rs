//! The server's side of one channel.

use std::time::Duration;

use muster_ids::{HostId, KeyThumbprint, Timestamp};
use muster_wire::channel::{
    AgentMessage, Attempt, Config, ConfigVersion, Dispatch, HelloClaims, Protocol, Report, ServerMessage,
};
use muster_wire::enroll::Heartbeat;
use muster_wire::job::{JobEnd, Progress};

/// Time from the socket to a verified hello, and from the welcome to its acknowledgement.
pub const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);
/// Largest line of a job's log, in bytes.
pub const MAX_LOG_LINE: usize = 4096;

/// What the peer did that its role does not allow; the channel closes with 1008 and an audit row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// A message that has no place at this stage.
    #[error("message out of order")]
    OutOfOrder,
    /// The hello names another host.
    #[error("hello names another host")]
    ForeignHost,
    /// The hello answers another challenge.
    #[error("hello answers another challenge")]
    ForeignChallenge,
    /// The hello was signed for another server.
    #[error("hello was signed for another server")]
    ForeignServer,
    /// The acknowledged generation is not the one that was issued.
    #[error("acknowledged another generation")]
    ForeignGeneration,
    /// The applied configuration was never sent.
    #[error("applied another configuration")]
    ForeignConfig,
    /// A text is longer than its message allows.
    #[error("text too long")]
    TooLong,
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Send a frame.
    Send(ServerMessage),
    /// Commit the acknowledged generation, then call [`ServerChannel::acknowledged`].
    CommitGeneration {
        /// The generation, as issued.
        generation: String,
        /// What the agent brings.
        report: Box<Report>,
    },
    /// Record that the configuration is on the agent's disk; work may follow.
    RecordApplied {
        /// Its version.
        version: ConfigVersion,
    },
    /// The agent may be given work now.
    ReadyForWork,
    /// Record a sign of life.
    RecordHeartbeat(Heartbeat),
    /// Record the start of an attempt.
    RecordStarted(Attempt),
    /// Record how far an attempt is.
    RecordProgress(Attempt, Progress),
    /// Record a line of an attempt's log; it holds no control characters any more.
    RecordLog(Attempt, String),
    /// Record how an attempt ended, then send [`ServerMessage::JobRecorded`].
    RecordFinished(Attempt, Box<JobEnd>),
    /// Verify the proof of the next key over this channel's challenge, store the key, then send
    /// [`ServerMessage::NextKeyStored`].
    StoreNextKey {
        /// The JWS by the next key.
        proof: String,
        /// What it must answer.
        challenge: String,
    },
    /// Record that the agent keeps the pins of this statement.
    RecordPinsKept(Timestamp),
    /// The agent stops on purpose.
    RecordGoodbye(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    AwaitHello,
    AwaitAdmission,
    AwaitAcknowledgement { generation: String },
    AwaitCommit,
    AwaitApplied { version: ConfigVersion, digest: String },
    Working { applied: ConfigVersion },
}

/// The server's side of one channel, from the accepted upgrade to its end.
#[derive(Debug)]
pub struct ServerChannel {
    host_id: HostId,
    protocol: Protocol,
    challenge: String,
    stage: Stage,
}

impl ServerChannel {
    /// Begins with a proved upgrade: returns the channel and its first frame.
    pub fn open(
        host_id: HostId,
        protocol: Protocol,
        challenge: String,
        now: Timestamp,
    ) -> (Self, ServerMessage) {
        let first = ServerMessage::Challenge {
            challenge: challenge.clone(),
            protocol: protocol.number(),
            server_time: now,
        };
        (Self { host_id, protocol, challenge, stage: Stage::AwaitHello }, first)
    }

    /// Whether the peer knows what came with version 2.
    pub fn speaks_v2(&self) -> bool {
        self.protocol >= Protocol::V2
    }

    /// Whether the hello was verified: larger frames are allowed, and the host counts as connected.
    pub fn is_proved(&self) -> bool {
        !matches!(self.stage, Stage::AwaitHello | Stage::AwaitAdmission)
    }

    /// Whether the handshake must still end within [`HANDSHAKE_WITHIN`].
    pub fn is_in_handshake(&self) -> bool {
        matches!(
            self.stage,
            Stage::AwaitHello
                | Stage::AwaitAdmission
                | Stage::AwaitAcknowledgement { .. }
                | Stage::AwaitCommit
        )
    }

    /// Takes the hello, whose signature by the host's key the shell has verified.
    ///
    /// The shell then judges the generation in one transaction and calls [`Self::admitted`].
    pub fn hello(
        &mut self,
        claims: &HelloClaims,
        server_url_is_ours: impl FnOnce(&str) -> bool,
    ) -> Result<(), Violation> {
        if self.stage != Stage::AwaitHello {
            return Err(Violation::OutOfOrder);
        }
        if claims.host_id != self.host_id {
            return Err(Violation::ForeignHost);
        }
        if claims.challenge != self.challenge {
            return Err(Violation::ForeignChallenge);
        }
        if !server_url_is_ours(&claims.server_url) {
            return Err(Violation::ForeignServer);
        }
        self.stage = Stage::AwaitAdmission;
        Ok(())
    }

    /// Takes the generation the transaction issued.
    pub fn admitted(
        &mut self,
        generation: String,
        heartbeat_secs: u32,
        reconnect_window_secs: u32,
        now: Timestamp,
    ) -> Result<ServerMessage, Violation> {
        if self.stage != Stage::AwaitAdmission {
            return Err(Violation::OutOfOrder);
        }
        self.stage = Stage::AwaitAcknowledgement { generation: generation.clone() };
        let reconnect_window_secs = self.speaks_v2().then_some(reconnect_window_secs);
        Ok(ServerMessage::Welcome { generation, heartbeat_secs, server_time: now, reconnect_window_secs })
    }

    /// Takes the configuration the host should have, after the generation was committed.
    ///
    /// It is sent unless the agent reported that very version and digest.
    pub fn acknowledged(&mut self, config: Config, report: &Report) -> Result<Vec<Effect>, Violation> {
        if self.stage != Stage::AwaitCommit {
            return Err(Violation::OutOfOrder);
        }
        let agent_has_it = report.config_version == Some(config.version)
            && report.config_digest.as_deref() == Some(config.digest.as_str());
        if agent_has_it {
            self.stage = Stage::Working { applied: config.version };
            return Ok(vec![Effect::RecordApplied { version: config.version }, Effect::ReadyForWork]);
        }
        Ok(vec![self.send_config(config)])
    }

    /// Takes a changed configuration while the channel is open; `None` before the first one was sent.
    pub fn config_changed(&mut self, config: Config) -> Option<Effect> {
        match &self.stage {
            Stage::AwaitApplied { .. } | Stage::Working { .. } => Some(self.send_config(config)),
            _ => None,
        }
    }

    /// Returns the frame for a dispatch, if the agent may be given work.
    pub fn dispatch(&self, dispatch: Dispatch) -> Option<ServerMessage> {
        let issued_at = dispatch.issued_at.filter(|_| self.speaks_v2());
        let dispatch = Dispatch { issued_at, ..dispatch };
        matches!(self.stage, Stage::Working { .. }).then_some(ServerMessage::JobRun { dispatch })
    }

    /// Returns the frame that asks for the next key, if the agent knows it and has proved itself.
    pub fn ask_for_next_key(&self) -> Option<ServerMessage> {
        (self.speaks_v2() && self.is_acknowledged()).then_some(ServerMessage::RotateKey {})
    }

    /// Returns the frame that says the next key is stored.
    pub fn next_key_stored(&self, key: KeyThumbprint) -> ServerMessage {
        ServerMessage::NextKeyStored { key }
    }

    /// Returns the frame with the signed pins, if the agent knows it and has proved itself.
    pub fn pins(&self, statement: String) -> Option<ServerMessage> {
        (self.speaks_v2() && self.is_acknowledged()).then_some(ServerMessage::Pins { statement })
    }

    /// Takes a message of the agent; the hello is not among them, see [`Self::hello`].
    pub fn handle(&mut self, message: AgentMessage) -> Result<Vec<Effect>, Violation> {
        match message {
            AgentMessage::Hello { .. } => Err(Violation::OutOfOrder),
            AgentMessage::GenerationAcknowledged { generation, report } => {
                let Stage::AwaitAcknowledgement { generation: issued } = &self.stage else {
                    return Err(Violation::OutOfOrder);
                };
                if generation != *issued {
                    return Err(Violation::ForeignGeneration);
                }
                self.stage = Stage::AwaitCommit;
                Ok(vec![Effect::CommitGeneration { generation, report: Box::new(report) }])
            }
            AgentMessage::ConfigApplied { version, digest } => self.config_applied(version, &digest),
            AgentMessage::Goodbye { reason } if self.is_proved() => {
                Ok(vec![Effect::RecordGoodbye(reason.to_string())])
            }
            AgentMessage::Heartbeat { heartbeat } if self.is_acknowledged() => {
                Ok(vec![Effect::RecordHeartbeat(heartbeat)])
            }
            AgentMessage::NextKey { proof } if self.is_acknowledged() && self.speaks_v2() => {
                Ok(vec![Effect::StoreNextKey { proof, challenge: self.challenge.clone() }])
            }
            AgentMessage::PinsKept { issued_at } if self.is_acknowledged() && self.speaks_v2() => {
                Ok(vec![Effect::RecordPinsKept(issued_at)])
            }
            work if self.is_acknowledged() => work_message(work).map(|effect| vec![effect]),
            _ => Err(Violation::OutOfOrder),
        }
    }

    /// Whether the generation was acknowledged: the agent may give signs of life and tell of its work.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self.stage, Stage::AwaitApplied { .. } | Stage::Working { .. })
    }

    fn send_config(&mut self, config: Config) -> Effect {
        self.stage = Stage::AwaitApplied { version: config.version, digest: config.digest.clone() };
        Effect::Send(ServerMessage::ConfigUpdate { config })
    }

    fn config_applied(&mut self, version: ConfigVersion, digest: &str) -> Result<Vec<Effect>, Violation> {
        match &self.stage {
            Stage::AwaitApplied { version: sent, digest: sent_digest } => {
                if version < *sent {
                    // The acknowledgement of an earlier push that a newer one overtook.
                    return Ok(Vec::new());
                }
                if version != *sent || digest != sent_digest {
                    return Err(Violation::ForeignConfig);
                }
                self.stage = Stage::Working { applied: version };
                Ok(vec![Effect::RecordApplied { version }, Effect::ReadyForWork])
            }
            Stage::Working { applied } if version <= *applied => Ok(Vec::new()),
            Stage::Working { .. } => Err(Violation::ForeignConfig),
            _ => Err(Violation::OutOfOrder),
        }
    }
}

fn work_message(message: AgentMessage) -> Result<Effect, Violation> {
    match message {
        AgentMessage::JobStarted { attempt } => Ok(Effect::RecordStarted(attempt)),
        AgentMessage::JobProgress { attempt, progress } => Ok(Effect::RecordProgress(attempt, progress)),
        AgentMessage::JobLog { text, .. } if text.len() > MAX_LOG_LINE => Err(Violation::TooLong),
        AgentMessage::JobLog { attempt, text } => Ok(Effect::RecordLog(attempt, printable(&text))),
        AgentMessage::JobFinished { attempt, end } => Ok(Effect::RecordFinished(attempt, Box::new(end))),
        _ => Err(Violation::OutOfOrder),
    }
}

/// All text of a machine is hostile: what a terminal or a database would obey becomes a space.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
