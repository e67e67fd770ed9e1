use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use muster_ids::Timestamp;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};

use super::own::{CERTIFICATE_FILE, KEY_FILE, NEXT_KEY_FILE};
use super::{
    Ordered, OwnIdentity, Shown, TlsError, TlsIdentity, load, load_or_create, pins_in, read_private, switch,
};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const DAY: Duration = Duration::from_secs(86_400);

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

fn open(dir: &Path) -> OwnIdentity {
    load_or_create(dir, &names(&["localhost"]), NOW).expect("made")
}

/// Switches from what is shown to what was announced with it.
fn switch_from(dir: &Path, shown: &OwnIdentity) -> Result<OwnIdentity, TlsError> {
    let announced = [shown.next_pin.clone()];
    switch(dir, &names(&["localhost"]), NOW, &shown.identity.spki_pin, &announced)
}

#[test]
fn the_pin_outlives_restarts_new_names_and_new_certificates() {
    let dir = tempfile::tempdir().expect("folder");
    let first = load_or_create(dir.path(), &names(&["localhost", "10.0.0.1"]), NOW).expect("made");
    let certificate = fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate");

    let again = load_or_create(dir.path(), &names(&["10.0.0.1", "localhost"]), NOW).expect("loaded");
    assert_eq!(again.identity.spki_pin, first.identity.spki_pin);
    assert_eq!(again.next_pin, first.next_pin);
    assert_eq!(fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate"), certificate);

    let renamed = load_or_create(dir.path(), &names(&["muster.example", "::1"]), NOW).expect("renamed");
    assert_eq!(renamed.identity.spki_pin, first.identity.spki_pin);
    assert_ne!(fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate"), certificate);

    let late = NOW.plus(DAY * (9 * 365 + 300));
    let renewed = load_or_create(dir.path(), &names(&["muster.example", "::1"]), late).expect("renewed");
    assert_eq!(renewed.identity.spki_pin, first.identity.spki_pin);
    assert!(renewed.identity.not_after > renamed.identity.not_after);
    assert_eq!(first.identity.spki_pin.len(), 43);
}

#[test]
fn the_keys_are_private_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().expect("folder");
    open(dir.path());
    for file in [KEY_FILE, NEXT_KEY_FILE] {
        let key = dir.path().join(file);
        assert_eq!(fs::metadata(&key).expect("key").permissions().mode() & 0o777, 0o600);
    }
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).expect("folder").map(|e| e.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, [NEXT_KEY_FILE, CERTIFICATE_FILE, KEY_FILE]);

    fs::set_permissions(dir.path().join(KEY_FILE), fs::Permissions::from_mode(0o640)).expect("mode");
    let refused = load_or_create(dir.path(), &names(&["localhost"]), NOW).expect_err("readable by others");
    assert!(matches!(refused, TlsError::KeyMode { .. }));
}

#[test]
fn a_damaged_key_is_never_replaced() {
    for file in [KEY_FILE, NEXT_KEY_FILE] {
        let dir = tempfile::tempdir().expect("folder");
        let shown = open(dir.path());
        fs::write(dir.path().join(file), "damaged").expect("written");
        let refused = load_or_create(dir.path(), &names(&["localhost"]), NOW).expect_err("damaged");
        assert!(matches!(refused, TlsError::Content { .. }));
        assert!(switch_from(dir.path(), &shown).is_err());
    }
}

#[test]
fn the_next_key_is_known_before_it_is_shown_and_a_switch_may_be_cut_anywhere() {
    let dir = tempfile::tempdir().expect("folder");
    let first = open(dir.path());
    assert_ne!(first.identity.spki_pin, first.next_pin);
    let second = switch_from(dir.path(), &first).expect("switched");
    assert_eq!(second.identity.spki_pin, first.next_pin);
    assert!(second.next_pin != first.next_pin && second.next_pin != first.identity.spki_pin);
    assert_eq!(open(dir.path()).identity.spki_pin, second.identity.spki_pin);

    // Cut after the one step that counts: the certificate is still the former one, a next key is missing.
    fs::rename(dir.path().join(NEXT_KEY_FILE), dir.path().join(KEY_FILE)).expect("renamed");
    let third = open(dir.path());
    assert_eq!(third.identity.spki_pin, second.next_pin);
    assert_ne!(third.next_pin, second.next_pin);
}

