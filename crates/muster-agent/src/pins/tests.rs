use muster_ids::{Bearer, BearerKind, KeyName, KeyThumbprint, MachineUid, PublicId, Timestamp, UidSource};
use muster_proof::instruction::{Pins, sign_pins};
use muster_proof::{HostKey, digest};
use muster_wire::JoinString;

use super::{Judged, judge};
use crate::state::IdentityState;

fn pin(text: &str) -> String {
    digest::spki_pin(text.as_bytes())
}

fn join_string(instruction: &HostKey) -> JoinString {
    JoinString {
        urls: vec!["https://muster.example:8643/".parse().unwrap()],
        ticket: Bearer::new(BearerKind::SiteKey, PublicId::from_entropy([3; 16]), [9; 32]),
        instruction_key: instruction.thumbprint(),
        pins: vec![pin("one")],
    }
}

fn identity(instruction: &HostKey) -> IdentityState {
    let uid = MachineUid::from_sha256(UidSource::Given, &[1; 32]);
    IdentityState::joining(&join_string(instruction), uid)
}

/// The key of the channel.
fn own() -> KeyThumbprint {
    "A".repeat(43).parse().unwrap()
}

fn pins(at: i64, current: &[&str], next: &[&str], key: &HostKey, next_key: Option<&HostKey>) -> Pins {
    Pins {
        to: KeyName::Pair(own()),
        issued_at: Timestamp::from_millis(at),
        current: current.iter().map(|text| pin(text)).collect(),
        next: next.iter().map(|text| pin(text)).collect(),
        instruction_key: key.thumbprint(),
        next_instruction_key: next_key.map(HostKey::thumbprint),
        not_before: Timestamp::from_millis(at),
    }
}

#[track_caller]
fn newer(statement: &str, identity: &IdentityState) -> IdentityState {
    match judge(statement, identity, own()) {
        Ok(Judged::Newer(newer, _)) => *newer,
        other => panic!("{other:?}"),
    }
}

#[test]
fn b23_keys_move_on_in_steps_and_what_is_not_named_any_more_does_not_count() {
    let (first, second, third) = (HostKey::generate(), HostKey::generate(), HostKey::generate());
    let joined = identity(&first);
    let announced = newer(&sign_pins(&first, &pins(10, &["one"], &["two"], &first, Some(&second))), &joined);
    assert_eq!(announced.pins, [pin("one"), pin("two")]);
    assert!(announced.obeys(&first.thumbprint()) && announced.obeys(&second.thumbprint()));
    assert_eq!(announced.pins_issued_at, Some(Timestamp::from_millis(10)));
    // The one that is next may speak already.
    let switched = newer(&sign_pins(&second, &pins(20, &["two"], &[], &second, Some(&third))), &announced);
    assert_eq!(switched.pins, [pin("two")]);
    assert!(!switched.obeys(&first.thumbprint()) && switched.obeys(&third.thumbprint()));
    // The former one is a stranger now.
    let late = sign_pins(&first, &pins(30, &["one"], &[], &first, None));
    judge(&late, &switched, own()).unwrap_err();
}

#[test]
fn b29_older_pins_are_ignored_and_the_same_are_confirmed_again() {
    let key = HostKey::generate();
    let statement = |at| sign_pins(&key, &pins(at, &["one"], &[], &key, None));
    let kept = newer(&statement(10), &identity(&key));
    assert!(matches!(judge(&statement(10), &kept, own()), Ok(Judged::Kept(at)) if at.as_millis() == 10));
    assert!(matches!(judge(&statement(9), &kept, own()), Ok(Judged::Older)));
    // A new join string lets the server say the same again, and still nothing that is older.
    let moved = kept.clone().moved(&join_string(&key));
    assert!(moved.pins_issued_at < kept.pins_issued_at);
    assert!(matches!(judge(&statement(10), &moved, own()), Ok(Judged::Newer(..))));
    assert!(matches!(judge(&statement(8), &moved, own()), Ok(Judged::Older)));
}

#[test]
fn b23_a_stranger_pins_nothing() {
    let (key, stranger) = (HostKey::generate(), HostKey::generate());
    let forged = sign_pins(&stranger, &pins(10, &["evil"], &[], &stranger, None));
    judge(&forged, &identity(&key), own()).unwrap_err();
    let swapped = sign_pins(&stranger, &pins(10, &["evil"], &[], &key, None));
    judge(&swapped, &identity(&key), own()).unwrap_err();
    judge("no statement", &identity(&key), own()).unwrap_err();
    let to_another = Pins { to: KeyName::Pair(key.thumbprint()), ..pins(10, &["evil"], &[], &key, None) };
    judge(&sign_pins(&key, &to_another), &identity(&key), own()).unwrap_err();
}

#[test]
fn no_current_pin_means_publicly_valid_certificates() {
    let key = HostKey::generate();
    let public = newer(&sign_pins(&key, &pins(10, &[], &["two"], &key, None)), &identity(&key));
    assert!(public.pins.is_empty(), "what comes next would shut out what is there now");
    let twice = newer(&sign_pins(&key, &pins(20, &["one"], &["one"], &key, None)), &public);
    assert_eq!(twice.pins, [pin("one")]);
}
