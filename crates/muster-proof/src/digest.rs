//! SHA-256 in the forms that proofs and pins carry.

use data_encoding::BASE64URL_NOPAD;

/// Returns the SHA-256 digest of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("a SHA-256 digest has 32 bytes")
}

/// Returns the HMAC-SHA-256 of `bytes`.
pub fn hmac_sha256(key: &[u8], bytes: &[u8]) -> [u8; 32] {
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, key);
    let tag = aws_lc_rs::hmac::sign(&key, bytes);
    tag.as_ref().try_into().expect("an HMAC-SHA-256 has 32 bytes")
}

/// Returns the SHA-256 digest of `bytes` as 43 base64url characters: the form of `ath` and `bd`.
pub fn sha256_base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(&sha256(bytes))
}

/// Returns the pin of a certificate's DER-encoded SubjectPublicKeyInfo: its SHA-256 as 43 base64url
/// characters.
pub fn spki_pin(spki_der: &[u8]) -> String {
    sha256_base64url(spki_der)
}
