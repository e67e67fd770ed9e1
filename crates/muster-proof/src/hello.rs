//! The first message of a machine on its channel: a signature over the server's challenge (DESIGN §5).

use muster_wire::channel::HelloClaims;

use crate::jws::{self, Naming, Typ};
use crate::{HostKey, ProofError, PublicKey};

/// Signs the claims with the host's key.
pub fn sign(key: &HostKey, claims: &HelloClaims) -> String {
    jws::sign(key, Typ::Hello, Naming::Thumbprint, claims)
}

/// Verifies the signature and only then reads the claims; the caller compares them with its challenge and its
/// host.
pub fn verify(compact: &str, key: &PublicKey) -> Result<HelloClaims, ProofError> {
    jws::verify(compact, Typ::Hello, key)
}
