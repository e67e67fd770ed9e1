//! The files of the state folder.

use muster_ids::{KeyThumbprint, Timestamp};
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
const NEXT_KEY: &str = "next.pk8";
const KNOWN_NEXT_KEY: &str = "next.json";
const FORK_KEY: &str = "fork.pk8";
const FORK_GENERATION: &str = "fork.json";
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
    /// The key it belongs to; absent in one that an older agent stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<KeyThumbprint>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KnownNextKey {
    key: KeyThumbprint,
    /// What was acknowledged with it; the generation of the key it is to replace stays beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<String>,
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

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AttemptsRecord {
    pub(crate) attempts: Vec<AttemptRecord>,
    /// What was issued until then and is not among them was forgotten.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) forgotten_until: Option<Timestamp>,
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

    /// Returns the generation acknowledged last with the host key: one of another key opens nothing.
    pub fn generation_of(&self, key: KeyThumbprint) -> Result<Option<String>, StateError> {
        let stored = self.json::<Generation>(GENERATION)?;
        // An older agent did not say which key: it had one.
        let is_ours = |stored: &Generation| stored.key.is_none_or(|of| of == key);
        Ok(stored.filter(is_ours).map(|stored| stored.generation))
    }

    /// Returns the generation acknowledged last with a key that has not taken the host key's place yet.
    pub fn generation_of_unproved(&self, key: KeyThumbprint) -> Result<Option<String>, StateError> {
        let next = self.json::<KnownNextKey>(KNOWN_NEXT_KEY)?.filter(|next| next.key == key);
        let own = self.json::<Generation>(FORK_GENERATION)?.filter(|own| own.key == Some(key));
        // The place was taken halfway when the power failed.
        let taken = self.json::<Generation>(GENERATION)?.filter(|taken| taken.key == Some(key));
        let stored = next.and_then(|next| next.generation).or(own.map(|own| own.generation));
        Ok(stored.or(taken.map(|taken| taken.generation)))
    }

    /// Returns the key that is to take the place of the host key as a PKCS#8 document, if one was made.
    pub fn next_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        self.read(NEXT_KEY)
    }

    /// Names the file of the next key as damaged.
    pub fn next_key_damaged(&self) -> StateError {
        self.damaged(NEXT_KEY, Damage::Length)
    }

    /// Returns the next key the server is known to know.
    pub fn known_next_key(&self) -> Result<Option<KeyThumbprint>, StateError> {
        Ok(self.json::<KnownNextKey>(KNOWN_NEXT_KEY)?.map(|known| known.key))
    }

    /// Returns the key a copy made itself as a PKCS#8 document, if it did.
    pub fn fork_key(&self) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        self.read(FORK_KEY)
    }

    /// Names the file of a copy's key as damaged.
    pub fn fork_key_damaged(&self) -> StateError {
        self.damaged(FORK_KEY, Damage::Length)
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

    pub(crate) fn attempts(&self) -> Result<AttemptsRecord, StateError> {
        Ok(self.json(ATTEMPTS)?.unwrap_or_default())
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

    /// Stores the next key, a PKCS#8 document; nothing is known of it yet.
    pub fn store_next_key(&self, pkcs8: &[u8]) -> Result<(), StateError> {
        self.write(NEXT_KEY, pkcs8)
    }

    /// Stores that the server knows the next key, and nothing of what it gave to it.
    pub fn store_known_next_key(&self, key: KeyThumbprint) -> Result<(), StateError> {
        self.store_json(KNOWN_NEXT_KEY, &KnownNextKey { key, generation: None })
    }

    /// Stores a generation of the next key, to be acknowledged afterwards.
    pub fn store_next_generation(&self, generation: &str, key: KeyThumbprint) -> Result<(), StateError> {
        self.store_json(KNOWN_NEXT_KEY, &KnownNextKey { key, generation: Some(generation.to_owned()) })
    }

    /// Puts the next key in the place of the host key, which is gone in the same step.
    pub fn promote_next_key(&self, key: KeyThumbprint) -> Result<(), StateError> {
        if let Some(generation) = self.generation_of_unproved(key)? {
            self.store_generation(&generation, key)?;
        }
        self.rename(NEXT_KEY, HOST_KEY)?;
        self.remove(KNOWN_NEXT_KEY)
    }

    /// Removes the next key.
    pub fn forget_next_key(&self) -> Result<(), StateError> {
        [NEXT_KEY, KNOWN_NEXT_KEY].into_iter().try_for_each(|name| self.remove(name))
    }

    /// Stores the key a copy makes itself, a PKCS#8 document.
    pub fn store_fork_key(&self, pkcs8: &[u8]) -> Result<(), StateError> {
        self.write(FORK_KEY, pkcs8)
    }

    /// Stores a generation of the key a copy made itself, to be acknowledged afterwards.
    pub fn store_fork_generation(&self, generation: &str, key: KeyThumbprint) -> Result<(), StateError> {
        self.store_json(FORK_GENERATION, &Generation { generation: generation.to_owned(), key: Some(key) })
    }

    /// Removes the generation of the key a copy made itself.
    pub fn forget_fork_generation(&self) -> Result<(), StateError> {
        self.remove(FORK_GENERATION)
    }

    /// Removes the key a copy made itself.
    pub fn forget_fork_key(&self) -> Result<(), StateError> {
        [FORK_KEY, FORK_GENERATION].into_iter().try_for_each(|name| self.remove(name))
    }

    /// Removes the keys of the former host and puts the key of a copy in the place of its key: that last, so that the
    /// key's file says what is left to do.
    pub fn promote_fork_key(&self) -> Result<(), StateError> {
        match self.json::<Generation>(FORK_GENERATION)? {
            Some(own) => self.store_json(GENERATION, &own)?,
            None => self.remove(GENERATION)?,
        }
        [NEXT_KEY, KNOWN_NEXT_KEY].into_iter().try_for_each(|name| self.remove(name))?;
        self.rename(FORK_KEY, HOST_KEY)?;
        self.remove(FORK_GENERATION)
    }

    /// Removes the host key alone.
    pub fn forget_host_key(&self) -> Result<(), StateError> {
        self.remove(HOST_KEY)
    }

    /// Removes the configuration, with its secrets.
    pub fn forget_config(&self) -> Result<(), StateError> {
        self.remove(CONFIG)
    }

    /// Removes what is known of attempts, which belong to a host.
    pub fn forget_attempts(&self) -> Result<(), StateError> {
        self.remove(ATTEMPTS)
    }

    /// Removes the random bytes of the machine uid, for a machine that is another one.
    pub fn forget_uid_random(&self) -> Result<(), StateError> {
        self.remove(UID_RANDOM)
    }

    /// Stores a generation and the key it belongs to, to be acknowledged afterwards.
    pub fn store_generation(&self, generation: &str, key: KeyThumbprint) -> Result<(), StateError> {
        self.store_json(GENERATION, &Generation { generation: generation.to_owned(), key: Some(key) })
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

    /// Removes every key, generation and secrets after a signed `revoked`; the identity stays, to say why.
    pub fn forget_credentials(&self) -> Result<(), StateError> {
        [CONFIG, HOST_KEY, NEXT_KEY, KNOWN_NEXT_KEY, FORK_KEY, FORK_GENERATION, GENERATION]
            .into_iter()
            .try_for_each(|name| self.remove(name))
    }

    /// Removes everything but the random bytes of the machine uid, for `leave` and `reset`.
    pub fn forget_everything(&self) -> Result<(), StateError> {
        self.forget_credentials()?;
        [ATTEMPTS, LAST_CHANNEL, IDENTITY].into_iter().try_for_each(|name| self.remove(name))
    }

    pub(crate) fn store_attempts(&self, record: &AttemptsRecord) -> Result<(), StateError> {
        self.store_json(ATTEMPTS, record)
    }

    fn store_json<T: Serialize>(&self, name: &str, value: &T) -> Result<(), StateError> {
        let content =
            serde_json::to_vec_pretty(value).expect("state serializes: string keys, no failing field");
        self.write(name, &Zeroizing::new(content))
    }
}
