//! Tags of server backups: what a restore loads was written by the server whose key it is.

use crate::keyring::Keyring;

impl Keyring {
    /// Returns the tag of a backup, from the SHA-256 of everything before it.
    pub fn backup_mac(&self, digest: &[u8; 32]) -> [u8; 32] {
        self.backups.tag(digest).into_bytes()
    }

    /// Whether a backup with this SHA-256 was made with this master key; compares in constant time.
    pub fn is_backup_mac(&self, digest: &[u8; 32], claimed: &[u8]) -> bool {
        self.backups.tag(digest).matches(claimed)
    }
}
