//! Values computed by another implementation of HKDF, HMAC and AES-256-GCM-SIV from the master key 00 01 ..
//! 1f: a changed label or layout would lock every existing installation out of its own data.

use data_encoding::HEXLOWER;
use muster_domain::generation::Generation;
use muster_ids::{Bearer, BearerKind, HostId, KeyName, TeamId, Timestamp};
use muster_keyring::{Keyring, MasterKey};

fn keyring() -> Keyring {
    Keyring::derive(&MasterKey::from_bytes(std::array::from_fn(|at| at as u8)))
}

#[test]
fn check_value() {
    let expected = "3fa1653a5d19eef3bc4a14a7f4cb9c68a0a486e6149eeef1e9e8502525ab998e";
    assert_eq!(HEXLOWER.encode(&keyring().check_value()), expected);
}

#[test]
fn verifier() {
    let bearer = Bearer::new(BearerKind::SiteKey, "0123456789ab".parse().unwrap(), [9; 32]);
    let expected = "a436e9c5c912523e0263639f485617d1a4a4b9bdb24862e8394371074213dbcd";
    assert_eq!(HEXLOWER.encode(&keyring().verifier(&bearer)), expected);
}

#[test]
fn agent_key_id() {
    assert_eq!(keyring().agent_key_id(&[9; 32]).as_str(), "JblEyqR7wfqY");
}

#[test]
fn nonce() {
    let now = Timestamp::from_millis(29_833_333 * 60_000 + 59_999);
    assert_eq!(keyring().nonce(now), "bXRvTFfnkGP_LyqhzYBVrA");
}

#[test]
fn audit_mac() {
    let expected = "c2a51b85e339fce5f704a410b1d12412253c0d28293ed789e901de3848d397e5";
    assert_eq!(HEXLOWER.encode(&keyring().audit_mac(&[1; 32], 7, b"text")), expected);
}

#[test]
fn generation() {
    let host = HostId::from_uuid("0199f5a2-7b4e-7000-8000-000000000001".parse().unwrap());
    let key: KeyName = "agk:0123456789ab".parse().unwrap();
    let sealed = keyring().seal_generation(host, &key, Generation { epoch: 2, counter: 41 });
    assert_eq!(sealed, "AAAAAgAAAAAAAAApJJxkaoDIgl13g6VcYRdwc0qJ79bBvKGpePN2ZbbFfNk");
}

#[test]
fn cursor() {
    let team = TeamId::from_uuid("0199f5a2-7b4e-7000-8000-000000000002".parse().unwrap());
    let sealed = keyring().seal_cursor(team, "hosts", b"after");
    assert_eq!(sealed, "meLIjjf87-OAqevqTMGBzrFo5xmDrCXziiilzkM6uoRhZnRlcg");
}

#[test]
fn sealed_record() {
    let blob = keyring().seal_installation("instruction-key", [5; 12], b"plaintext");
    let expected = "01e640f6be050505050505050505050505e6ee1ee1f39d6ca1282ae0d7f49cc2028055e616bc1d50aa06";
    assert_eq!(HEXLOWER.encode(&blob), expected);
}

#[test]
fn backup_mac() {
    let expected = "2d0c41e6286f852f17cdc77c769e20f3b47e7790bf557ed6602d44cc9d68aeb3";
    assert_eq!(HEXLOWER.encode(&keyring().backup_mac(&[3; 32])), expected);
    assert!(keyring().is_backup_mac(&[3; 32], &keyring().backup_mac(&[3; 32])));
    assert!(!keyring().is_backup_mac(&[4; 32], &keyring().backup_mac(&[3; 32])));
}
