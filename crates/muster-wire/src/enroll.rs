//! `POST /v1/enroll`, the one door, and the HTTP heartbeat.

use muster_ids::{AgentKeyId, ClaimId, HostId, KeyThumbprint, MachineUid, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::bounds::{Few, FewEntries, Whole};
use crate::claim::{ClaimReason, CopyCause};
use crate::host::HostState;
use crate::object::object;
use crate::text::{Hostname, Line, Tag, line_string};

/// What a machine reports when it asks to be admitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollRequest {
    /// The machine's own name.
    pub hostname: Hostname,
    /// What identifies the hardware: evidence, never proof.
    pub machine_uid: MachineUid,
    /// What the machine is.
    #[serde(deserialize_with = "object")]
    pub facts: Facts,
    /// What its owner wrote on it.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// 32 random bytes (base64url) of a machine that cannot hold a key pair; instead of a DPoP proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_secret: Option<AgentSecret>,
}

/// `POST /v1/enroll/fork`: a machine that holds a copied or restored state made itself a new key and asks for an
/// identity of its own. The DPoP proof is by the new key, the statement by the one it was copied with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForkRequest {
    /// The host its state names.
    pub host_id: HostId,
    /// JWS by the former key over [`ForkClaims`].
    pub statement: Line<4096>,
    /// The machine's own name.
    pub hostname: Hostname,
    /// What identifies the hardware: evidence, never proof.
    pub machine_uid: MachineUid,
    /// What the machine is.
    #[serde(deserialize_with = "object")]
    pub facts: Facts,
    /// What its owner wrote on it.
    #[serde(default, deserialize_with = "object", skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
}

/// What the former key says when a machine forks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForkClaims {
    /// The host of the former key.
    pub host_id: HostId,
    /// The machine's new key.
    pub key: KeyThumbprint,
    /// How the machine found out.
    pub cause: CopyCause,
    /// The generation its state holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<String>,
    /// Names this start of the machine; one line of at most 64 characters.
    #[serde(deserialize_with = "line_string::<_, 64>")]
    pub boot_id: String,
}

/// 32 bytes as 43 base64url characters; wiped on drop, never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AgentSecret([u8; 32]);

impl AgentSecret {
    /// Wraps the bytes the machine made.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, which are a credential.
    pub fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for AgentSecret {
    fn drop(&mut self) {
        self.0.fill(0);
        std::hint::black_box(&self.0);
    }
}

impl std::fmt::Debug for AgentSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Serialize for AgentSecret {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&data_encoding::BASE64URL_NOPAD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for AgentSecret {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let bytes = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).ok();
        let bytes: Option<[u8; 32]> = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("malformed"))
    }
}

impl JsonSchema for AgentSecret {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "AgentSecret".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[0-9A-Za-z_-]{43}$" })
    }
}

/// What a machine is. Reported: shown with its origin, matches no selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Facts {
    /// Name and version of the operating system.
    pub os: Line<128>,
    /// Processor architecture.
    pub arch: Line<32>,
    /// Number of processor cores.
    pub cpu_cores: Whole<1, 65_536>,
    /// Memory in MiB.
    pub memory_mb: Whole<1, 1_073_741_824>,
    /// Size of the root file system in GiB.
    pub disk_gb: Whole<0, 1_073_741_824>,
    /// The address the machine sees on itself; never dialled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<std::net::IpAddr>,
    /// Versions of programs, for example `agent`, `kernel`, `restic`.
    #[serde(default, skip_serializing_if = "FewEntries::is_empty")]
    pub versions: FewEntries<Tag, Line<64>, 16>,
}

/// What the owner of a machine wrote on it. Reported: matches no selector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Labels {
    /// The company the machine belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub company: Option<Line<128>>,
    /// The department it stands in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub department: Option<Line<128>>,
    /// What kind of device it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<Line<64>>,
    /// Tags the machine claims for itself.
    #[serde(default, skip_serializing_if = "Few::is_empty")]
    pub tags: Few<Tag, 32>,
}

impl Labels {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How a machine came to be the host it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Disposition {
    /// A new host was made.
    New,
    /// An invited host was registered.
    Registered,
    /// The same key came again: the same host, nothing new.
    Reuse,
    /// The host's key was replaced by site policy.
    Rekeyed,
    /// The host's key was replaced with a rejoin token.
    Rejoined,
    /// The host's key was replaced by a person's decision on a claim.
    Replaced,
}

/// The reply to an admitted machine: 201 when a host came to be, 200 otherwise. Carries no credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollReply {
    /// The identity.
    pub host_id: HostId,
    /// How it came to be.
    pub disposition: Disposition,
    /// The state of the host.
    pub state: HostState,
    /// Seconds between heartbeats.
    pub heartbeat_secs: u32,
    /// The server's clock.
    pub server_time: Timestamp,
    /// Thumbprint of the key that signs instructions.
    pub instruction_key: KeyThumbprint,
    /// Id of the agent key, for machines without a key pair.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_key_id: Option<AgentKeyId>,
    /// Whether this repeats the answer to an earlier, identical enrolment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// The reply to a machine that waits for a person (202). Names no host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EnrollWaiting {
    /// The claim, to tell the operator.
    pub claim_id: ClaimId,
    /// Why a person must decide.
    pub reason: ClaimReason,
    /// Seconds until the machine should ask again.
    pub retry_after_secs: u32,
    /// The server's clock.
    pub server_time: Timestamp,
    /// Thumbprint of the key that signs instructions.
    pub instruction_key: KeyThumbprint,
}

/// `POST /v1/hosts/{host_id}/heartbeat`, and the heartbeat of the channel.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// Load average of one minute, in hundredths.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load_percent: Option<Whole<0, 10_000_000>>,
    /// Free space of the root file system in GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disk_free_gb: Option<Whole<0, 1_073_741_824>>,
    /// The machine's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<Timestamp>,
}

/// The reply to a heartbeat over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HeartbeatReply {
    /// Seconds until the next one.
    pub heartbeat_secs: u32,
    /// The server's clock.
    pub server_time: Timestamp,
}
