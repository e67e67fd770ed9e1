use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use muster_ids::Timestamp;

use super::{CERTIFICATE_FILE, KEY_FILE, TlsError, load, load_or_create};

const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

fn names(of: &[&str]) -> Vec<String> {
    of.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_pin_outlives_restarts_new_names_and_new_certificates() {
    let dir = tempfile::tempdir().expect("folder");
    let first = load_or_create(dir.path(), &names(&["localhost", "10.0.0.1"]), NOW).expect("made");
    let certificate = fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate");

    let again = load_or_create(dir.path(), &names(&["10.0.0.1", "localhost"]), NOW).expect("loaded");
    assert_eq!(again.spki_pin, first.spki_pin);
    assert_eq!(fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate"), certificate);

    let renamed = load_or_create(dir.path(), &names(&["muster.example", "::1"]), NOW).expect("renamed");
    assert_eq!(renamed.spki_pin, first.spki_pin);
    assert_ne!(fs::read(dir.path().join(CERTIFICATE_FILE)).expect("certificate"), certificate);

    let late = NOW.plus(Duration::from_secs(9 * 365 * 86_400 + 300 * 86_400));
    let renewed = load_or_create(dir.path(), &names(&["muster.example", "::1"]), late).expect("renewed");
    assert_eq!(renewed.spki_pin, first.spki_pin);
    assert_eq!(first.spki_pin.len(), 43);
}

#[test]
fn the_key_is_private_and_nothing_else_is_left() {
    let dir = tempfile::tempdir().expect("folder");
    load_or_create(dir.path(), &names(&["localhost"]), NOW).expect("made");
    let key = dir.path().join(KEY_FILE);
    assert_eq!(fs::metadata(&key).expect("key").permissions().mode() & 0o777, 0o600);
    let mut left: Vec<_> =
        fs::read_dir(dir.path()).expect("folder").map(|e| e.expect("entry").file_name()).collect();
    left.sort();
    assert_eq!(left, [CERTIFICATE_FILE, KEY_FILE]);

    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("mode");
    let refused = load_or_create(dir.path(), &names(&["localhost"]), NOW).expect_err("readable by others");
    assert!(matches!(refused, TlsError::KeyMode { .. }));
}

#[test]
fn a_damaged_key_is_never_replaced() {
    let dir = tempfile::tempdir().expect("folder");
    load_or_create(dir.path(), &names(&["localhost"]), NOW).expect("made");
    fs::write(dir.path().join(KEY_FILE), "damaged").expect("written");
    let refused = load_or_create(dir.path(), &names(&["localhost"]), NOW).expect_err("damaged");
    assert!(matches!(refused, TlsError::Content { .. }));
    assert_eq!(fs::read_to_string(dir.path().join(KEY_FILE)).expect("key"), "damaged");
}

#[test]
fn a_given_certificate_is_pinned_by_its_key_too() {
    let dir = tempfile::tempdir().expect("folder");
    let made = load_or_create(dir.path(), &names(&["localhost"]), NOW).expect("made");
    let given = load(&dir.path().join(CERTIFICATE_FILE), &dir.path().join(KEY_FILE)).expect("loaded");
    assert_eq!(given.spki_pin, made.spki_pin);
    assert!(load(&dir.path().join(KEY_FILE), &dir.path().join(KEY_FILE)).is_err());
    assert!(load(&dir.path().join("absent"), &dir.path().join(KEY_FILE)).is_err());
}
