//! Bearer strings, nonces, generations, cursors and the audit chain.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::time::Duration;

use muster_domain::generation::Generation;
use muster_ids::{Bearer, BearerKind, HostId, KeyName, PublicId, TeamId, Timestamp};
use muster_keyring::{Keyring, MAX_CURSOR_CHARS, MasterKey, NONCE_BUCKET};
use proptest::prelude::*;

fn keyring() -> Keyring {
    Keyring::derive(&MasterKey::from_bytes([1; 32]))
}

fn other_keyring() -> Keyring {
    Keyring::derive(&MasterKey::from_bytes([2; 32]))
}

fn bearer(kind: BearerKind, id: &str, secret: u8) -> Bearer {
    Bearer::new(kind, id.parse().unwrap(), [secret; 32])
}

fn host(n: u128) -> HostId {
    HostId::from_uuid(uuid::Uuid::from_u128(n))
}

fn team(n: u128) -> TeamId {
    TeamId::from_uuid(uuid::Uuid::from_u128(n))
}

#[test]
fn a_request_is_remembered_under_a_key() {
    let digest = [7; 32];
    assert_eq!(keyring().request_mac(&digest), keyring().request_mac(&digest));
    assert_ne!(keyring().request_mac(&digest), keyring().request_mac(&[8; 32]));
    assert_ne!(keyring().request_mac(&digest), other_keyring().request_mac(&digest));
    assert_ne!(keyring().request_mac(&digest), digest);
}

#[test]
fn bearer_string_verifies_against_its_own_verifier_only() {
    let keyring = keyring();
    let presented = bearer(BearerKind::SiteKey, "0123456789ab", 1);
    assert!(keyring.verify(&presented, Some(&keyring.verifier(&presented))));
    for other in [
        bearer(BearerKind::SiteKey, "0123456789ab", 2),
        bearer(BearerKind::SiteKey, "0123456789ac", 1),
        bearer(BearerKind::EnrolmentToken, "0123456789ab", 1),
    ] {
        assert!(!keyring.verify(&presented, Some(&keyring.verifier(&other))), "{other:?}");
    }
    assert!(!other_keyring().verify(&presented, Some(&keyring.verifier(&presented))));
}

#[test]
fn unknown_id_and_damaged_verifier_never_verify() {
    let keyring = keyring();
    let presented = bearer(BearerKind::OperatorToken, "0123456789ab", 1);
    let verifier = keyring.verifier(&presented);
    assert!(!keyring.verify(&presented, None));
    assert!(!keyring.verify(&presented, Some(&[])));
    assert!(!keyring.verify(&presented, Some(&verifier[..31])));
    assert!(!keyring.verify(&presented, Some(&[verifier.as_slice(), &[0]].concat())));
}

#[test]
fn agent_key_has_one_name_and_is_a_bearer_string() {
    let keyring = keyring();
    let key = keyring.agent_key(&[7; 32]);
    assert_eq!(key.kind, BearerKind::AgentKey);
    assert_eq!(key.id, keyring.agent_key_id(&[7; 32]).public_id());
    assert_eq!(key.secret(), &[7; 32]);
    assert!(keyring.verify(&key, Some(&keyring.verifier(&keyring.agent_key(&[7; 32])))));
    assert_ne!(keyring.agent_key_id(&[7; 32]), keyring.agent_key_id(&[8; 32]));
    assert_ne!(keyring.agent_key_id(&[7; 32]), other_keyring().agent_key_id(&[7; 32]));
}

#[test]
fn nonce_lives_through_its_bucket_and_the_next() {
    let keyring = keyring();
    let start = Timestamp::from_millis(1_790_000_040_000);
    let last = start.plus(NONCE_BUCKET - Duration::from_millis(1));
    assert_eq!(start.as_secs() % 60, 0);
    let nonce = keyring.nonce(start);
    assert_eq!(nonce, keyring.nonce(last));
    assert!(keyring.nonce_is_valid(&nonce, start));
    assert!(keyring.nonce_is_valid(&nonce, last.plus(NONCE_BUCKET)));
    assert!(!keyring.nonce_is_valid(&nonce, start.plus(2 * NONCE_BUCKET)));
    assert!(!keyring.nonce_is_valid(&nonce, start.minus(Duration::from_millis(1))), "from the future");
    assert_ne!(nonce, keyring.nonce(start.plus(NONCE_BUCKET)));
}

#[test]
fn nonces_of_others_are_refused() {
    let now = Timestamp::from_millis(1_790_000_000_000);
    let nonce = keyring().nonce(now);
    assert!(!keyring().nonce_is_valid(&other_keyring().nonce(now), now));
    for text in
        ["", "AA", &nonce[..21], &format!("{nonce}="), &format!("{nonce}AA"), "AAAAAAAAAAAAAAAAAAAAAA"]
    {
        assert!(!keyring().nonce_is_valid(text, now), "{text}");
    }
    for extreme in [i64::MIN, -1, 0, i64::MAX].map(Timestamp::from_millis) {
        assert!(keyring().nonce_is_valid(&keyring().nonce(extreme), extreme));
    }
}

