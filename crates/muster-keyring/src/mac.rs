//! HMAC-SHA-256 under one derived key, and tags that can only be compared in constant time.

use aws_lc_rs::hmac;
use subtle::{Choice, ConstantTimeEq};

/// A keyed hash with one use. The key is held, and wiped, by the cryptographic library.
pub(crate) struct MacKey(hmac::Key);

impl MacKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    pub(crate) fn tag(&self, message: &[u8]) -> Tag {
        self.tag_of_parts(&[message])
    }

    /// The parts are joined as they are: the caller sees to it that only one list of parts gives these bytes.
    pub(crate) fn tag_of_parts(&self, parts: &[&[u8]]) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        Tag(context.sign().as_ref().try_into().expect("an HMAC-SHA-256 tag has 32 bytes"))
    }
}

/// A tag. It has no `PartialEq`, so that `==` cannot compare it in variable time.
#[derive(Clone, Copy)]
pub(crate) struct Tag([u8; Tag::LEN]);

impl Tag {
    pub(crate) const LEN: usize = 32;

    pub(crate) const fn into_bytes(self) -> [u8; Self::LEN] {
        self.0
    }

    /// Returns the first `N` bytes, for names and short-lived tags.
    pub(crate) fn truncated<const N: usize>(self) -> [u8; N] {
        std::array::from_fn(|at| self.0[at])
    }

    /// Compares in constant time; another length never matches.
    pub(crate) fn matches(self, claimed: &[u8]) -> bool {
        self.0.ct_eq(claimed).into()
    }

    /// Compares with the first `N` bytes in constant time; another length never matches.
    pub(crate) fn starts_with<const N: usize>(self, claimed: &[u8]) -> bool {
        self.truncated::<N>().ct_eq(claimed).into()
    }

    /// Compares with `stored`, or does the same work against `stand_in` and answers no.
    pub(crate) fn matches_or_pretend(self, stored: Option<&[u8]>, stand_in: Tag) -> bool {
        let is_stored = Choice::from(u8::from(stored.is_some()));
        (self.0.ct_eq(stored.unwrap_or(&stand_in.0)) & is_stored).into()
    }
}