#[test]
fn b23_a_rotation_that_broke_off_is_finished_not_repeated() {
    let dir = tempfile::tempdir().expect("folder");
    let first = open(dir.path());
    fs::rename(dir.path().join(NEXT_KEY_FILE), dir.path().join(KEY_FILE)).expect("cut after the first step");
    let second = switch_from(dir.path(), &first).expect("finished");
    assert_eq!(second.identity.spki_pin, first.next_pin);
    assert_eq!(open(dir.path()).next_pin, second.next_pin, "what comes after it was not touched");
}

#[test]
fn b23_a_key_nobody_was_told_of_is_never_switched_to() {
    let dir = tempfile::tempdir().expect("folder");
    let first = open(dir.path());
    let (key, next) = (dir.path().join(KEY_FILE), dir.path().join(NEXT_KEY_FILE));
    let announced = fs::read(&next).expect("next key");
    fs::remove_file(&next).expect("removed");
    let refused = switch_from(dir.path(), &first).expect_err("a next key that is missing is not made now");
    assert!(matches!(refused, TlsError::Unannounced { .. }), "{refused}");
    assert!(!next.exists() && open(dir.path()).identity.spki_pin == first.identity.spki_pin);
    assert!(switch_from(dir.path(), &first).is_err(), "one that was made since was not announced then");
    fs::write(&key, fs::read(&next).expect("a stranger")).expect("written");
    assert!(switch_from(dir.path(), &first).is_err(), "nor is a stranger in the place of the key in use");
    fs::remove_file(&key).expect("removed");
    fs::write(&next, announced).expect("written");
    assert_eq!(switch_from(dir.path(), &first).expect("switched").identity.spki_pin, first.next_pin);
}

/// Writes a pair as an operator keeps it, valid for these days around now, and returns its pin.
fn write_pair(dir: &Path, from_days: i64, to_days: i64, key: &KeyPair) {
    let mut params = CertificateParams::new(names(&["muster.example"])).expect("params");
    let day = |days: i64| {
        let secs = u64::try_from(NOW.as_secs() + days * 86_400).expect("after 1970");
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs)
    };
    (params.not_before, params.not_after) = (day(from_days), day(to_days));
    let certificate = params.self_signed(key).expect("signed");
    fs::write(dir.join("server.crt"), certificate.pem()).expect("written");
    fs::write(dir.join("server.key"), key.serialize_pem()).expect("written");
    fs::set_permissions(dir.join("server.key"), fs::Permissions::from_mode(0o600)).expect("mode");
}

fn load_pair(dir: &Path) -> Result<super::TlsIdentity, TlsError> {
    load(&dir.join("server.crt"), &dir.join("server.key"), NOW)
}

#[test]
fn a_pair_of_files_is_refused_in_words_unless_it_is_whole_and_valid() {
    let dir = tempfile::tempdir().expect("folder");
    let key = KeyPair::generate().expect("key");
    write_pair(dir.path(), -1, 90, &key);
    let given = load_pair(dir.path()).expect("loaded");
    assert_eq!(given.spki_pin, super::pin_of(&key.subject_public_key_info()));
    assert_eq!(pins_in(&dir.path().join("server.crt")).expect("pins"), [given.spki_pin.as_str()]);

    write_pair(dir.path(), -30, -1, &key);
    assert!(matches!(load_pair(dir.path()), Err(TlsError::Expired { .. })));
    write_pair(dir.path(), 1, 30, &key);
    assert!(matches!(load_pair(dir.path()), Err(TlsError::NotYet { .. })));

    write_pair(dir.path(), -1, 90, &key);
    let other = KeyPair::generate().expect("key");
    fs::write(dir.path().join("server.key"), other.serialize_pem()).expect("written");
    let refused = load_pair(dir.path()).expect_err("another key");
    assert!(matches!(refused, TlsError::Mismatch { .. }), "{refused}");
    assert!(refused.to_string().starts_with("the key does not belong to the first certificate in "));

    let (crt, key) = (dir.path().join("server.crt"), dir.path().join("server.key"));
    assert!(load(&key, &key, NOW).is_err(), "a key is no certificate");
    assert!(load(&dir.path().join("absent"), &key, NOW).is_err());
    assert!(load(&crt, &dir.path().join("absent"), NOW).is_err());
    assert!(pins_in(&key).is_err(), "a private key is not for announcing");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).expect("mode");
    assert!(matches!(load_pair(dir.path()), Err(TlsError::KeyMode { .. })));
}

