//! The audit trail: what proves that the server wrote a row, where it stands, and where the chain begins and ends.

use crate::keyring::Keyring;
use crate::mac::Tag;

/// An end of the audit chain that is kept apart from its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuditEnd {
    /// The last link.
    Head,
    /// The last link that was dropped because of its age: what is kept begins after it.
    Tail,
}

impl AuditEnd {
    const fn label(self) -> &'static [u8; 4] {
        match self {
            Self::Head => b"head",
            Self::Tail => b"tail",
        }
    }
}

const POSITION_LEN: usize = 8;
const LINK_LEN: usize = POSITION_LEN + Tag::LEN;

impl Keyring {
    /// Returns the link of an audit row to its predecessor, over the text as it is stored.
    pub fn audit_mac(&self, previous: &[u8; 32], position: i64, text: &[u8]) -> [u8; 32] {
        // Fixed lengths before the only variable one: no length prefix is needed.
        self.audit.tag_of_parts(&[previous, &position.to_be_bytes(), text]).into_bytes()
    }

    /// Returns the link of an audit row that the server did not write: it has its place, and is known for what it is.
    pub fn audit_mac_of_stranger(&self, previous: &[u8; 32], position: i64, text: &[u8]) -> [u8; 32] {
        self.audit_strangers.tag_of_parts(&[previous, &position.to_be_bytes(), text]).into_bytes()
    }

    /// Returns what a row carries until it is sealed, as proof that the server wrote it.
    pub fn audit_written(&self, text: &[u8]) -> [u8; 32] {
        self.audit_written.tag(text).into_bytes()
    }

    /// Whether the server wrote a row; compares in constant time.
    pub fn is_audit_written(&self, text: &[u8], claimed: &[u8]) -> bool {
        self.audit_written.tag(text).matches(claimed)
    }

    /// Returns what is kept of an end of the chain: position, MAC, and a tag over both.
    pub fn keep_audit_end(&self, end: AuditEnd, position: i64, mac: &[u8; 32]) -> Vec<u8> {
        let tag = self.audit_ends.tag_of_parts(&[end.label(), &position.to_be_bytes(), mac]).into_bytes();
        [&position.to_be_bytes()[..], mac, &tag].concat()
    }

    /// Returns position and MAC of an end that was kept; `None`: it was not kept by this server.
    pub fn open_audit_end(&self, end: AuditEnd, kept: &[u8]) -> Option<(i64, [u8; 32])> {
        let (link, tag) = kept.split_at_checked(LINK_LEN)?;
        if !self.audit_ends.tag_of_parts(&[end.label(), link]).matches(tag) {
            return None;
        }
        let (position, mac) = link.split_first_chunk::<POSITION_LEN>()?;
        Some((i64::from_be_bytes(*position), mac.try_into().ok()?))
    }
}
