//! Proof of possession in a request: a closed profile of DPoP (RFC 9449) with ES256.
//!
//! The server judges in three steps, and each step's type is the only way to the next: [`Proof::parse`] looks
//! at the form, [`Proof::judge_request`] compares it with the request, the nonce and the time, and — after
//! the caller has judged the ticket — [`JudgedProof::verify_signature`] spends the one expensive operation.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use muster_ids::{HostId, KeyThumbprint, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ProofError::{self, Invalid};
use crate::digest::{sha256, sha256_base64url};
use crate::jws::{self, Naming, Typ, Unverified};
use crate::{HostKey, HtuUrl, PublicKey};

/// How far `iat` may be from the server's clock when no valid nonce is shown.
pub const IAT_TOLERANCE: Duration = Duration::from_secs(5 * 60);
/// How long a `jti` must be remembered: a proof from the tolerated future stays acceptable for twice the
/// tolerance.
pub const JTI_REMEMBERED_FOR: Duration = Duration::from_secs(10 * 60);

const JTI_MIN_CHARS: usize = 8;
const JTI_MAX_CHARS: usize = 64;

/// What a proof says about one request; a closed set, nothing else may be in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The method of the request.
    pub htm: String,
    /// The URL of the request without query and fragment.
    pub htu: String,
    /// When the proof was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// Names this proof: 8 to 64 characters of base64url.
    pub jti: String,
    /// SHA-256 of the presented bearer string, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ath: Option<String>,
    /// SHA-256 of the request's body, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bd: Option<String>,
    /// The nonce the server gave last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The host that speaks, once it has an identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<HostId>,
}

impl Claims {
    /// Starts the claims of a request without bearer string, body, nonce or identity; `jti` is random.
    pub fn new(method: &str, url: &HtuUrl, now: Timestamp, jti: [u8; 16]) -> Self {
        Self {
            htm: method.to_owned(),
            htu: url.as_str().to_owned(),
            iat: now.as_secs(),
            jti: BASE64URL_NOPAD.encode(&jti),
            ath: None,
            bd: None,
            nonce: None,
            sub: None,
        }
    }

    /// Binds the proof to the bearer string that is presented with it.
    pub fn bearer(self, bearer: &str) -> Self {
        Self { ath: Some(sha256_base64url(bearer.as_bytes())), ..self }
    }

    /// Binds the proof to the request's body.
    pub fn body(self, body: &[u8]) -> Self {
        Self { bd: Some(sha256_base64url(body)), ..self }
    }

    /// Carries the nonce the server gave.
    pub fn nonce(self, nonce: impl Into<String>) -> Self {
        Self { nonce: Some(nonce.into()), ..self }
    }

    /// Names the host that speaks.
    pub fn host(self, host_id: HostId) -> Self {
        Self { sub: Some(host_id), ..self }
    }
}

/// Makes the value of the `DPoP` header.
pub fn prove(key: &HostKey, claims: &Claims) -> String {
    jws::sign(key, Typ::Dpop, Naming::Embedded, claims)
}

/// What the server expects of a proof in the request at hand.
pub struct Expected<'a, N> {
    /// The method of the request.
    pub method: &'a str,
    /// The configured public URLs with this request's path; the Host header never decides.
    pub accepted_urls: &'a [HtuUrl],
    /// SHA-256 of the body; `None`: the request has none.
    pub body_sha256: Option<[u8; 32]>,
    /// The presented bearer string, exactly as it arrived; `None`: none was presented.
    pub bearer: Option<&'a str>,
    /// The server's time.
    pub now: Timestamp,
    /// Whether a nonce is this server's and still valid.
    pub nonce_is_valid: N,
    /// Whether a good `iat` does not suffice.
    pub nonce_required: bool,
}

/// A proof of the right form, of which nothing else is known yet.
#[derive(Debug)]
pub struct Proof {
    document: Unverified,
    key: PublicKey,
    claims: Claims,
}

