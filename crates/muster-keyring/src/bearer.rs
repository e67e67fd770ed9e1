//! What the server stores of a bearer string, and how it judges a presented one.

use muster_ids::{AgentKeyId, Bearer, BearerKind, PublicId, SECRET_LEN};

use crate::keyring::Keyring;
use crate::mac::Tag;

impl Keyring {
    /// Returns the verifier to store: HMAC-SHA-256 under the pepper over kind ‖ 0 ‖ id ‖ 0 ‖ secret.
    pub fn verifier(&self, bearer: &Bearer) -> [u8; 32] {
        self.verifier_tag(bearer).into_bytes()
    }

    /// Whether the bearer string is the one behind the `stored` verifier; with `None` (unknown id) the work
    /// and the time are the same and the answer is no.
    pub fn verify(&self, bearer: &Bearer, stored: Option<&[u8]>) -> bool {
        self.verifier_tag(bearer).matches_or_pretend(stored, self.stand_in)
    }

    /// Names the agent key that a machine made itself: the same secret always has the same name.
    pub fn agent_key_id(&self, secret: &[u8; SECRET_LEN]) -> AgentKeyId {
        AgentKeyId::new(PublicId::from_entropy(self.agent_key_ids.tag(secret).truncated()))
    }

    /// Returns the bearer string of the agent key with this secret.
    pub fn agent_key(&self, secret: &[u8; SECRET_LEN]) -> Bearer {
        Bearer::new(BearerKind::AgentKey, self.agent_key_id(secret).public_id(), *secret)
    }

    fn verifier_tag(&self, bearer: &Bearer) -> Tag {
        let (kind, id) = (bearer.kind.as_str().as_bytes(), bearer.id.as_str().as_bytes());
        self.pepper.tag_of_parts(&[kind, &[0], id, &[0], bearer.secret()])
    }
}
