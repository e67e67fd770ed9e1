//! What the audit trail relies on.

#![allow(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_keyring::{AuditEnd, Keyring, MasterKey};

fn keyring() -> Keyring {
    Keyring::derive(&MasterKey::from_bytes([7; 32]))
}

#[test]
fn an_end_is_opened_as_it_was_kept_and_no_byte_of_it_can_be_changed() {
    let keyring = keyring();
    let kept = keyring.keep_audit_end(AuditEnd::Head, 42, &[9; 32]);
    assert_eq!(keyring.open_audit_end(AuditEnd::Head, &kept), Some((42, [9; 32])));
    assert_eq!(keyring.open_audit_end(AuditEnd::Tail, &kept), None, "the head is not the tail");
    for at in 0..kept.len() {
        let mut forged = kept.clone();
        forged[at] ^= 1;
        assert_eq!(keyring.open_audit_end(AuditEnd::Head, &forged), None, "byte {at}");
    }
    for len in [0, 8, 40, 71] {
        assert_eq!(keyring.open_audit_end(AuditEnd::Head, &kept[..len]), None, "{len} bytes");
    }
}

#[test]
fn a_row_of_a_stranger_has_another_link_than_one_of_the_server() {
    let keyring = keyring();
    let (own, strange) =
        (keyring.audit_mac(&[1; 32], 5, b"text"), keyring.audit_mac_of_stranger(&[1; 32], 5, b"text"));
    assert_ne!(own, strange);
    assert!(keyring.is_audit_written(b"text", &keyring.audit_written(b"text")));
    assert!(!keyring.is_audit_written(b"text", &own) && !keyring.is_audit_written(b"text", b""));
}
