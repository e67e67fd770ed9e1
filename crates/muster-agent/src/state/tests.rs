use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use muster_ids::{Bearer, BearerKind, HostId, KeyThumbprint, MachineUid, PublicId, Timestamp, UidSource};
use muster_wire::JoinString;
use muster_wire::channel::Config;
use muster_wire::enroll::{Disposition, EnrollReply};
use muster_wire::host::HostState;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{Damage, IdentityState, Membership, StateDir, StateError, StateView};

const CANARY: &str = "canary-3f9c1d";
const HELPER_FOLDER: &str = "MUSTER_TEST_STATE_FOLDER";

fn folder() -> (TempDir, PathBuf) {
    let parent = TempDir::new().unwrap();
    let path = parent.path().join("lib/muster-agent");
    (parent, path)
}

fn join_string() -> JoinString {
    JoinString {
        urls: vec!["https://muster.example:8643/".parse().unwrap()],
        ticket: Bearer::new(BearerKind::SiteKey, PublicId::from_entropy([3; 16]), [9; 32]),
        instruction_key: KeyThumbprint::from_digest([4; 32]),
        pins: vec![KeyThumbprint::from_digest([5; 32]).to_string()],
    }
}

fn joining() -> IdentityState {
    IdentityState::joining(&join_string(), MachineUid::from_sha256(UidSource::Given, &[1; 32]))
}

fn own() -> KeyThumbprint {
    KeyThumbprint::from_digest([6; 32])
}

fn reply() -> EnrollReply {
    EnrollReply {
        host_id: HostId::from_uuid(uuid::Uuid::from_u128(7)),
        disposition: Disposition::New,
        state: HostState::Active,
        heartbeat_secs: 30,
        server_time: Timestamp::from_millis(1_000),
        instruction_key: KeyThumbprint::from_digest([4; 32]),
        agent_key_id: None,
        replayed: false,
    }
}

fn config() -> Config {
    let document = serde_json::json!({ "url": "rest:http://b/", "password": CANARY });
    let config = serde_json::json!({
        "version": { "epoch": 1, "n": 4 },
        "digest": "ab",
        "secrets": { "repo": { "version": 2, "document": document } },
    });
    serde_json::from_value(config).unwrap()
}

fn fill(state: &StateDir) {
    state.store_host_key(b"der").unwrap();
    state.store_identity(&joining()).unwrap();
    state.store_generation("g1", own()).unwrap();
    state.store_config(&config()).unwrap();
    state.store_uid_random(&[8; 32]).unwrap();
}

#[test]
fn what_is_stored_is_read_again() {
    let (_parent, path) = folder();
    assert!(StateView::open(&path).unwrap().is_none());
    let state = StateDir::open(&path).unwrap();
    assert!(state.host_key().unwrap().is_none());
    assert!(state.identity().unwrap().is_none());
    assert!(state.generation().unwrap().is_none());
    assert!(state.config().unwrap().is_none());
    assert!(state.uid_random().unwrap().is_none());
    fill(&state);
    drop(state);
    let state = StateDir::open(&path).unwrap();
    assert_eq!(state.host_key().unwrap().unwrap().as_slice(), b"der");
    assert_eq!(state.generation().unwrap().as_deref(), Some("g1"));
    assert_eq!(state.config().unwrap().unwrap(), config());
    assert_eq!(state.uid_random().unwrap(), Some([8; 32]));
    let Membership::Joining { ticket, .. } = state.identity().unwrap().unwrap().membership else {
        panic!("joins")
    };
    assert_eq!(ticket.expose().expose_secret(), join_string().ticket.expose().expose_secret());
}

#[test]
fn a_ticket_is_forgotten_once_the_machine_is_a_host() {
    let (_parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    let joined = joining().joined(&reply(), Timestamp::from_millis(2_000));
    assert_eq!(joined.host_id(), Some(reply().host_id));
    state.store_identity(&joining()).unwrap();
    state.store_identity(&joined).unwrap();
    let text = fs::read_to_string(path.join("identity.json")).unwrap();
    assert!(!text.contains("mss_"), "{text}");
    let revoked = joined.clone().revoked("retired".into(), Timestamp::from_millis(3_000));
    assert_eq!(revoked.host_id(), None);
    assert!(matches!(revoked.membership, Membership::Revoked { .. }));
    let elsewhere = JoinString { urls: vec!["https://new.example/".parse().unwrap()], ..join_string() };
    let moved = joined.moved(&elsewhere);
    assert_eq!((moved.urls.clone(), moved.host_id()), (elsewhere.urls, Some(reply().host_id)));
}

#[test]
fn b22_nothing_but_private_files_in_a_private_folder() {
    let (_parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    fill(&state);
    state.probe_writable().unwrap();
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o700);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o7777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["config.json", "generation.json", "identity.json", "key.pk8", "lock", "uid-random"]);
    assert!(!format!("{:?}{:?}", state.config(), state.identity()).contains(CANARY));
}

