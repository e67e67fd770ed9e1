//! The server's own keys as admins see and rotate them: what signs instructions, what the listener shows.

use muster_ids::{KeyThumbprint, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where what the listener of machines shows comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TlsKind {
    /// The server made its key; agents pin it, and the next one.
    Own,
    /// The operator keeps it in files; agents pin its key.
    PinnedFiles,
    /// The operator keeps it in files; it is publicly valid.
    PublicFiles,
    /// The server orders it from an ACME directory (RFC 8555); it is publicly valid.
    Acme,
    /// Something in front of the server speaks TLS.
    Absent,
}

/// How many agents know what comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostsInformed {
    /// Hosts with a key pair that have not left.
    pub hosts: u64,
    /// Those whose agents said that they keep what was announced.
    pub informed: u64,
}

/// The keys that sign instructions: `revoked` and `pins`, nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstructionKeys {
    /// Signs now.
    pub current: KeyThumbprint,
    /// Was announced, and will sign after the switch.
    pub next: Option<KeyThumbprint>,
    /// Signed before, and still does for hosts that were not told; until it is finished.
    pub former: Option<KeyThumbprint>,
    /// When the next one was announced, or the one in use before it came into use.
    pub announced_at: Option<Timestamp>,
    /// When the one in use took the former one's place.
    pub switched_at: Option<Timestamp>,
    /// Hosts that know what the next step takes for granted.
    pub hosts: HostsInformed,
}

/// What the listener of machines shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsStatus {
    /// Where it comes from.
    pub kind: TlsKind,
    /// SHA-256 of the key that is shown, base64url: what agents pin; empty when they pin nothing.
    pub pins: Vec<String>,
    /// The same of keys that will be shown.
    pub next_pins: Vec<String>,
    /// When the next ones were announced.
    pub announced_at: Option<Timestamp>,
    /// When the certificate is not valid any more.
    pub expires_at: Option<Timestamp>,
    /// Why the files are not what is shown, if they are not.
    pub problem: Option<String>,
    /// How the order of the certificate goes, where it is ordered.
    pub order: Option<CertificateOrder>,
    /// Hosts that know the next keys.
    pub hosts: HostsInformed,
}

/// A certificate that is ordered from an ACME directory (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateOrder {
    /// The address of the directory.
    pub directory: String,
    /// The names it is for.
    pub names: Vec<String>,
    /// Whether a certificate that nobody trusts is shown, because there is no other one yet.
    pub temporary: bool,
    /// When the one that is shown is renewed.
    pub renew_at: Option<Timestamp>,
    /// Orders that failed since one went well.
    pub failures: u32,
    /// Why the last one failed.
    pub problem: Option<String>,
    /// When the last one was made, since the server started.
    pub tried_at: Option<Timestamp>,
    /// When the next one is made, after a failure.
    pub next_try_at: Option<Timestamp>,
}

/// A step of a rotation, `POST /v1/installation/instruction-key/switch`, `/finish` and `/v1/installation/tls/rotate`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateServerKey {
    /// Whether hosts that do not know the next key may be left behind.
    #[serde(default)]
    pub force: bool,
}
