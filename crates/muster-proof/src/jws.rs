//! Compact JSON Web Signatures (RFC 7515) with exactly one algorithm and a closed set of types.
//!
//! The header says `alg` = `ES256`, the expected `typ`, and optionally the public `jwk` or its thumbprint as
//! `kid`; any other member (`crit`, `x5u`, `zip`, ...) is refused. Nothing is parsed before the size is known
//! to be small.

use data_encoding::BASE64URL_NOPAD;
use muster_ids::KeyThumbprint;
use muster_wire::object::{Object, optional_object};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::ProofError::{self, Invalid};
use crate::key::{HostKey, Jwk, PublicKey, SIGNATURE_LEN};

/// The longest document that is looked at, in bytes.
pub const MAX_LEN: usize = 4096;

const ALG: &str = "ES256";

/// What a signed document is; the header's `typ` (RFC 8725 §3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typ {
    /// Proof of possession in a request.
    Dpop,
    /// First message of a machine on its channel.
    Hello,
    /// The installation took a key's rights away.
    Revoked,
    /// The installation announces its certificates and its next instruction key.
    Pins,
    /// A key vouches for the one a copy of its machine made for itself.
    Fork,
    /// The key that is to take the place of a host's key.
    NextKey,
}

impl Typ {
    /// Every type.
    pub const ALL: [Self; 6] =
        [Self::Dpop, Self::Hello, Self::Revoked, Self::Pins, Self::Fork, Self::NextKey];

    /// The words in the header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dpop => "dpop+jwt",
            Self::Hello => "muster-hello+jwt",
            Self::Revoked => "muster-revoked+jwt",
            Self::Pins => "muster-pins+jwt",
            Self::Fork => "muster-fork+jwt",
            Self::NextKey => "muster-next-key+jwt",
        }
    }
}

/// How the header names the signing key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naming {
    /// `jwk`: the public key itself, for a verifier that knows at most its thumbprint.
    Embedded,
    /// `kid`: the thumbprint, for a verifier that knows the key.
    Thumbprint,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    typ: String,
    alg: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "optional_object")]
    jwk: Option<Jwk>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kid: Option<KeyThumbprint>,
}

/// Signs `payload` and returns the compact form.
pub fn sign(key: &HostKey, typ: Typ, naming: Naming, payload: &impl Serialize) -> String {
    let (jwk, kid) = match naming {
        Naming::Embedded => (Some(key.public_key().to_jwk()), None),
        Naming::Thumbprint => (None, Some(key.thumbprint())),
    };
    let header = Header { typ: typ.as_str().into(), alg: ALG.into(), jwk, kid };
    let mut compact = encode_json(&header);
    compact.push('.');
    compact.push_str(&encode_json(payload));
    let signature = key.sign(compact.as_bytes());
    compact.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut compact);
    compact
}

fn encode_json(value: &impl Serialize) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(value).expect("claims are plain structs with string keys"))
}

/// A document whose form is right and whose signature has not been looked at yet.
#[derive(Debug)]
pub struct Unverified {
    signing_input: String,
    signature: [u8; SIGNATURE_LEN],
    payload: Vec<u8>,
    embedded_key: Option<PublicKey>,
    kid: Option<KeyThumbprint>,
}

/// Takes the compact form apart: size, three parts, header, `alg`, `typ`, embedded key, signature length.
pub fn decode(compact: &str, typ: Typ) -> Result<Unverified, ProofError> {
    if compact.len() > MAX_LEN {
        return Err(Invalid("longer than 4096 bytes"));
    }
    let (signing_input, signature) = compact.rsplit_once('.').ok_or(NOT_COMPACT)?;
    let (header, payload) = signing_input.split_once('.').ok_or(NOT_COMPACT)?;
    // A further dot is no base64url character and fails in the payload.
    let header = decode_header(header, typ)?;
    let signature = decode_part(signature)?
        .try_into()
        .map_err(|_| Invalid("the signature is not 64 bytes of r and s"))?;
    Ok(Unverified {
        signing_input: signing_input.to_owned(),
        signature,
        payload: decode_part(payload)?,
        embedded_key: header.jwk.as_ref().map(PublicKey::from_jwk).transpose()?,
        kid: header.kid,
    })
}

const NOT_COMPACT: ProofError = Invalid("not three parts in compact form");

fn decode_part(text: &str) -> Result<Vec<u8>, ProofError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| Invalid("a part is not base64url without padding"))
}

fn decode_header(text: &str, typ: Typ) -> Result<Header, ProofError> {
    let Object(header): Object<Header> = serde_json::from_slice(&decode_part(text)?)
        .map_err(|_| Invalid("the header is not an object of typ, alg and a public jwk or kid"))?;
    if header.alg != ALG {
        return Err(Invalid("alg is not ES256"));
    }
    if header.typ != typ.as_str() {
        return Err(Invalid("typ is not the expected one"));
    }
    Ok(header)
}

impl Unverified {
    /// Returns the public key in the header, if one is there.
    pub fn embedded_key(&self) -> Option<&PublicKey> {
        self.embedded_key.as_ref()
    }

    /// Returns the thumbprint that the header names the signing key by, if it does.
    pub fn kid(&self) -> Option<KeyThumbprint> {
        self.kid
    }

    /// Reads the claims before anything vouches for them.
    pub fn claims<T: DeserializeOwned>(&self) -> Result<T, ProofError> {
        let Object(claims) = serde_json::from_slice(&self.payload)
            .map_err(|_| Invalid("the claims are not the expected ones"))?;
        Ok(claims)
    }

    /// Checks the signature; a key named in the header must be `key`.
    pub fn verify(&self, key: &PublicKey) -> Result<(), ProofError> {
        if self.embedded_key.is_some_and(|embedded| embedded != *key) {
            return Err(Invalid("the jwk is another key"));
        }
        if self.kid.is_some_and(|kid| kid != key.thumbprint()) {
            return Err(Invalid("kid names another key"));
        }
        if !key.verifies(self.signing_input.as_bytes(), &self.signature) {
            return Err(Invalid("the signature does not verify"));
        }
        Ok(())
    }
}

/// Decodes and verifies in one step, for a key known beforehand; the claims are read last.
pub fn verify<T: DeserializeOwned>(compact: &str, typ: Typ, key: &PublicKey) -> Result<T, ProofError> {
    let document = decode(compact, typ)?;
    document.verify(key)?;
    document.claims()
}
