//! The signed hello of an agent.

use std::sync::LazyLock;

use data_encoding::BASE64URL_NOPAD;
use muster_proof::{HostKey, hello as proof};
use serde_json::Value;

use crate::taken::{Taken, with_one_character_changed};

static KEY: LazyLock<HostKey> = LazyLock::new(HostKey::generate);
static OTHER: LazyLock<HostKey> = LazyLock::new(HostKey::generate);

const TYPES: [&str; 5] = ["muster-hello+jwt", "dpop+jwt", "muster-revoked+jwt", "JWT", ""];

/// Only claims the host's own key signed as a hello are believed, every one of them as it was signed.
pub fn hello(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        assert!(proof::verify(text, KEY.public_key()).is_err(), "a hello nobody signed");
    }
    let mut taken = Taken::from(data);
    let typ = TYPES[usize::from(taken.byte()) % TYPES.len()];
    let (at, with) = (usize::from(taken.byte()), taken.byte());
    let payload = taken.rest();
    let kid = KEY.thumbprint();
    let compact = signed(&KEY, &format!(r#"{{"typ":"{typ}","alg":"ES256","kid":"{kid}"}}"#), payload);
    let verified = proof::verify(&compact, KEY.public_key());
    assert!(proof::verify(&compact, OTHER.public_key()).is_err(), "another key's hello was believed");
    let none = signed(&KEY, &format!(r#"{{"typ":"{typ}","alg":"none","kid":"{kid}"}}"#), payload);
    assert!(proof::verify(&none, KEY.public_key()).is_err(), "a hello without an algorithm was believed");
    let Ok(claims) = verified else { return };
    assert_eq!(typ, "muster-hello+jwt", "a signature for something else was taken for a hello");
    let said: Value = serde_json::from_slice(payload).expect("what is believed is JSON");
    assert_eq!(said["host_id"], claims.host_id.to_string());
    assert_eq!(said["challenge"], claims.challenge);
    assert_eq!(said["server_url"], claims.server_url);
    assert_eq!(said["boot_id"], claims.boot_id);
    assert_eq!(said["generation"].as_str(), claims.generation.as_deref());
    assert_eq!(said.as_object().map(|said| said.len() > 5), Some(false), "an unknown claim was believed");
    if let Some(changed) = with_one_character_changed(&compact, at, with) {
        assert!(proof::verify(&changed, KEY.public_key()).is_err(), "a changed hello was believed");
    }
}

/// Signs any bytes: what `muster_proof::jws` would never sign, too.
pub(crate) fn signed(key: &HostKey, header: &str, payload: &[u8]) -> String {
    let (header, payload) = (BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload));
    let input = format!("{header}.{payload}");
    let signature = BASE64URL_NOPAD.encode(&key.sign(input.as_bytes()));
    format!("{input}.{signature}")
}