#[test]
fn forgetting_leaves_no_credential() {
    let (_parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    fill(&state);
    state.forget_credentials().unwrap();
    assert!(state.host_key().unwrap().is_none());
    assert!(state.config().unwrap().is_none());
    assert!(state.identity().unwrap().is_some());
    state.forget_everything().unwrap();
    assert!(state.identity().unwrap().is_none());
    assert!(state.uid_random().unwrap().is_some());
}

#[test]
fn c10_a_second_agent_is_refused_and_a_reader_is_not() {
    let (_parent, path) = folder();
    let first = StateDir::open(&path).unwrap();
    let refused = StateDir::open(&path).unwrap_err();
    assert!(matches!(refused, StateError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("another muster-agent uses the state folder"));
    assert!(StateView::open(&path).unwrap().is_some());
    drop(first);
    StateDir::open(&path).unwrap();
}

#[test]
fn folders_of_others_or_open_to_others_are_refused() {
    let (parent, path) = folder();
    drop(StateDir::open(&path).unwrap());
    fs::set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
    let refused = StateDir::open(&path).unwrap_err().to_string();
    assert!(refused.contains("mode 0750") && refused.contains("chmod 0700"), "{refused}");
    let file = parent.path().join("file");
    fs::write(&file, "x").unwrap();
    assert!(matches!(StateDir::open(&file).unwrap_err(), StateError::NotAFolder { .. }));
    if rustix::process::geteuid().is_root() {
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
        assert!(matches!(StateDir::open(&path).unwrap_err(), StateError::ForeignOwner { owner: 65_534, .. }));
    }
}

fn check_damaged(name: &str, content: &[u8], read: impl Fn(&StateDir) -> Option<StateError>) {
    let (_parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    state.write(name, content).unwrap();
    let error = read(&state).unwrap_or_else(|| panic!("{name} must be refused"));
    assert!(matches!(error, StateError::Damaged { .. }), "{error:?}");
    let words = error.to_string();
    assert!(words.contains(name) && words.contains("muster-agent reset"), "{words}");
    assert!(!words.contains(CANARY) && !format!("{error:?}").contains(CANARY), "{error:?}");
    assert_eq!(fs::read(path.join(name)).unwrap(), content, "a damaged file is left alone");
}

#[test]
fn c16_damaged_files_are_named_not_replaced_and_not_quoted() {
    let identity = |state: &StateDir| state.identity().err();
    check_damaged("identity.json", b"{\"urls\": [\"https://x", identity);
    check_damaged("identity.json", format!("{{\"urls\": \"{CANARY}\"}}").as_bytes(), identity);
    check_damaged("identity.json", format!("{{\"{CANARY}\": 1}}").as_bytes(), identity);
    check_damaged("config.json", format!("{{\"version\": \"{CANARY}\"}}").as_bytes(), |state| {
        state.config().err()
    });
    check_damaged("generation.json", b"{\"generation\":\"a\",\"extra\":1}", |state| state.generation().err());
    check_damaged("attempts.json", b"[]", |state| state.attempts().err());
    check_damaged("uid-random", &[1; 31], |state| state.uid_random().err());
    check_damaged("key.pk8", b"", |state| state.host_key().err());
    let too_large = vec![b' '; 5 << 20];
    check_damaged("config.json", &too_large, |state| state.config().err());
    assert_eq!(Damage::At { line: 2, column: 7 }.to_string(), "line 2, column 7");
}

#[test]
fn a_link_in_place_of_a_file_is_not_followed() {
    let (parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    let target = parent.path().join("target");
    fs::write(&target, "{\"generation\":\"a\"}").unwrap();
    symlink(&target, path.join("generation.json")).unwrap();
    assert!(matches!(state.generation().unwrap_err(), StateError::Unreadable { .. }));
    state.store_generation("b", own()).unwrap();
    assert_eq!(fs::read_to_string(&target).unwrap(), "{\"generation\":\"a\"}");
    assert_eq!(state.generation().unwrap().as_deref(), Some("b"));
}

#[test]
fn c16_a_crash_between_write_and_rename_leaves_the_former_content() {
    let (_parent, path) = folder();
    let state = StateDir::open(&path).unwrap();
    state.store_generation("former", own()).unwrap();
    drop(state);
    fs::write(path.join(".generation.json.new"), format!("{{\"generation\":\"{CANARY}")).unwrap();
    fs::write(path.join(".probe"), [0; 9]).unwrap();
    let state = StateDir::open(&path).unwrap();
    assert_eq!(state.generation().unwrap().as_deref(), Some("former"));
    assert!(!path.join(".generation.json.new").exists() && !path.join(".probe").exists());
}

/// Runs one ignored test of this binary as a process of its own, below `before` (a prefix of the command line).
fn helper(name: &str, folder: &Path, before: &[&str]) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut line: Vec<&std::ffi::OsStr> = before.iter().map(std::ffi::OsStr::new).collect();
    line.push(program.as_os_str());
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).args(["--exact", &format!("state::tests::{name}"), "--ignored", "--nocapture"]);
    command.env(HELPER_FOLDER, folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn helper_folder() -> PathBuf {
    std::env::var_os(HELPER_FOLDER).expect("run by another test").into()
}

#[test]
fn c16_kill_at_any_moment_leaves_a_whole_file() {
    let (_parent, path) = folder();
    for round in 0..15_u64 {
        let mut writer = helper("helper_writes_generations", &path, &[]).spawn().unwrap();
        sleep(Duration::from_millis(30 + round * 7));
        writer.kill().unwrap();
        writer.wait().unwrap();
        StateDir::open(&path).unwrap().generation().unwrap();
    }
    assert!(StateDir::open(&path).unwrap().generation().unwrap().is_some(), "the writer wrote");
}

#[test]
#[ignore = "a process that another test starts and kills"]
fn helper_writes_generations() {
    let state = StateDir::open(&helper_folder()).unwrap();
    for n in 0_u64.. {
        state.store_generation(&format!("{n} {}", "x".repeat(20_000)), own()).unwrap();
    }
}

/// Runs a helper with a file system of its own at `folder`; `None` where this user may not mount.
fn in_mount(script: &str, name: &str, folder: &Path) {
    for namespace in ["-m", "-rm"] {
        let script = format!(
            "set -e; mount -t tmpfs -o size=160k none \"$MUSTER_TEST_STATE_FOLDER\"; {script}; exec \"$@\""
        );
        let output =
            helper(name, folder, &["unshare", namespace, "sh", "-c", &script, "sh"]).output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            assert!(printed.contains("1 passed"), "{printed}");
            return;
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("unshare:") || said.contains("mount:"), "{said}{printed}");
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "no file system can be mounted here: nothing may be skipped in CI"
    );
    eprintln!("SKIPPED: this user may not mount a file system of its own");
}

#[test]
fn c16_a_full_disk_is_told_before_anything_is_sent() {
    let folder = TempDir::new().unwrap();
    in_mount(":", "helper_full_disk", folder.path());
}

#[test]
#[ignore = "a process that another test starts"]
fn helper_full_disk() {
    let folder = helper_folder();
    let state = StateDir::open(&folder.join("state")).unwrap();
    state.probe_writable().unwrap();
    state.store_generation("former", own()).unwrap();
    let ballast = folder.join("ballast");
    let _ = fs::write(&ballast, vec![1; 200 << 10]);
    let told = state.probe_writable().unwrap_err().to_string();
    let expected = format!(
        "the state folder {} cannot be written (no space left on device): nothing was sent, free space and run the \
         same command again",
        folder.join("state").display()
    );
    assert_eq!(told, expected);
    let told = state.store_generation(&"x".repeat(8_000), own()).unwrap_err().to_string();
    assert!(told.contains("generation.json could not be stored (no space left on device)"), "{told}");
    assert_eq!(state.generation().unwrap().as_deref(), Some("former"));
    fs::remove_file(&ballast).unwrap();
    state.probe_writable().unwrap();
    state.store_generation("later", own()).unwrap();
    assert_eq!(fs::read_dir(folder.join("state")).unwrap().count(), 2, "lock and generation");
}

#[test]
fn c16_a_read_only_file_system_is_told_before_anything_is_sent() {
    let folder = TempDir::new().unwrap();
    let script =
        "mkdir -m 700 \"$MUSTER_TEST_STATE_FOLDER/state\"; mount -o remount,ro \"$MUSTER_TEST_STATE_FOLDER\"";
    in_mount(script, "helper_read_only", folder.path());
}

#[test]
#[ignore = "a process that another test starts"]
fn helper_read_only() {
    for name in ["state", "not-yet-made"] {
        let told = StateDir::open(&helper_folder().join(name)).unwrap_err().to_string();
        assert!(
            told.contains("cannot be written (read-only file system): nothing was sent, remount it"),
            "{told}"
        );
    }
}
