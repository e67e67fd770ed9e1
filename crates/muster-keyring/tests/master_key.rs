//! The master key file: made once, read strictly, never replaced.

#![expect(clippy::unwrap_used, reason = "a test panics when its premise does not hold")]

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use muster_edge::Entropy;
use muster_keyring::{Keyring, MasterKey, MasterKeyError};

fn write(path: &Path, content: &[u8], mode: u32) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn load(path: &Path, database_has_data: bool) -> Result<MasterKey, MasterKeyError> {
    MasterKey::load_or_create(path, database_has_data, &Entropy)
}

#[test]
fn first_start_makes_a_private_file_and_the_next_start_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let made = load(&path, false).unwrap();
    let metadata = fs::metadata(&path).unwrap();
    assert_eq!((metadata.permissions().mode() & 0o777, metadata.len()), (0o600, 32));
    assert_eq!(load(&path, true).unwrap().expose(), made.expose());
    assert_eq!(load(&path, false).unwrap().expose(), made.expose());
}

#[test]
fn two_installations_have_two_keys() {
    let folder = tempfile::tempdir().unwrap();
    let one = load(&folder.path().join("one"), false).unwrap();
    let other = load(&folder.path().join("other"), false).unwrap();
    assert_ne!(one.expose(), other.expose());
}

#[test]
fn missing_key_over_existing_data_is_an_error_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    let error = load(&path, true).unwrap_err();
    assert!(matches!(error, MasterKeyError::MissingOverData(_)));
    assert!(error.to_string().contains("put the file back from your copy of it"), "{error}");
    assert!(!path.exists());
}

#[test]
fn file_that_others_can_touch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for mode in [0o640, 0o620, 0o610, 0o604, 0o602, 0o601, 0o644, 0o666, 0o777] {
        write(&path, &[1; 32], mode);
        let error = load(&path, true).unwrap_err();
        assert!(matches!(error, MasterKeyError::Exposed { mode: found, .. } if found == mode), "{error}");
    }
    for mode in [0o600, 0o400] {
        write(&path, &[1; 32], mode);
        assert_eq!(load(&path, true).unwrap().expose(), &[1; 32]);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn symlink_does_not_hide_the_mode_of_its_target() {
    let folder = tempfile::tempdir().unwrap();
    let (target, path) = (folder.path().join("target"), folder.path().join("master.key"));
    write(&target, &[1; 32], 0o644);
    symlink(&target, &path).unwrap();
    assert!(matches!(load(&path, false), Err(MasterKeyError::Exposed { .. })));
}

#[test]
fn dangling_symlink_is_not_written_through() {
    let folder = tempfile::tempdir().unwrap();
    let (target, path) = (folder.path().join("elsewhere"), folder.path().join("master.key"));
    symlink(&target, &path).unwrap();
    assert!(matches!(load(&path, false), Err(MasterKeyError::Io { .. })));
    assert!(!target.exists());
}

#[test]
fn file_of_another_length_is_refused_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("master.key");
    for length in [0, 31, 33, 64] {
        write(&path, &vec![1; length], 0o600);
        let error = load(&path, false).unwrap_err();
        assert!(matches!(error, MasterKeyError::WrongLength { found, .. } if found == length as u64));
        assert_eq!(fs::read(&path).unwrap().len(), length);
    }
}

#[test]
fn folder_in_place_of_the_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(folder.path(), false), Err(MasterKeyError::NotAFile(_))));
}

#[test]
fn credential_is_read_through_its_acl_mask_but_never_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("muster-master-key");
    assert!(matches!(MasterKey::load_credential(&path), Err(MasterKeyError::MissingCredential(_))));
    assert!(!path.exists());
    write(&path, &[1; 32], 0o440);
    assert_eq!(MasterKey::load_credential(&path).unwrap().expose(), &[1; 32]);
    fs::remove_file(&path).unwrap();
    write(&path, &[1; 32], 0o444);
    assert!(matches!(MasterKey::load_credential(&path), Err(MasterKeyError::Exposed { .. })));
}

#[test]
fn wrong_master_key_does_not_match_the_check_value() {
    let right = Keyring::derive(&MasterKey::from_bytes([1; 32]));
    let wrong = Keyring::derive(&MasterKey::from_bytes([2; 32]));
    let stored = right.check_value();
    assert!(right.matches_check_value(&stored));
    assert!(!wrong.matches_check_value(&stored));
    assert!(!right.matches_check_value(&[]));
    assert!(!right.matches_check_value(&stored[..31]));
}

#[test]
fn nothing_is_printed() {
    let master = MasterKey::from_bytes([0x5a; 32]);
    assert_eq!(
        format!("{master:?} {:?}", Keyring::derive(&master)),
        "MasterKey([redacted]) Keyring([redacted])"
    );
}
