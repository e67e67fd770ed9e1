//! How one key of a machine speaks for another: the next key of a host, and the key of a copy (DESIGN §3, §4).

use muster_ids::KeyThumbprint;
use muster_wire::channel::NextKeyClaims;
use muster_wire::enroll::ForkClaims;

use crate::ProofError::{self, Invalid};
use crate::jws::{self, Naming, Typ};
use crate::{HostKey, PublicKey};

/// Signs with the next key that it takes the place of the former one.
pub fn sign_next_key(next: &HostKey, claims: &NextKeyClaims) -> String {
    jws::sign(next, Typ::NextKey, Naming::Embedded, claims)
}

/// Returns the next key and its claims, once the key's own signature holds; the caller compares the claims with its
/// channel.
pub fn verify_next_key(compact: &str) -> Result<(PublicKey, NextKeyClaims), ProofError> {
    let document = jws::decode(compact, Typ::NextKey)?;
    let key = *document.embedded_key().ok_or(Invalid("the header has no jwk"))?;
    document.verify(&key)?;
    Ok((key, document.claims()?))
}

/// Signs with the key a machine was copied with that the copy made itself another one.
pub fn sign_fork(former: &HostKey, claims: &ForkClaims) -> String {
    jws::sign(former, Typ::Fork, Naming::Thumbprint, claims)
}

/// Names the key that a statement of a fork says it is by, to look it up; nothing vouches for it yet.
pub fn fork_signer(compact: &str) -> Result<KeyThumbprint, ProofError> {
    jws::decode(compact, Typ::Fork)?.kid().ok_or(Invalid("the header has no kid"))
}

/// Verifies that the former key vouches for the claims; the caller compares them with the request.
pub fn verify_fork(compact: &str, former: &PublicKey) -> Result<ForkClaims, ProofError> {
    jws::verify(compact, Typ::Fork, former)
}

#[cfg(test)]
mod tests;
