//! P-256 key pairs and public keys.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair, ParsedPublicKey,
};
use data_encoding::BASE64URL_NOPAD;
use muster_ids::KeyThumbprint;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::digest::sha256;

/// Length of an uncompressed SEC 1 point on P-256.
pub const PUBLIC_KEY_LEN: usize = 65;
/// Length of an ES256 signature: `r ‖ s`.
pub const SIGNATURE_LEN: usize = 64;

const COORDINATE_LEN: usize = 32;
const UNCOMPRESSED: u8 = 4;

/// The bytes are not a usable P-256 key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeyError(pub(crate) &'static str);

/// A P-256 private key: a host's, or the installation's instruction key. Never printed.
pub struct HostKey {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

impl HostKey {
    /// Generates a fresh key; the randomness is the cryptographic library's own, not `Entropy`'s.
    pub fn generate() -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
            .expect("the operating system's random source works");
        Self::from_pair(pair).expect("a generated key is a point on P-256")
    }

    /// Reads an unencrypted PKCS#8 version 1 document in DER (RFC 5208); any curve but P-256 is refused.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der)
            .map_err(|_| KeyError("not a P-256 private key in PKCS#8"))?;
        Self::from_pair(pair)
    }

    fn from_pair(pair: EcdsaKeyPair) -> Result<Self, KeyError> {
        let public = PublicKey::from_bytes(pair.public_key().as_ref())?;
        Ok(Self { pair, public })
    }

    /// Returns the key as a PKCS#8 version 1 document in DER, wiped on drop.
    pub fn to_pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let document = self.pair.to_pkcs8v1().expect("a P-256 key has a PKCS#8 form");
        Zeroizing::new(document.as_ref().to_vec())
    }

    /// Returns the public half.
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Returns the RFC 7638 thumbprint of the public half, which names the key.
    pub fn thumbprint(&self) -> KeyThumbprint {
        self.public.thumbprint()
    }

    /// Signs `message` with ES256 (RFC 7518 §3.4).
    pub fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let signature = self.pair.sign(&SystemRandom::new(), message).expect("a valid key signs any message");
        signature.as_ref().try_into().expect("a fixed P-256 signature has 64 bytes")
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({}, [redacted])", self.thumbprint())
    }
}

/// The public JWK of a P-256 key (RFC 7518 §6.2.1) with exactly these members: a private `d` does not parse.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Jwk {
    /// Always `EC`.
    pub kty: String,
    /// Always `P-256`.
    pub crv: String,
    /// The x coordinate, 43 base64url characters.
    pub x: String,
    /// The y coordinate, 43 base64url characters.
    pub y: String,
}

/// A point that was checked to lie on P-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; PUBLIC_KEY_LEN]);

impl PublicKey {
    /// Reads an uncompressed SEC 1 point and checks that it is on the curve.
    pub fn from_bytes(sec1: &[u8]) -> Result<Self, KeyError> {
        let point: [u8; PUBLIC_KEY_LEN] =
            sec1.try_into().map_err(|_| KeyError("the public key is not an uncompressed P-256 point"))?;
        // The library also reads DER and compressed points; only one form may name a key.
        if point[0] != UNCOMPRESSED {
            return Err(KeyError("the public key is not an uncompressed P-256 point"));
        }
        ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
            .map_err(|_| KeyError("the public key is not a point on P-256"))?;
        Ok(Self(point))
    }

    /// Reads a JWK, strictly: `EC`, `P-256`, two coordinates of exactly 32 bytes, a point on the curve.
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        if jwk.kty != "EC" || jwk.crv != "P-256" {
            return Err(KeyError("the jwk is not of type EC on curve P-256"));
        }
        let mut point = [UNCOMPRESSED; PUBLIC_KEY_LEN];
        let (x, y) = point[1..].split_at_mut(COORDINATE_LEN);
        decode_coordinate(&jwk.x, x)?;
        decode_coordinate(&jwk.y, y)?;
        Self::from_bytes(&point)
    }

    /// Returns the public JWK.
    pub fn to_jwk(&self) -> Jwk {
        let (x, y) = self.coordinates();
        Jwk { kty: "EC".into(), crv: "P-256".into(), x, y }
    }

    /// Returns the uncompressed SEC 1 point, the form that is stored.
    pub const fn as_bytes(&self) -> &[u8; PUBLIC_KEY_LEN] {
        &self.0
    }

    /// Returns the SHA-256 thumbprint of RFC 7638: required members only, in lexicographic order.
    pub fn thumbprint(&self) -> KeyThumbprint {
        let (x, y) = self.coordinates();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":"{x}","y":"{y}"}}"#);
        KeyThumbprint::from_digest(sha256(canonical.as_bytes()))
    }

    /// Whether `signature` (`r ‖ s`, 64 bytes; DER is refused) is this key's ES256 signature over `message`.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        signature.len() == SIGNATURE_LEN
            && ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.0)
                .is_ok_and(|key| key.verify_sig(message, signature).is_ok())
    }

    fn coordinates(&self) -> (String, String) {
        let (x, y) = self.0[1..].split_at(COORDINATE_LEN);
        (BASE64URL_NOPAD.encode(x), BASE64URL_NOPAD.encode(y))
    }
}

fn decode_coordinate(text: &str, out: &mut [u8]) -> Result<(), KeyError> {
    let bytes = BASE64URL_NOPAD
        .decode(text.as_bytes())
        .map_err(|_| KeyError("a coordinate of the jwk is not base64url"))?;
    if bytes.len() != COORDINATE_LEN {
        return Err(KeyError("a coordinate of the jwk is not 32 bytes long"));
    }
    out.copy_from_slice(&bytes);
    Ok(())
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.thumbprint())
    }
}
