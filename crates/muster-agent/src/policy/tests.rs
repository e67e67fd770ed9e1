use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use tempfile::TempDir;

use super::{Denied, JobKind, Policy};

fn policy(content: &str, mode: u32) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("policy.toml");
    fs::write(&path, content).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    (folder, path)
}

fn allowed(policy: &Policy) -> Vec<&'static str> {
    JobKind::ALL.iter().map(|kind| kind.as_str()).filter(|kind| policy.judge(kind).is_ok()).collect()
}

#[test]
fn without_a_file_the_default_holds() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("policy.toml");
    let policy = Policy::read(&path);
    assert_eq!(allowed(&policy), ["backup", "snapshots", "browse", "check", "restore"]);
    let denied = policy.judge("command").unwrap_err().to_string();
    let expected = format!(
        "this machine's policy does not allow `command`: write `allow = [\"backup\", \"snapshots\", \"browse\", \
         \"check\", \"restore\", \"command\"]` below `[jobs]` in {}",
        path.display()
    );
    assert_eq!(denied, expected);
    assert_eq!(policy.judge("format_disk").unwrap_err(), Denied::UnknownKind);
}

#[test]
fn the_line_a_refusal_names_allows_the_job() {
    let (_folder, path) = policy("[jobs]\nallow = []\n", 0o600);
    for kind in JobKind::ALL {
        let Denied::NotAllowed { line, .. } = Policy::read(&path).judge(kind.as_str()).unwrap_err() else {
            panic!("{kind:?} is not allowed yet");
        };
        fs::write(&path, format!("[jobs]\n{line}\n")).unwrap();
        Policy::read(&path).judge(kind.as_str()).unwrap();
    }
    assert_eq!(allowed(&Policy::read(&path)).len(), JobKind::ALL.len());
}

#[test]
fn a_file_says_what_is_allowed_and_is_read_anew() {
    let (_folder, path) = policy("# mine\n[jobs]\nallow = [\"backup\", \"terminal\"]\n", 0o644);
    assert_eq!(allowed(&Policy::read(&path)), ["backup", "terminal"]);
    let summary: Vec<String> = Policy::read(&path).summary().iter().map(ToString::to_string).collect();
    assert_eq!(summary, ["backup", "terminal"]);
    fs::write(&path, "[jobs]\nallow = []\n").unwrap();
    assert!(allowed(&Policy::read(&path)).is_empty());
}

fn check_broken(content: &str, mode: u32, expected: &str) {
    let (_folder, path) = policy(content, mode);
    let policy = Policy::read(&path);
    assert!(allowed(&policy).is_empty(), "{content}");
    assert!(policy.summary().is_empty());
    let told = policy.judge("backup").unwrap_err().to_string();
    assert!(told.contains(expected) && told.contains("allows no job"), "{told}");
    assert!(!told.contains("canary"), "{told}");
}

#[test]
fn a_file_that_is_wrong_in_any_way_allows_nothing() {
    check_broken("", 0o644, "is not a policy (line 1)");
    check_broken("[jobs]\nallow = [\"backup\"]\nextra = \"canary\"\n", 0o644, "is not a policy (line 3)");
    check_broken("[jobs]\nallow = [\"backup\"]\n[extra]\n", 0o644, "is not a policy");
    check_broken("[jobs]\nallow = [\"canary\"]\n", 0o644, "is not a policy (line 2)");
    check_broken("[jobs]\nallow = \"backup\"\n", 0o644, "is not a policy (line 2)");
    check_broken("[jobs\n", 0o644, "is not a policy (line 1)");
    check_broken("[jobs]\nallow = [\"backup\"]\n", 0o664, "can be written by other users (mode 0664)");
    check_broken("[jobs]\nallow = [\"backup\"]\n", 0o646, "can be written by other users (mode 0646)");
    check_broken(&"#".repeat(70_000), 0o644, "is too large");
    check_broken("[jobs]\nallow = [\"backup\"]\n\u{0}", 0o644, "is not a policy");
}

#[test]
fn a_folder_or_a_stranger_s_file_allows_nothing() {
    let folder = TempDir::new().unwrap();
    let told = Policy::read(folder.path()).judge("backup").unwrap_err().to_string();
    assert!(told.contains("is not a file"), "{told}");
    if rustix::process::geteuid().is_root() {
        let (_folder, path) = policy("[jobs]\nallow = [\"backup\"]\n", 0o644);
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        let told = Policy::read(&path).judge("backup").unwrap_err().to_string();
        assert!(told.contains("belongs to user id 65534"), "{told}");
    }
}
