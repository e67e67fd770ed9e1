//! The join string: everything `muster-agent join` needs, in one line.
//!
//! `muster1.<base64url JSON><CRC-32>`: the check is for typos and cut lines, never security.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE64URL_NOPAD;
use muster_ids::{Bearer, KeyThumbprint};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

const PREFIX: &str = "muster1.";
const MAX_LEN: usize = 4096;
const CHECK_CHARS: usize = 8;

/// Ordered URLs, ticket, instruction-key thumbprint and pins.
#[derive(Clone)]
pub struct JoinString {
    /// Where the server is, best first.
    pub urls: Vec<Url>,
    /// The ticket.
    pub ticket: Bearer,
    /// Thumbprint of the key that signs instructions.
    pub instruction_key: KeyThumbprint,
    /// SHA-256 of the SubjectPublicKeyInfo of the certificates to accept, base64url; empty when they are
    /// publicly valid.
    pub pins: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    u: Vec<Url>,
    t: String,
    k: KeyThumbprint,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    p: Vec<String>,
}

/// The text is not a join string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinStringError {
    /// It does not begin as one.
    #[error("this is not a join string: it must begin with `muster1.`")]
    Prefix,
    /// It was cut or changed on the way.
    #[error("the join string is damaged: copy the whole line again")]
    Damaged,
}

impl JoinString {
    /// Returns the line, which contains a credential.
    pub fn expose(&self) -> SecretString {
        let fields = Fields {
            u: self.urls.clone(),
            t: self.ticket.expose().expose_secret().to_owned(),
            k: self.instruction_key,
            p: self.pins.clone(),
        };
        let json = serde_json::to_vec(&fields).expect("strings serialize");
        let encoded = BASE64URL_NOPAD.encode(&json);
        SecretString::from(format!("{PREFIX}{encoded}{:08x}", crc32fast::hash(encoded.as_bytes())))
    }
}

impl FromStr for JoinString {
    type Err = JoinStringError;

    fn from_str(text: &str) -> Result<Self, JoinStringError> {
        let line = text.trim().strip_prefix(PREFIX).ok_or(JoinStringError::Prefix)?;
        if line.len() > MAX_LEN {
            return Err(JoinStringError::Damaged);
        }
        let cut = line.len().checked_sub(CHECK_CHARS).ok_or(JoinStringError::Damaged)?;
        let (encoded, check) = line.split_at_checked(cut).ok_or(JoinStringError::Damaged)?;
        if check != format!("{:08x}", crc32fast::hash(encoded.as_bytes())) {
            return Err(JoinStringError::Damaged);
        }
        let json = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_| JoinStringError::Damaged)?;
        let fields: Fields = serde_json::from_slice(&json).map_err(|_| JoinStringError::Damaged)?;
        let ticket = Bearer::parse(&fields.t).ok_or(JoinStringError::Damaged)?;
        let pin_is_good = |pin: &String| pin.parse::<KeyThumbprint>().is_ok();
        if fields.u.is_empty() || !fields.u.iter().all(is_server_url) || !fields.p.iter().all(pin_is_good) {
            return Err(JoinStringError::Damaged);
        }
        Ok(Self { urls: fields.u, ticket, instruction_key: fields.k, pins: fields.p })
    }
}

/// Whether an agent could dial it: a host behind HTTP, and no credential that a log would show.
fn is_server_url(url: &Url) -> bool {
    matches!(url.scheme(), "https" | "http") && url.username().is_empty() && url.password().is_none()
}

impl fmt::Debug for JoinString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JoinString")
            .field("urls", &self.urls)
            .field("ticket", &self.ticket)
            .finish_non_exhaustive()
    }
}
