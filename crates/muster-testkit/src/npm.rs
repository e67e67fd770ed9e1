//! Packages of npm, pinned by a lock file under `npm/`, installed once beside the programs that cargo built.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{FlockOperation, flock};

use crate::binaries;

/// The lock file: as long as the installed one is the same, nothing is fetched.
const LOCK: &str = "package-lock.json";

/// Returns the folder in which the packages and the scripts of `npm/<name>` are.
///
/// # Panics
/// When npm is missing or cannot install: a test must not pass because it was skipped.
pub fn installed(name: &str) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("npm").join(name);
    let folder = beside_programs().join("npm").join(name);
    fs::create_dir_all(&folder).expect("make the folder of npm packages");
    let lock = File::create(folder.join(".lock")).expect("make the lock of npm packages");
    // Other test programs wait until the packages are there.
    flock(&lock, FlockOperation::LockExclusive).expect("lock the npm packages");
    if !is_same(&source.join(LOCK), &folder.join("installed.json")) {
        install(&source, &folder);
    }
    for file in fs::read_dir(&source).expect("read the npm scripts").flatten() {
        let copy = folder.join(file.file_name());
        if file.path().extension().is_some_and(|kind| kind == "mjs") && !is_same(&file.path(), &copy) {
            fs::copy(file.path(), copy).expect("copy an npm script");
        }
    }
    folder
}

fn install(source: &Path, folder: &Path) {
    for file in ["package.json", LOCK] {
        fs::copy(source.join(file), folder.join(file)).expect("copy the list of npm packages");
    }
    let ended = Command::new(binaries::installed("npm"))
        .args(["ci", "--no-audit", "--no-fund", "--ignore-scripts"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .expect("start npm");
    assert!(
        ended.status.success(),
        "these tests need npm packages and npm cannot install them; does it reach its registry?\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
    fs::copy(source.join(LOCK), folder.join("installed.json")).expect("note what is installed");
}

fn is_same(one: &Path, other: &Path) -> bool {
    fs::read(one).is_ok_and(|one| fs::read(other).is_ok_and(|other| one == other))
}

/// Returns the folder of the programs cargo built: tests are in a folder of their own below it.
fn beside_programs() -> PathBuf {
    let own = env::current_exe().expect("a test knows its own program");
    let folder = own.parent().expect("a program is in a folder");
    if folder.ends_with("deps") { folder.parent().unwrap_or(folder) } else { folder }.to_owned()
}