#[test]
fn generation_is_bound_to_host_and_key() {
    let keyring = keyring();
    let key = KeyName::Pair("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I".parse().unwrap());
    let other_key: KeyName = "agk:0123456789ab".parse().unwrap();
    let generation = Generation { epoch: 3, counter: u64::MAX };
    let sealed = keyring.seal_generation(host(1), &key, generation);
    assert_eq!(keyring.open_generation(host(1), &key, &sealed), Some(generation));
    assert_eq!(keyring.open_generation(host(2), &key, &sealed), None);
    assert_eq!(keyring.open_generation(host(1), &other_key, &sealed), None);
    assert_eq!(other_keyring().open_generation(host(1), &key, &sealed), None);
    for at in 0..sealed.len() {
        let mut forged = sealed.clone();
        forged.replace_range(at..=at, if &sealed[at..=at] == "A" { "B" } else { "A" });
        assert_eq!(keyring.open_generation(host(1), &key, &forged), None, "at {at}");
    }
    for text in ["", "=", &sealed[1..], &format!("{sealed}A"), &"A".repeat(100_000)] {
        assert_eq!(keyring.open_generation(host(1), &key, text), None);
    }
}

#[test]
fn generations_are_ordered_by_epoch_first() {
    let of = |epoch, counter| Generation { epoch, counter };
    assert!(of(1, 9) < of(2, 0));
    assert!(of(2, 0) < of(2, 1));
}

#[test]
fn cursor_of_another_team_or_list_is_refused() {
    let keyring = keyring();
    let cursor = keyring.seal_cursor(team(1), "hosts", b"after");
    assert_eq!(keyring.open_cursor(team(1), "hosts", &cursor).as_deref(), Some(&b"after"[..]));
    assert_eq!(keyring.open_cursor(team(2), "hosts", &cursor), None);
    assert_eq!(keyring.open_cursor(team(1), "claims", &cursor), None);
    assert_eq!(keyring.open_cursor(team(1), "hostsa", &keyring.seal_cursor(team(1), "hosts", b"afte")), None);
    assert_eq!(other_keyring().open_cursor(team(1), "hosts", &cursor), None);
    assert_eq!(keyring.open_cursor(team(1), "hosts", ""), None);
    let empty = keyring.seal_cursor(team(1), "hosts", b"");
    assert_eq!(keyring.open_cursor(team(1), "hosts", &empty).as_deref(), Some(&b""[..]));
    let long = keyring.seal_cursor(team(1), "hosts", &[0; MAX_CURSOR_CHARS]);
    assert_eq!(keyring.open_cursor(team(1), "hosts", &long), None);
}

#[test]
fn audit_link_depends_on_everything_before_it() {
    let keyring = keyring();
    let link = keyring.audit_mac(&[0; 32], 1, b"text");
    assert_eq!(link, keyring.audit_mac(&[0; 32], 1, b"text"));
    assert_ne!(link, keyring.audit_mac(&[1; 32], 1, b"text"));
    assert_ne!(link, keyring.audit_mac(&[0; 32], 2, b"text"));
    assert_ne!(link, keyring.audit_mac(&[0; 32], 1, b"texT"));
    assert_ne!(link, other_keyring().audit_mac(&[0; 32], 1, b"text"));
}

#[test]
fn one_key_has_one_use() {
    let keyring = keyring();
    let now = Timestamp::from_millis(0);
    let cursor = keyring.seal_cursor(team(1), "hosts", b"");
    assert!(!keyring.nonce_is_valid(&cursor, now));
    assert_eq!(keyring.open_cursor(team(1), "hosts", &keyring.nonce(now)), None);
}

proptest! {
    #[test]
    fn made_up_texts_open_nothing(text in ".{0,120}", bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let keyring = keyring();
        let key = KeyName::Agent(muster_ids::AgentKeyId::new(PublicId::from_entropy([0; 16])));
        for text in [text, data_encoding::BASE64URL_NOPAD.encode(&bytes)] {
            prop_assert!(!keyring.nonce_is_valid(&text, Timestamp::from_millis(0)));
            prop_assert_eq!(keyring.open_cursor(team(1), "hosts", &text), None);
            prop_assert_eq!(keyring.open_generation(host(1), &key, &text), None);
        }
    }

    #[test]
    fn generations_round_trip(epoch: u32, counter: u64, n: u128) {
        let (keyring, generation) = (keyring(), Generation { epoch, counter });
        let key: KeyName = "agk:0123456789ab".parse().unwrap();
        let sealed = keyring.seal_generation(host(n), &key, generation);
        prop_assert_eq!(keyring.open_generation(host(n), &key, &sealed), Some(generation));
    }
}
