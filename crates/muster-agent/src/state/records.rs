//! The files of the state folder.

use muster_ids::Timestamp;
use muster_wire::channel::Config;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use url::Url;
use zeroize::Zeroizing;

use super::error::{Damage, StateError};
use super::folder::{StateDir, StateView};
use super::identity::IdentityState;
use crate::attempts::AttemptRecord;

const HOST_KEY: &str = "key.pk8";
const IDENTITY: &str = "identity.json";
const GENERATION: &str = "generation.json";
const CONFIG: &str = "config.json";
const ATTEMPTS: &str = "attempts.json";
const LAST_CHANNEL: &str = "channel.json";
const UID_RANDOM: &str = "uid-random";
const UID_RANDOM_BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Generation {
    generation: String,
}

/// The last channel that was proved, for `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastChannel {
    /// Where the server answered.
    pub url: Url,
    /// When, by the server's clock.
    pub connected_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Attempts {
    attempts: Vec<AttemptRecord>,
}

impl StateView {
    /// Returns the host key as a PKCS#8 document, if one was made.
    pub fn host_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        self.read(HOST_KEY)
    }

    /// Names the file of the host key as damaged, for a document that is not a key.
    pub fn host_key_damaged(&self) -> StateError {
        self.damaged(HOST_KEY, Damage::Length)
    }

    /// Returns who this machine is, if it ever began to join.
    pub fn identity(&self) -> Result<Option<IdentityState>, StateError> {
        self.json(IDENTITY)
    }

    /// Returns the generation acknowledged last.
    pub fn generation(&self) -> Result<Option<String>, StateError> {
        Ok(self.json::<Generation>(GENERATION)?.map(|stored| stored.generation))
    }

    /// Returns the configuration applied last, with its secrets.
    pub fn config(&self) -> Result<Option<Config>, StateError> {
        self.json(CONFIG)
    }

    /// Returns the last channel that was proved, if there was one.
    pub fn last_channel(&self) -> Result<Option<LastChannel>, StateError> {
        self.json(LAST_CHANNEL)
    }

    /// Returns the random bytes of the last source of the machine uid, if they were needed.
    pub fn uid_random(&self) -> Result<Option<[u8; UID_RANDOM_BYTES]>, StateError> {
        let Some(content) = self.read(UID_RANDOM)? else { return Ok(None) };
        let bytes = content.as_slice().try_into().map_err(|_| self.damaged(UID_RANDOM, Damage::Length))?;
        Ok(Some(bytes))
    }

    pub(crate) fn attempts(&self) -> Result<Vec<AttemptRecord>, StateError> {
        Ok(self.json::<Attempts>(ATTEMPTS)?.map(|stored| stored.attempts).unwrap_or_default())
    }

    fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, StateError> {
        let Some(content) = self.read(name)? else { return Ok(None) };
        // The parser's own message may quote the file, which may be secret: only the place is told.
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|cause| self.damaged(name, Damage::At { line: cause.line(), column: cause.column() }))
    }

    fn damaged(&self, name: &str, damage: Damage) -> StateError {
        StateError::Damaged { file: self.path.join(name), damage }
    }
}

impl StateDir {
    /// Stores the host key, a PKCS#8 document.
    pub fn store_host_key(&self, pkcs8: &[u8]) -> Result<(), StateError> {
        self.write(HOST_KEY, pkcs8)
    }

    /// Stores who this machine is.
    pub fn store_identity(&self, identity: &IdentityState) -> Result<(), StateError> {
        self.store_json(IDENTITY, identity)
    }

    /// Stores a generation, to be acknowledged afterwards.
    pub fn store_generation(&self, generation: &str) -> Result<(), StateError> {
        self.store_json(GENERATION, &Generation { generation: generation.to_owned() })
    }

    /// Stores a configuration, to be confirmed afterwards.
    pub fn store_config(&self, config: &Config) -> Result<(), StateError> {
        self.store_json(CONFIG, config)
    }

    /// Stores the channel that was proved last.
    pub fn store_last_channel(&self, channel: &LastChannel) -> Result<(), StateError> {
        self.store_json(LAST_CHANNEL, channel)
    }

    /// Stores the random bytes of the last source of the machine uid.
    pub fn store_uid_random(&self, random: &[u8; UID_RANDOM_BYTES]) -> Result<(), StateError> {
        self.write(UID_RANDOM, random)
    }

    /// Removes key, generation and secrets after a signed `revoked`; the identity stays, to say why.
    pub fn forget_credentials(&self) -> Result<(), StateError> {
        [CONFIG, HOST_KEY, GENERATION].into_iter().try_for_each(|name| self.remove(name))
    }

    /// Removes everything but the random bytes of the machine uid, for `leave` and `reset`.
    pub fn forget_everything(&self) -> Result<(), StateError> {
        self.forget_credentials()?;
        [ATTEMPTS, LAST_CHANNEL, IDENTITY].into_iter().try_for_each(|name| self.remove(name))
    }

    pub(crate) fn store_attempts(&self, attempts: Vec<AttemptRecord>) -> Result<(), StateError> {
        self.store_json(ATTEMPTS, &Attempts { attempts })
    }

    fn store_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let content =
            serde_json::to_vec_pretty(value).expect("state serializes: string keys, no failing field");
        self.write(name, &Zeroizing::new(content))
    }
}
