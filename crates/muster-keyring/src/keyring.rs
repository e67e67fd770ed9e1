//! All keys derived from the master key, each with one use.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM_SIV, LessSafeKey, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use zeroize::Zeroizing;

use crate::mac::{MacKey, Tag};
use crate::master::MasterKey;
use crate::seal::KeyId;

const SALT: &[u8] = b"muster master key v1";
const CHECKED_TEXT: &[u8] = b"muster master key check v1";
const STAND_IN_TEXT: &[u8] = b"the verifier of no bearer string";

/// The server's derived keys. Cheap to use, wiped on drop, never printed.
pub struct Keyring {
    pub(crate) pepper: MacKey,
    pub(crate) stand_in: Tag,
    pub(crate) agent_key_ids: MacKey,
    pub(crate) generations: MacKey,
    pub(crate) nonces: MacKey,
    pub(crate) cursors: MacKey,
    pub(crate) audit: MacKey,
    pub(crate) audit_written: MacKey,
    pub(crate) audit_strangers: MacKey,
    pub(crate) audit_ends: MacKey,
    requests: MacKey,
    pub(crate) backups: MacKey,
    pub(crate) recovery_codes: MacKey,
    pub(crate) logins: MacKey,
    pub(crate) kek: SealingKey,
    pub(crate) installation: SealingKey,
    check: MacKey,
}

impl Keyring {
    /// Derives every key with HKDF-SHA-256 (RFC 5869) under its own label.
    pub fn derive(master: &MasterKey) -> Self {
        let root = Salt::new(HKDF_SHA256, SALT).extract(master.expose());
        let mac = |label: &str| MacKey::new(&expand(&root, label));
        // Not under the pepper itself: there it would be the verifier of some bearer string's bytes.
        let stand_in = mac("muster v1 verifier of unknown ids").tag(STAND_IN_TEXT);
        Self {
            pepper: mac("muster v1 pepper"),
            stand_in,
            agent_key_ids: mac("muster v1 agent key ids"),
            generations: mac("muster v1 generations"),
            nonces: mac("muster v1 nonces"),
            cursors: mac("muster v1 cursors"),
            audit: mac("muster v1 audit chain"),
            audit_written: mac("muster v1 audit rows as written"),
            audit_strangers: mac("muster v1 audit rows of strangers"),
            audit_ends: mac("muster v1 ends of the audit chain"),
            requests: mac("muster v1 requests"),
            backups: mac("muster v1 server backups"),
            recovery_codes: mac("muster v1 recovery codes"),
            logins: mac("muster v1 logins"),
            kek: SealingKey::new(&expand(&root, "muster v1 kek")),
            installation: SealingKey::new(&expand(&root, "muster v1 installation records")),
            check: mac("muster v1 check value"),
        }
    }

    /// Returns what the database remembers of the master key, to notice a wrong one.
    pub fn check_value(&self) -> [u8; 32] {
        self.check.tag(CHECKED_TEXT).into_bytes()
    }

    /// Whether the database was written with this master key; compares in constant time.
    pub fn matches_check_value(&self, stored: &[u8]) -> bool {
        self.check.tag(CHECKED_TEXT).matches(stored)
    }

    /// Returns what is remembered of a request, from its digest: whoever has the database alone cannot try passwords
    /// against it.
    pub fn request_mac(&self, digest: &[u8; 32]) -> [u8; 32] {
        self.requests.tag(digest).into_bytes()
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring([redacted])")
    }
}

/// An AES-256-GCM-SIV key with the id that its blobs carry.
pub(crate) struct SealingKey {
    pub(crate) id: KeyId,
    pub(crate) aead: LessSafeKey,
}

impl SealingKey {
    /// Derives the cipher's key and the public id from 32 secret bytes, so that the id says nothing about the
    /// key.
    pub(crate) fn new(material: &[u8; 32]) -> Self {
        let root = Prk::new_less_safe(HKDF_SHA256, material);
        let key = expand(&root, "muster v1 aead key");
        let id = expand(&root, "muster v1 aead key id");
        let unbound = UnboundKey::new(&AES_256_GCM_SIV, key.as_ref()).expect("an AES-256 key has 32 bytes");
        Self { id: KeyId([id[0], id[1], id[2], id[3]]), aead: LessSafeKey::new(unbound) }
    }
}

struct ThirtyTwoBytes;

impl KeyType for ThirtyTwoBytes {
    fn len(&self) -> usize {
        32
    }
}

fn expand(root: &Prk, label: &str) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    root.expand(&[label.as_bytes()], ThirtyTwoBytes)
        .and_then(|derived| derived.fill(key.as_mut()))
        .expect("32 bytes are within the limit of HKDF");
    key
}