impl Proof {
    /// Reads the value of a `DPoP` header: form, `typ`, `alg`, a public key on P-256, the closed set of
    /// claims.
    pub fn parse(header: &str) -> Result<Self, ProofError> {
        let document = jws::decode(header, Typ::Dpop)?;
        let key = *document.embedded_key().ok_or(Invalid("the header has no jwk"))?;
        let claims: Claims = document.claims()?;
        let jti_is_well_formed = (JTI_MIN_CHARS..=JTI_MAX_CHARS).contains(&claims.jti.len())
            && claims.jti.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if !jti_is_well_formed {
            return Err(Invalid("jti is not 8 to 64 base64url characters"));
        }
        Ok(Self { document, key, claims })
    }

    /// Compares the proof with the request, independently of any ticket and before any signature.
    ///
    /// [`ProofError::UseNonce`] is answered only to a proof that fits the request in everything but time.
    pub fn judge_request<N: Fn(&str) -> bool>(
        self,
        expected: &Expected<'_, N>,
    ) -> Result<JudgedProof, ProofError> {
        self.fits_target(expected.method, expected.accepted_urls)?;
        self.fits_bearer(expected.bearer)?;
        self.fits_body(expected.body_sha256)?;
        self.is_timely(expected)?;
        Ok(JudgedProof(self))
    }

    fn fits_target(&self, method: &str, accepted_urls: &[HtuUrl]) -> Result<(), ProofError> {
        if self.claims.htm != method {
            return Err(Invalid("htm is not the method of this request"));
        }
        let url = HtuUrl::parse(&self.claims.htu)?;
        if !accepted_urls.contains(&url) {
            return Err(Invalid("htu is not a URL of this request"));
        }
        Ok(())
    }

    fn fits_bearer(&self, bearer: Option<&str>) -> Result<(), ProofError> {
        match (&self.claims.ath, bearer) {
            (None, None) => Ok(()),
            (Some(ath), Some(bearer)) if *ath == sha256_base64url(bearer.as_bytes()) => Ok(()),
            (None, Some(_)) => Err(Invalid("ath is missing")),
            (Some(_), _) => Err(Invalid("ath is not the hash of the presented bearer string")),
        }
    }

    fn fits_body(&self, body_sha256: Option<[u8; 32]>) -> Result<(), ProofError> {
        let actual = BASE64URL_NOPAD.encode(&body_sha256.unwrap_or_else(|| sha256(b"")));
        match &self.claims.bd {
            Some(bd) if *bd == actual => Ok(()),
            None if body_sha256.is_none() => Ok(()),
            None => Err(Invalid("bd is missing")),
            Some(_) => Err(Invalid("bd is not the hash of the body")),
        }
    }

    fn is_timely<N: Fn(&str) -> bool>(&self, expected: &Expected<'_, N>) -> Result<(), ProofError> {
        let nonce_is_valid = self.claims.nonce.as_deref().is_some_and(&expected.nonce_is_valid);
        let clock_agrees = expected.now.as_secs().abs_diff(self.claims.iat) <= IAT_TOLERANCE.as_secs();
        if nonce_is_valid || (clock_agrees && !expected.nonce_required) {
            Ok(())
        } else {
            Err(ProofError::UseNonce)
        }
    }
}

/// A proof that fits the request; its signature is still to be verified, and its claims to be believed.
#[derive(Debug)]
pub struct JudgedProof(Proof);

impl JudgedProof {
    /// Names the key in the header: whose proof this claims to be, to look it up before anything is spent on it.
    pub fn thumbprint(&self) -> KeyThumbprint {
        self.0.key.thumbprint()
    }

    /// Verifies the signature with the key in the header: the last step.
    pub fn verify_signature(self) -> Result<VerifiedProof, ProofError> {
        let Proof { document, key, claims } = self.0;
        document.verify(&key)?;
        Ok(VerifiedProof { key, thumbprint: key.thumbprint(), claims })
    }
}

/// A proof that holds. The caller still remembers `jti` for [`JTI_REMEMBERED_FOR`] and compares `sub` with
/// the key's host.
#[derive(Debug, Clone)]
pub struct VerifiedProof {
    /// The key that signed.
    pub key: PublicKey,
    /// Its name.
    pub thumbprint: KeyThumbprint,
    /// What it signed.
    pub claims: Claims,
}
