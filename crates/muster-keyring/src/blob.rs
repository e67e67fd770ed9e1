//! The sealed form: format (1) ‖ key id (4) ‖ nonce (12) ‖ ciphertext and tag, AES-256-GCM-SIV (RFC 8452).

use aws_lc_rs::aead::{Aad, Nonce};
use zeroize::Zeroizing;

use crate::framed::Framed;
use crate::keyring::SealingKey;
use crate::seal::{KeyId, NONCE_LEN, SealError};

const FORMAT: u8 = 1;
const TAG_LEN: usize = 16;
const KEY_ID_AT: usize = 1;
const NONCE_AT: usize = 5;
const CIPHERTEXT_AT: usize = NONCE_AT + NONCE_LEN;

/// Reads which key a blob names, so that the key is looked up and never guessed.
pub(crate) fn key_id(blob: &[u8]) -> Result<KeyId, SealError> {
    if blob.len() < CIPHERTEXT_AT + TAG_LEN {
        return Err(SealError::Malformed);
    }
    if blob[0] != FORMAT {
        return Err(SealError::UnknownFormat);
    }
    Ok(KeyId([blob[1], blob[2], blob[3], blob[4]]))
}

/// Seals without ever copying the plaintext into memory that is not wiped.
pub(crate) fn seal(key: &SealingKey, nonce: [u8; NONCE_LEN], aad: Framed, plaintext: &[u8]) -> Vec<u8> {
    let mut blob = vec![0; CIPHERTEXT_AT + plaintext.len() + TAG_LEN];
    blob[0] = FORMAT;
    blob[KEY_ID_AT..NONCE_AT].copy_from_slice(&key.id.0);
    blob[NONCE_AT..CIPHERTEXT_AT].copy_from_slice(&nonce);
    let aad = aad.field(&blob[..NONCE_AT]);
    let (ciphertext, tag) = blob[CIPHERTEXT_AT..].split_at_mut(plaintext.len());
    key.aead
        .seal_out_of_place_scatter(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad.bytes()),
            plaintext,
            ciphertext,
            &[],
            tag,
        )
        .expect("the buffers have the lengths of the cipher and a secret is far below its limit");
    blob
}

pub(crate) fn open(key: &SealingKey, aad: Framed, blob: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
    if key_id(blob)? != key.id {
        return Err(SealError::OtherKey);
    }
    let aad = aad.field(&blob[..NONCE_AT]);
    let nonce =
        Nonce::try_assume_unique_for_key(&blob[NONCE_AT..CIPHERTEXT_AT]).map_err(|_| SealError::Malformed)?;
    let (ciphertext, tag) = blob[CIPHERTEXT_AT..].split_at(blob.len() - CIPHERTEXT_AT - TAG_LEN);
    let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
    key.aead
        .open_separate_gather(nonce, Aad::from(aad.bytes()), ciphertext, tag, &mut plaintext)
        .map_err(|_| SealError::NotAuthentic)?;
    Ok(plaintext)
}
