//! A sealed record opens at its own place and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use muster_ids::TeamId;
use muster_keyring::{KeyId, Keyring, MasterKey, OwnerKind, SealContext, SealError, TeamKey};
use proptest::prelude::*;

const PLAINTEXT: &[u8] = br#"{"password":"canary"}"#;

fn keyring() -> Keyring {
    Keyring::derive(&MasterKey::from_bytes([1; 32]))
}

fn team(n: u128) -> TeamId {
    TeamId::from_uuid(uuid::Uuid::from_u128(n))
}

fn team_key(n: u128, material: u8) -> TeamKey {
    let keyring = keyring();
    keyring.open_team_key(team(n), &keyring.new_team_key(team(n), [material; 32], [3; 12])).unwrap()
}

fn place() -> SealContext<'static> {
    SealContext {
        purpose: "secret",
        team_id: team(1),
        owner_kind: OwnerKind::Host,
        owner_id: "host_1",
        name: "repo",
        version: 2,
    }
}

#[test]
fn record_opens_at_its_place() {
    let key = team_key(1, 9);
    let blob = key.seal(&place(), [5; 12], PLAINTEXT);
    assert_eq!(blob.len(), 1 + 4 + 12 + PLAINTEXT.len() + 16);
    assert_eq!(key.open(&place(), &blob).unwrap().as_slice(), PLAINTEXT);
    assert_eq!(KeyId::of_blob(&blob), Ok(key.id()));
    assert!(key.open(&place(), &key.seal(&place(), [5; 12], b"")).unwrap().is_empty());
}

#[test]
fn same_values_seal_to_the_same_bytes_and_another_nonce_to_others() {
    let key = team_key(1, 9);
    let blob = key.seal(&place(), [5; 12], PLAINTEXT);
    assert_eq!(blob, key.seal(&place(), [5; 12], PLAINTEXT));
    assert_ne!(blob[17..], key.seal(&place(), [6; 12], PLAINTEXT)[17..]);
}

#[test]
fn swapped_row_and_older_version_fail_closed() {
    let key = team_key(1, 9);
    let blob = key.seal(&place(), [5; 12], PLAINTEXT);
    for elsewhere in [
        SealContext { purpose: "reply", ..place() },
        SealContext { team_id: team(2), ..place() },
        SealContext { owner_kind: OwnerKind::Ticket, ..place() },
        SealContext { owner_kind: OwnerKind::Repository, ..place() },
        SealContext { owner_kind: OwnerKind::Job, ..place() },
        SealContext { owner_id: "host_2", ..place() },
        SealContext { name: "repo2", ..place() },
        SealContext { version: 1, ..place() },
        SealContext { version: 3, ..place() },
    ] {
        assert_eq!(key.open(&elsewhere, &blob).unwrap_err(), SealError::NotAuthentic, "{elsewhere:?}");
    }
}

#[test]
fn bytes_do_not_move_between_neighbouring_fields() {
    let key = team_key(1, 9);
    let shifts = [("ab", "c"), ("a", "bc"), ("", "abc"), ("abc", "")];
    for (sealed_at, at) in (0..16).map(|pair| (pair / 4, pair % 4)) {
        let of = |(owner_id, name): (&'static str, &'static str)| SealContext { owner_id, name, ..place() };
        let blob = key.seal(&of(shifts[sealed_at]), [5; 12], PLAINTEXT);
        assert_eq!(key.open(&of(shifts[at]), &blob).is_ok(), sealed_at == at);
    }
}

#[test]
fn every_changed_byte_and_every_cut_fails_closed() {
    let key = team_key(1, 9);
    let blob = key.seal(&place(), [5; 12], PLAINTEXT);
    for at in 0..blob.len() {
        let mut changed = blob.clone();
        changed[at] ^= 1;
        let expected = match at {
            0 => SealError::UnknownFormat,
            1..5 => SealError::OtherKey,
            _ => SealError::NotAuthentic,
        };
        assert_eq!(key.open(&place(), &changed).unwrap_err(), expected, "at {at}");
        assert!(key.open(&place(), &blob[..at]).is_err(), "cut at {at}");
    }
    assert!(key.open(&place(), &[blob, vec![0]].concat()).is_err());
}

#[test]
fn key_is_chosen_by_its_id_and_never_by_trial() {
    let (key, next) = (team_key(1, 9), team_key(1, 10));
    let blob = key.seal(&place(), [5; 12], PLAINTEXT);
    assert_ne!(key.id(), next.id());
    assert_eq!(next.open(&place(), &blob).unwrap_err(), SealError::OtherKey);
    let mut relabelled = blob;
    relabelled[1..5].copy_from_slice(&next.seal(&place(), [5; 12], b"")[1..5]);
    assert_eq!(next.open(&place(), &relabelled).unwrap_err(), SealError::NotAuthentic);
}

#[test]
fn wrapped_team_key_opens_for_its_team_and_master_key_only() {
    let keyring = keyring();
    let wrapped = keyring.new_team_key(team(1), [9; 32], [3; 12]);
    assert_eq!(keyring.open_team_key(team(1), &wrapped).unwrap().id(), team_key(1, 9).id());
    assert_eq!(keyring.open_team_key(team(2), &wrapped).unwrap_err(), SealError::NotAuthentic);
    let other = Keyring::derive(&MasterKey::from_bytes([2; 32]));
    assert_eq!(other.open_team_key(team(1), &wrapped).unwrap_err(), SealError::OtherKey);
    assert!(!wrapped.windows(32).any(|window| window == [9; 32]));
}

#[test]
#[should_panic(expected = "that team's records only")]
fn key_of_one_team_never_seals_for_another() {
    team_key(2, 9).seal(&place(), [5; 12], PLAINTEXT);
}

#[test]
fn installation_record_opens_under_its_name_and_master_key_only() {
    let keyring = keyring();
    let blob = keyring.seal_installation("instruction-key current", [5; 12], PLAINTEXT);
    assert_eq!(keyring.open_installation("instruction-key current", &blob).unwrap().as_slice(), PLAINTEXT);
    assert_eq!(
        keyring.open_installation("instruction-key next", &blob).unwrap_err(),
        SealError::NotAuthentic
    );
    let other = Keyring::derive(&MasterKey::from_bytes([2; 32]));
    assert_eq!(other.open_installation("instruction-key current", &blob).unwrap_err(), SealError::OtherKey);
    assert_eq!(keyring.open_team_key(team(1), &blob).unwrap_err(), SealError::OtherKey);
}

#[test]
fn team_key_is_never_printed() {
    let key = team_key(1, 9);
    assert_eq!(format!("{key:?}"), format!("TeamKey({}, {}, [redacted])", team(1), key.id()));
}

proptest! {
    #[test]
    fn made_up_blobs_open_nothing(blob in prop::collection::vec(any::<u8>(), 0..120)) {
        let key = team_key(1, 9);
        prop_assert!(key.open(&place(), &blob).is_err());
        let labelled = [&[1][..], &key.seal(&place(), [0; 12], b"")[1..5], &blob].concat();
        prop_assert!(key.open(&place(), &labelled).is_err());
        prop_assert!(keyring().open_installation("x", &blob).is_err());
    }

    #[test]
    fn any_text_round_trips(plaintext in prop::collection::vec(any::<u8>(), 0..300), nonce: [u8; 12], version: i64) {
        let (key, place) = (team_key(1, 9), SealContext { version, ..place() });
        let blob = key.seal(&place, nonce, &plaintext);
        let opened = key.open(&place, &blob).unwrap();
        prop_assert_eq!(opened.as_slice(), plaintext);
    }
}
