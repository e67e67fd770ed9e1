//! Names of keys: what a host proves itself with.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;

use crate::AgentKeyId;
use crate::uuid_id::{ParseIdError, text_form};

/// The RFC 7638 SHA-256 thumbprint of a P-256 public key: 43 base64url characters.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyThumbprint([u8; 32]);

impl KeyThumbprint {
    /// Wraps the digest.
    pub const fn from_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64URL_NOPAD.encode(&self.0))
    }
}

impl fmt::Debug for KeyThumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyThumbprint {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ParseIdError)?;
        bytes.try_into().map(Self).map_err(|_| ParseIdError)
    }
}

text_form!(KeyThumbprint, "^[0-9A-Za-z_-]{43}$");

/// Names the key of a host: a key pair by thumbprint, or an agent key by id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyName {
    /// A P-256 key pair made on the machine.
    Pair(KeyThumbprint),
    /// An opaque agent key of a machine that cannot hold a key pair.
    Agent(AgentKeyId),
}

impl KeyName {
    /// Whether possession was proved with a key pair.
    pub const fn is_pair(&self) -> bool {
        matches!(self, Self::Pair(_))
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pair(thumbprint) => write!(f, "jkt:{thumbprint}"),
            Self::Agent(id) => write!(f, "agk:{id}"),
        }
    }
}

impl fmt::Debug for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyName {
    type Err = ParseIdError;
    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        if let Some(thumbprint) = text.strip_prefix("jkt:") {
            return thumbprint.parse().map(Self::Pair);
        }
        text.strip_prefix("agk:").ok_or(ParseIdError)?.parse().map(Self::Agent)
    }
}

text_form!(KeyName, "^(jkt:[0-9A-Za-z_-]{43}|agk:[0-9A-Za-z]{12})$");
