//! Recovery codes and logins leave the keyring as keyed hashes.

use muster_ids::UserId;
use muster_keyring::{Keyring, MasterKey};
use uuid::Uuid;

fn keyring(seed: u8) -> Keyring {
    Keyring::derive(&MasterKey::from_bytes([seed; 32]))
}

#[test]
fn a_recovery_code_is_one_persons_and_one_servers() {
    let [ada, bob] = [1, 2].map(|n| UserId::from_uuid(Uuid::from_u128(n)));
    let stored = keyring(1).recovery_verifier(ada, b"code");
    assert_eq!(keyring(1).recovery_verifier(ada, b"code"), stored);
    assert_ne!(keyring(1).recovery_verifier(bob, b"code"), stored);
    assert_ne!(keyring(1).recovery_verifier(ada, b"coda"), stored);
    assert_ne!(keyring(2).recovery_verifier(ada, b"code"), stored);
}

#[test]
fn a_login_has_one_key_which_does_not_tell_it() {
    assert_eq!(keyring(1).login_key("admin"), keyring(1).login_key("admin"));
    assert_ne!(keyring(1).login_key("admin"), keyring(1).login_key("admin2"));
    assert_ne!(keyring(1).login_key("admin"), keyring(2).login_key("admin"));
}
