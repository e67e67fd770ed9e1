//! Host keys, JSON Web Signatures, DPoP proofs and the instruction key, for the agent and the server alike
//! (DESIGN §3).
//!
//! One algorithm only: ECDSA over P-256 with SHA-256 (ES256). This crate must never read a clock or open a
//! socket; the only randomness is what the cryptographic library draws itself to generate a key and to sign.
//!
//! To add a signed document, add a variant to [`jws::Typ`] and a module with its claims: the header's `typ`
//! is what keeps one kind of document from ever passing for another.

pub mod digest;
pub mod dpop;
pub mod hello;
mod htu;
pub mod instruction;
pub mod jws;
mod key;
pub mod successor;

pub use htu::HtuUrl;
pub use key::{HostKey, Jwk, KeyError, PUBLIC_KEY_LEN, PublicKey, SIGNATURE_LEN};

/// Why a proof or a signed document is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// The proof needs a nonce of this server (RFC 9449 §8): the machine's clock is not trusted.
    #[error("a nonce of this server is needed")]
    UseNonce,
    /// The proof does not hold; the words are safe to send to the client.
    #[error("invalid proof: {0}")]
    Invalid(&'static str),
}

impl From<KeyError> for ProofError {
    fn from(error: KeyError) -> Self {
        Self::Invalid(error.0)
    }
}