#[test]
fn a_public_key_alone_can_be_announced() {
    let dir = tempfile::tempdir().expect("folder");
    let key = KeyPair::generate().expect("key");
    let file = dir.path().join("next.pem");
    fs::write(&file, key.public_key_pem()).expect("written");
    assert_eq!(pins_in(&file).expect("pins"), [super::pin_of(&key.subject_public_key_info())]);
    assert!(pins_in(&dir.path().join("absent")).is_err());
}

#[test]
fn what_is_shown_can_be_another_identity_the_next_time() {
    let dir = tempfile::tempdir().expect("folder");
    let first = open(dir.path());
    let shown = Shown::new(first.identity.clone());
    let elsewhere = shown.clone();
    assert_eq!(elsewhere.identity().spki_pin, first.identity.spki_pin);
    shown.show(switch_from(dir.path(), &first).expect("switched").identity);
    assert_eq!(elsewhere.identity().spki_pin, first.next_pin);
}

const FROM: &str = "https://acme.example/directory";

fn chain_of(key: &KeyPair, valid_until: Timestamp) -> String {
    let mut params =
        CertificateParams::new(names(&["muster.example", "muster.example.net"])).expect("params");
    let at = |moment: Timestamp| {
        let secs = u64::try_from(moment.as_secs()).expect("after 1970");
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(secs)
    };
    (params.not_before, params.not_after) = (at(NOW.minus(DAY)), at(valid_until));
    params.self_signed(key).expect("signed").pem()
}

#[test]
fn c28_acme_an_ordered_pair_is_one_file_that_nobody_else_reads() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("certificate.pem");
    assert!(Ordered::load(&file, NOW).expect_err("absent").is_absent());
    let (first, second) = (KeyPair::generate().expect("key"), KeyPair::generate().expect("key"));
    let chain = chain_of(&first, NOW.plus(DAY));
    let written = Ordered::write(&file, FROM, &first.serialize_pem(), &chain, NOW).expect("written");
    let loaded = Ordered::load(&file, NOW).expect("loaded");
    assert_eq!(
        (loaded.from.as_str(), loaded.identity.names()),
        (FROM, names(&["muster.example", "muster.example.net"]))
    );
    assert_eq!(loaded.identity.spki_pin, written.identity.spki_pin);
    assert_eq!(fs::metadata(&file).expect("metadata").permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1);

    // A draft that a killed process left is in nobody's way.
    fs::write(file.with_extension(format!("draft-{}", std::process::id())), "half").expect("written");
    Ordered::write(&file, FROM, &first.serialize_pem(), &chain, NOW).expect("written again");
    assert_eq!(fs::read_dir(dir.path()).expect("folder").count(), 1);

    // What does not hold never takes its place.
    let before = fs::read(&file).expect("read");
    for (what, key, chain) in [
        ("another key", &second, chain.clone()),
        ("over", &first, chain_of(&first, NOW)),
        ("nothing", &first, String::new()),
        ("a text", &first, "<html>".to_owned()),
    ] {
        Ordered::write(&file, FROM, &key.serialize_pem(), &chain, NOW).expect_err(what);
        assert_eq!(fs::read(&file).expect("read"), before, "{what}");
    }
    assert!(matches!(Ordered::load(&file, NOW.plus(2 * DAY)), Err(TlsError::Expired { .. })));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("mode");
    assert!(matches!(Ordered::load(&file, NOW), Err(TlsError::KeyMode { .. })));
    assert!(matches!(read_private(&file), Err(TlsError::KeyMode { .. })));
}

#[test]
fn a_temporary_identity_is_another_one_each_time() {
    let make = || TlsIdentity::temporary(&names(&["muster.example"])).expect("made");
    let (one, other) = (make(), make());
    assert_ne!(one.spki_pin, other.spki_pin);
    assert_eq!(one.names(), names(&["muster.example"]));
}
