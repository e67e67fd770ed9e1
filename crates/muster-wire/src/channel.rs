//! The live channel: closed sets of typed messages, one per direction (DESIGN §5).

use muster_ids::{HostId, JobId, KeyThumbprint, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, FewEntries};
use crate::enroll::{Facts, Heartbeat};
use crate::job::{JobEnd, Progress, Work};
use crate::object::{object, object_entries, objects, optional_object};
use crate::secret::Document;
use crate::text::{Hostname, Line, SecretName, Tag, line_string};

/// A version of the channel: the server takes the best one the agent offers and never says what it does not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// Join, configuration, jobs.
    V1,
    /// Also the rotation of keys, pins, and how fast a fleet comes back.
    V2,
}

impl Protocol {
    /// Every version this crate speaks, best first.
    pub const ALL: [Self; 2] = [Self::V2, Self::V1];
    /// The best version this crate speaks.
    pub const BEST: Self = Self::V2;

    /// The number in the challenge.
    pub const fn number(self) -> u32 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// The WebSocket subprotocol that names it.
    pub const fn subprotocol(self) -> &'static str {
        match self {
            Self::V1 => "muster.channel.v1",
            Self::V2 => "muster.channel.v2",
        }
    }

    /// Returns the version of a number.
    pub fn of_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.number() == number)
    }

    /// Returns the version of a WebSocket subprotocol.
    pub fn of_subprotocol(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|protocol| protocol.subprotocol() == text)
    }
}

/// What an agent offers in `Sec-WebSocket-Protocol`, best first.
pub const OFFERED_SUBPROTOCOLS: &str = "muster.channel.v2, muster.channel.v1";
/// Largest frame before the hello is verified, in bytes.
pub const MAX_FRAME_BEFORE_HELLO: usize = 4 * 1024;
/// Largest frame afterwards, in bytes.
pub const MAX_FRAME: usize = 1024 * 1024;

/// Most attempts an agent may report as running.
pub const MAX_RUNNING: usize = 256;

/// WebSocket close codes Muster uses.
pub mod close {
    /// Normal end.
    pub const NORMAL: u16 = 1000;
    /// Out of role, unknown message, bad proof.
    pub const POLICY: u16 = 1008;
    /// A frame over the limit.
    pub const TOO_BIG: u16 = 1009;
    /// The server restarts; come back.
    pub const RESTART: u16 = 1012;
    /// Overloaded; come back later.
    pub const TRY_LATER: u16 = 1013;
    /// The key or host was revoked; a signed `revoked` came before.
    pub const REVOKED: u16 = 4403;
    /// Another connection of this host took over.
    pub const FENCED: u16 = 4408;
    /// This connection presented an old generation: a copy or a restored state.
    pub const GENERATION_STALE: u16 = 4409;
    /// The host is held until a person answered whether it is the copy.
    pub const HELD: u16 = 4410;
}

/// What the hello's signature covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HelloClaims {
    /// The identity.
    pub host_id: HostId,
    /// The server's challenge, as received: 32 bytes, base64url.
    pub challenge: String,
    /// The URL the agent dialled; one line of at most 2048 characters.
    #[serde(deserialize_with = "line_string::<_, 2048>")]
    pub server_url: String,
    /// The generation the agent holds; none before its first welcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Names this start of the machine; one line of at most 64 characters.
    #[serde(deserialize_with = "line_string::<_, 64>")]
    pub boot_id: String,
}

/// A version of the configuration a host should have: ordered by epoch, then number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfigVersion {
    /// Counts restores of the server.
    pub epoch: u32,
    /// Counts changes within the epoch.
    pub n: u64,
}

/// A configuration: everything a host needs before it may work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Its version.
    #[serde(deserialize_with = "object")]
    pub version: ConfigVersion,
    /// SHA-256 over version and content, hex: two contents never share a version unnoticed.
    pub digest: String,
    /// The secrets of the host.
    #[serde(deserialize_with = "object_entries")]
    pub secrets: FewEntries<SecretName, DeliveredSecret, 64>,
}

/// A secret on its way to its host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliveredSecret {
    /// Counts its changes.
    pub version: u64,
    /// The document.
    pub document: Document,
}

/// One attempt of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempt {
    /// The job.
    pub job_id: JobId,
    /// Counts its dispatches, from 1.
    pub attempt: u32,
}

/// Work sent to a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dispatch {
    /// Which attempt of which job.
    #[serde(deserialize_with = "object")]
    pub attempt: Attempt,
    /// The host it is meant for: equal to the receiver's, or the frame is refused.
    pub host_id: HostId,
    /// What to do.
    #[serde(deserialize_with = "object")]
    pub work: Work,
    /// The version of the secret it needs.
    pub secret_version: u64,
    /// Seconds the work may take.
    pub time_limit_secs: u64,
    /// When it was sent, by the server's clock; from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_at: Option<Timestamp>,
    /// When the dispatch lapses if it was not begun.
    pub expires_at: Timestamp,
}

