//! Sealing at rest: the KEK wraps one data key per team, which seals that team's records (DESIGN §6).
//!
//! Nonces are values: a transaction that runs again seals the same bytes again. Under GCM-SIV a nonce that
//! repeats reveals only whether the same text was sealed twice.

use std::fmt;

use muster_ids::TeamId;
use zeroize::Zeroizing;

use crate::blob;
use crate::framed::Framed;
use crate::keyring::{Keyring, SealingKey};

/// Length of a nonce, in bytes.
pub const NONCE_LEN: usize = 12;

/// Why a blob does not open. None of these is ever a reason to go on without the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Too short to be a blob.
    #[error("the sealed record is malformed")]
    Malformed,
    /// Written by a version of the server that is not this one.
    #[error("the sealed record has an unknown format")]
    UnknownFormat,
    /// Sealed under another key.
    #[error("the sealed record names another key")]
    OtherKey,
    /// Changed, or moved from another row.
    #[error("the sealed record is not authentic here")]
    NotAuthentic,
}

/// Names a sealing key in the blobs it sealed; public.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub(crate) [u8; 4]);

impl KeyId {
    /// Reads which key a blob was sealed under.
    pub fn of_blob(blob: &[u8]) -> Result<Self, SealError> {
        blob::key_id(blob)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What a sealed record belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// A ticket that carries it to a host.
    Ticket,
    /// A host.
    Host,
    /// A backup repository.
    Repository,
    /// One job, for a cross-host restore.
    Job,
    /// An endpoint that hears of events.
    Endpoint,
}

impl OwnerKind {
    /// The word in the additional data and in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Host => "host",
            Self::Repository => "repository",
            Self::Job => "job",
            Self::Endpoint => "endpoint",
        }
    }
}

/// The place a blob is sealed for: it opens there and nowhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// What kind of record it is, such as `secret`.
    pub purpose: &'a str,
    /// The team the row belongs to.
    pub team_id: TeamId,
    /// What kind of thing owns it.
    pub owner_kind: OwnerKind,
    /// The owner's id in its text form.
    pub owner_id: &'a str,
    /// The name of the secret.
    pub name: &'a str,
    /// Its version.
    pub version: i64,
}

impl SealContext<'_> {
    fn aad(&self) -> Framed {
        Framed::new("team record")
            .field(self.purpose.as_bytes())
            .field(self.team_id.uuid().as_bytes())
            .field(self.owner_kind.as_str().as_bytes())
            .field(self.owner_id.as_bytes())
            .field(self.name.as_bytes())
            .field(&self.version.to_be_bytes())
    }
}

/// A team's data key, unwrapped; wiped on drop, never printed.
pub struct TeamKey {
    team_id: TeamId,
    key: SealingKey,
}

impl TeamKey {
    /// Returns the id that this key's blobs carry.
    pub const fn id(&self) -> KeyId {
        self.key.id
    }

    /// Seals `plaintext` for its place; `nonce` is random.
    ///
    /// # Panics
    /// When the context is another team's: that is a mistake in the program, and nothing may be stored.
    pub fn seal(&self, context: &SealContext<'_>, nonce: [u8; NONCE_LEN], plaintext: &[u8]) -> Vec<u8> {
        assert!(context.team_id == self.team_id, "a team's key seals that team's records only");
        blob::seal(&self.key, nonce, context.aad(), plaintext)
    }

    /// Opens a blob at its place; fails closed for a changed, foreign or swapped row and for an older
    /// version.
    pub fn open(&self, context: &SealContext<'_>, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        blob::open(&self.key, context.aad(), blob)
    }
}

impl fmt::Debug for TeamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TeamKey({}, {}, [redacted])", self.team_id, self.key.id)
    }
}

impl Keyring {
    /// Wraps a fresh data key of a team under the KEK; `material` and `nonce` are random. The result is
    /// stored.
    pub fn new_team_key(&self, team_id: TeamId, material: [u8; 32], nonce: [u8; NONCE_LEN]) -> Vec<u8> {
        let material = Zeroizing::new(material);
        blob::seal(&self.kek, nonce, team_key_aad(team_id), material.as_ref())
    }

    /// Unwraps a team's data key.
    pub fn open_team_key(&self, team_id: TeamId, wrapped: &[u8]) -> Result<TeamKey, SealError> {
        let material = blob::open(&self.kek, team_key_aad(team_id), wrapped)?;
        let material: &[u8; 32] = material.as_slice().try_into().map_err(|_| SealError::Malformed)?;
        Ok(TeamKey { team_id, key: SealingKey::new(material) })
    }

    /// Seals a record of the installation itself: the instruction key, a cached idempotent reply. `name` is
    /// its place.
    pub fn seal_installation(&self, name: &str, nonce: [u8; NONCE_LEN], plaintext: &[u8]) -> Vec<u8> {
        blob::seal(&self.installation, nonce, installation_aad(name), plaintext)
    }

    /// Opens a record of the installation at its place.
    pub fn open_installation(&self, name: &str, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        blob::open(&self.installation, installation_aad(name), blob)
    }
}

fn team_key_aad(team_id: TeamId) -> Framed {
    Framed::new("team key").field(team_id.uuid().as_bytes())
}

fn installation_aad(name: &str) -> Framed {
    Framed::new("installation record").field(name.as_bytes())
}
