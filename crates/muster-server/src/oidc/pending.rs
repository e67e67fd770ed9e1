//! What a browser holds while its owner is at the provider.

use data_encoding::BASE64URL_NOPAD;
use muster_domain::oidc::PENDING_FOR;
use muster_edge::Entropy;
use muster_http::ListenerKind;
use muster_ids::Timestamp;
use muster_keyring::Keyring;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::auth::web_session::listener_word;

/// A sign-in that was started and is not yet done.
#[derive(Clone, Serialize, Deserialize)]
pub struct Pending {
    /// The provider's name here.
    pub provider: String,
    /// Its issuer when it was started: the answer of another one is none.
    pub issuer: String,
    /// Comes back in the address.
    pub state: String,
    /// Comes back in the signed token.
    pub nonce: String,
    /// Proves to the provider that the one who takes the code is the one who asked for it.
    pub verifier: String,
    /// Where the provider sends the browser.
    pub redirect_uri: Url,
    /// The local path to go on to.
    pub return_to: String,
    /// When it lapses.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pending({}, [redacted])", self.provider)
    }
}

impl Pending {
    /// Starts a sign-in.
    pub fn new(
        (provider, issuer): (String, String),
        redirect_uri: Url,
        return_to: String,
        entropy: Entropy,
        now: Timestamp,
    ) -> Self {
        let word = || BASE64URL_NOPAD.encode(&entropy.bytes::<32>());
        Self {
            provider,
            issuer,
            state: word(),
            nonce: word(),
            verifier: word(),
            redirect_uri,
            return_to,
            expires_at: now.plus(PENDING_FOR),
        }
    }
}

/// Seals what is pending for one listener: no browser can read or change it, no other listener takes it.
pub fn seal_pending(
    pending: &Pending,
    listener: ListenerKind,
    keyring: &Keyring,
    entropy: Entropy,
) -> String {
    let json = serde_json::to_vec(pending).expect("it holds texts and a time");
    BASE64URL_NOPAD.encode(&keyring.seal_installation(&place(listener), entropy.bytes(), &json))
}

/// Opens what is pending; `None` when it is none of this listener's, or lapsed.
pub fn open_pending(
    text: &str,
    listener: ListenerKind,
    keyring: &Keyring,
    now: Timestamp,
) -> Option<Pending> {
    let sealed = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
    let json = keyring.open_installation(&place(listener), &sealed).ok()?;
    let pending: Pending = serde_json::from_slice(&json).ok()?;
    (now < pending.expires_at).then_some(pending)
}

fn place(listener: ListenerKind) -> String {
    format!("oidc pending {}", listener_word(listener))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use muster_keyring::MasterKey;

    use super::*;

    #[test]
    fn it_opens_at_its_listener_in_time_and_as_it_was_sealed() {
        let keyring = Keyring::derive(&MasterKey::from_bytes([3; 32]));
        let now = Timestamp::from_millis(1_800_000_000_000);
        let uri = Url::parse("https://muster.example/v1/oidc/callback").unwrap();
        let named = ("corp".to_owned(), "https://issuer.example".to_owned());
        let pending = Pending::new(named, uri, "/hosts".to_owned(), Entropy, now);
        let text = seal_pending(&pending, ListenerKind::Machines, &keyring, Entropy);
        assert!(!text.contains(&pending.state) && text.len() < 2000, "{}", text.len());
        let open = |text: &str, listener, now| open_pending(text, listener, &keyring, now);
        let opened = open(&text, ListenerKind::Machines, now).unwrap();
        assert_eq!((opened.state, opened.return_to), (pending.state, pending.return_to));
        assert!(open(&text, ListenerKind::Operators, now).is_none(), "another listener");
        assert!(open(&text, ListenerKind::Machines, now.plus(Duration::from_secs(600))).is_none(), "lapsed");
        assert!(open(&text[1..], ListenerKind::Machines, now).is_none(), "cut");
        assert!(open("", ListenerKind::Machines, now).is_none());
        let other = Keyring::derive(&MasterKey::from_bytes([4; 32]));
        assert!(open_pending(&text, ListenerKind::Machines, &other, now).is_none(), "another server");
    }
}
