//! Nonces for proofs (RFC 9449 §8): a MAC of the minute, so that no node has to remember any.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;

use crate::keyring::Keyring;
use crate::mac::Tag;

/// How long one nonce is given out; it is accepted for the bucket after its own, too.
pub const NONCE_BUCKET: Duration = Duration::from_secs(60);

const NONCE_BYTES: usize = 16;

impl Keyring {
    /// Returns the nonce of the current bucket: 22 base64url characters.
    pub fn nonce(&self, now: Timestamp) -> String {
        BASE64URL_NOPAD.encode(&self.nonce_tag(bucket(now)).truncated::<NONCE_BYTES>())
    }

    /// Whether `nonce` is that of the current or the previous bucket.
    pub fn nonce_is_valid(&self, nonce: &str, now: Timestamp) -> bool {
        let Ok(claimed) = BASE64URL_NOPAD.decode(nonce.as_bytes()) else {
            return false;
        };
        let current = bucket(now);
        self.nonce_tag(current).starts_with::<NONCE_BYTES>(&claimed)
            | self.nonce_tag(current.saturating_sub(1)).starts_with::<NONCE_BYTES>(&claimed)
    }

    fn nonce_tag(&self, bucket: i64) -> Tag {
        self.nonces.tag(&bucket.to_be_bytes())
    }
}

fn bucket(now: Timestamp) -> i64 {
    now.as_secs().div_euclid(NONCE_BUCKET.as_secs() as i64)
}