/// What the signature of a next key covers, by that key itself: with the channel, which the former key proved, both
/// have spoken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NextKeyClaims {
    /// The identity.
    pub host_id: HostId,
    /// The key whose place it takes: the one the channel was proved with.
    pub former: KeyThumbprint,
    /// The server's challenge of this channel, as received.
    pub challenge: String,
}

/// What the server says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum ServerMessage {
    /// First frame: what the hello must sign.
    Challenge {
        /// 32 random bytes, base64url.
        challenge: String,
        /// The version of the channel.
        protocol: u32,
        /// The server's clock.
        server_time: Timestamp,
    },
    /// The hello was good; fsync the generation and acknowledge it.
    Welcome {
        /// The next generation, opaque.
        generation: String,
        /// Seconds between heartbeats.
        heartbeat_secs: u32,
        /// The server's clock.
        server_time: Timestamp,
        /// Seconds over which the fleet should come back when the connection is lost without a word; from version 2
        /// on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect_window_secs: Option<u32>,
    },
    /// The configuration to apply.
    ConfigUpdate {
        /// All of it.
        #[serde(deserialize_with = "object")]
        config: Config,
    },
    /// Work to do.
    JobRun {
        /// What and until when.
        #[serde(deserialize_with = "object")]
        dispatch: Dispatch,
    },
    /// The end of an attempt is recorded; the agent may forget it.
    JobRecorded {
        /// Which one.
        #[serde(deserialize_with = "object")]
        attempt: Attempt,
    },
    /// The credential is void: a JWS by the instruction key.
    Revoked {
        /// The signed statement.
        statement: String,
    },
    /// Make the next key and prove it; from version 2 on.
    RotateKey {},
    /// The next key is known: connect with it; from version 2 on.
    NextKeyStored {
        /// Which key.
        key: KeyThumbprint,
    },
    /// Where the server's keys go: a JWS by the instruction key; from version 2 on.
    Pins {
        /// The signed statement.
        statement: String,
    },
    /// The server is about to close.
    Goodbye {
        /// Why: `restart`, `suspended`, `held`, `superseded`, `generation_stale`, `fenced`.
        reason: Line<64>,
        /// Seconds to wait before coming back.
        retry_after_secs: u32,
    },
}

/// What the agent says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum AgentMessage {
    /// Answers the challenge.
    Hello {
        /// JWS by the host key over [`HelloClaims`]; for agent keys the claims as plain JSON.
        proof: String,
    },
    /// The generation is on disk.
    GenerationAcknowledged {
        /// The generation of the welcome.
        generation: String,
        /// What the agent brings: only now, on a channel that is proved.
        #[serde(deserialize_with = "object")]
        report: Report,
    },
    /// The configuration is on disk.
    ConfigApplied {
        /// Its version.
        #[serde(deserialize_with = "object")]
        version: ConfigVersion,
        /// Its digest.
        digest: String,
    },
    /// A sign of life.
    Heartbeat {
        /// Load, disk, clock.
        #[serde(deserialize_with = "object")]
        heartbeat: Heartbeat,
    },
    /// An attempt began.
    JobStarted {
        /// Which one.
        #[serde(deserialize_with = "object")]
        attempt: Attempt,
    },
    /// How far an attempt is.
    JobProgress {
        /// Which one.
        #[serde(deserialize_with = "object")]
        attempt: Attempt,
        /// How far.
        #[serde(deserialize_with = "object")]
        progress: Progress,
    },
    /// A line of an attempt's log.
    JobLog {
        /// Which one.
        #[serde(deserialize_with = "object")]
        attempt: Attempt,
        /// The text, at most 4096 bytes.
        text: String,
    },
    /// An attempt ended.
    JobFinished {
        /// Which one.
        #[serde(deserialize_with = "object")]
        attempt: Attempt,
        /// How.
        #[serde(deserialize_with = "object")]
        end: JobEnd,
    },
    /// The next key, on disk before it is sent; from version 2 on.
    NextKey {
        /// JWS by the next key over [`NextKeyClaims`].
        proof: String,
    },
    /// The pins are on disk; from version 2 on.
    PinsKept {
        /// Of which statement.
        issued_at: Timestamp,
    },
    /// The agent stops on purpose.
    Goodbye {
        /// Why.
        reason: Line<64>,
    },
}

/// What an agent brings to a proved channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// The machine's own name now.
    pub hostname: Hostname,
    /// What the machine is now.
    #[serde(deserialize_with = "object")]
    pub facts: Facts,
    /// The configuration it has applied.
    #[serde(default, deserialize_with = "optional_object", skip_serializing_if = "Option::is_none")]
    pub config_version: Option<ConfigVersion>,
    /// The digest of that configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_digest: Option<String>,
    /// Attempts that are running; at most [`MAX_RUNNING`].
    #[serde(default, deserialize_with = "objects::<_, _, MAX_RUNNING>")]
    pub running: Vec<Attempt>,
    /// What the machine's own policy allows.
    #[serde(default)]
    pub policy: Few<Tag, 32>,
    /// The statement of pins it keeps, by when it was issued; from version 2 on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins_issued_at: Option<Timestamp>,
}
