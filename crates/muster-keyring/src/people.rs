//! What is kept of a person's recovery codes, and the key their login is counted under.

use muster_ids::{PublicId, UserId};

use crate::keyring::Keyring;

impl Keyring {
    /// Returns what is stored of a person's recovery code; compared by the database, as its key.
    pub fn recovery_verifier(&self, user_id: UserId, code: &[u8]) -> [u8; 32] {
        // A fixed length before the only variable one: no length prefix is needed.
        self.recovery_codes.tag_of_parts(&[user_id.uuid().as_bytes(), code]).into_bytes()
    }

    /// Names what was typed as a login, without saying what it was: it may have been a password.
    pub fn login_key(&self, folded: &str) -> PublicId {
        PublicId::from_entropy(self.logins.tag(folded.as_bytes()).truncated())
    }
}
