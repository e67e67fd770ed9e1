//! Documents of the installation's instruction key: `revoked` and `pins`, nothing else (DESIGN §3).
//!
//! The machine knows the key by its thumbprint only, so the header carries the public key; it counts only
//! when its thumbprint is the pinned one.

use muster_ids::{HostId, KeyName, KeyThumbprint, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::HostKey;
use crate::ProofError::{self, Invalid};
use crate::jws::{self, Naming, Typ};

/// The longest reason that is signed, in characters: with it the document stays below [`jws::MAX_LEN`]
/// whatever it says.
pub const MAX_REASON_CHARS: usize = 256;

/// Tells a machine to give up its credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Revoked {
    /// The host that held the key.
    pub host_id: HostId,
    /// The key that no longer counts.
    pub key: KeyName,
    /// Why, in words for the machine's operator.
    pub reason: String,
    /// When it was revoked.
    pub at: Timestamp,
}

/// Tells a machine which certificates the server shows and whose instructions count, now and next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pins {
    /// The key of the channel it is said on: who accepted another key, or none, never said this one.
    pub to: KeyName,
    /// When it was said: a machine keeps the newest.
    pub issued_at: Timestamp,
    /// The pins of the certificates in use, see [`crate::digest::spki_pin`]; empty: publicly valid ones.
    pub current: Vec<String>,
    /// The pins of the certificates to come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub next: Vec<String>,
    /// The key that signs instructions now.
    pub instruction_key: KeyThumbprint,
    /// The key that will sign them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_instruction_key: Option<KeyThumbprint>,
    /// When what is next may take its place at the earliest.
    pub not_before: Timestamp,
}

/// Most pins of either kind in one statement.
pub const MAX_PINS: usize = 4;

/// Signs that a key is revoked; the reason is cut to [`MAX_REASON_CHARS`].
pub fn sign_revoked(key: &HostKey, revoked: &Revoked) -> String {
    let reason = revoked.reason.chars().take(MAX_REASON_CHARS).collect();
    jws::sign(key, Typ::Revoked, Naming::Embedded, &Revoked { reason, ..revoked.clone() })
}

/// Signs the installation's certificate pins.
pub fn sign_pins(key: &HostKey, pins: &Pins) -> String {
    jws::sign(key, Typ::Pins, Naming::Embedded, pins)
}

/// Verifies a `revoked` against the pinned instruction key; the caller compares host and key with its own.
pub fn verify_revoked(compact: &str, instruction_key: &KeyThumbprint) -> Result<Revoked, ProofError> {
    verify(compact, Typ::Revoked, instruction_key)
}

/// Verifies `pins` against the pinned instruction key; the caller compares whom it is said to with its own key.
pub fn verify_pins(compact: &str, instruction_key: &KeyThumbprint) -> Result<Pins, ProofError> {
    let pins: Pins = verify(compact, Typ::Pins, instruction_key)?;
    if pins.current.len() > MAX_PINS || pins.next.len() > MAX_PINS {
        return Err(Invalid("more pins than a server shows"));
    }
    let is_pin = |text: &String| text.parse::<KeyThumbprint>().is_ok();
    if pins.current.iter().all(is_pin) && pins.next.iter().all(is_pin) {
        Ok(pins)
    } else {
        Err(Invalid("a pin is not 43 base64url characters"))
    }
}

fn verify<T: DeserializeOwned>(
    compact: &str,
    typ: Typ,
    instruction_key: &KeyThumbprint,
) -> Result<T, ProofError> {
    let document = jws::decode(compact, typ)?;
    let key = document.embedded_key().ok_or(Invalid("the header has no jwk"))?;
    if key.thumbprint() != *instruction_key {
        return Err(Invalid("signed by a key that is not this installation's"));
    }
    document.verify(key)?;
    document.claims()
}
