//! Programs of PyPI, at versions that are named: installed once under `target`, shared by every test.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use crate::binaries;

/// The file that says that an environment is whole.
const WHOLE: &str = "whole";

/// Returns an environment in which these packages are installed, each as `name==version`; makes it the first time.
///
/// # Panics
/// When it cannot be made: a test must not pass because it was skipped.
pub fn venv(packages: &[&str]) -> Venv {
    let is_pinned = |package: &&str| package.contains("==");
    assert!(!packages.is_empty() && packages.iter().all(is_pinned), "name a version of each of {packages:?}");
    let mut hasher = DefaultHasher::new();
    packages.hash(&mut hasher);
    let home = home();
    let folder = home.join(format!("{:016x}", hasher.finish()));
    let lock = File::create(folder.with_extension("lock")).expect("the folder of environments takes files");
    flock(&lock, FlockOperation::LockExclusive).expect("a file of ours can be locked");
    if !folder.join(WHOLE).is_file() {
        install(&folder, packages);
    }
    Venv(folder)
}

/// An environment of Python.
#[derive(Debug, Clone)]
pub struct Venv(PathBuf);

impl Venv {
    /// Returns one of its programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.0.join("bin").join(name)
    }

    /// Makes a command that runs one of its programs and dies with the test.
    pub fn command(&self, name: &str) -> Command {
        let mut command = binaries::command(&self.program(name));
        command.env_remove("PYTHONPATH").env_remove("PYTHONHOME").env("PYTHONUNBUFFERED", "1");
        command
    }
}

fn home() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"));
    let home = target.join("testkit/python");
    fs::create_dir_all(&home).expect("the target folder takes folders");
    home.canonicalize().expect("the folder was just made")
}

fn install(folder: &Path, packages: &[&str]) {
    // What an installation that was cut left behind is of no use.
    let _ = fs::remove_dir_all(folder);
    let python = binaries::installed("python3");
    run(Command::new(python).args(["-m", "venv"]).arg(folder), "make an environment of Python");
    let pip = folder.join("bin/pip");
    run(
        Command::new(pip)
            .args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--no-input",
                "--only-binary",
                ":all:",
            ])
            .args(packages),
        "install packages from PyPI, which these tests need",
    );
    fs::write(folder.join(WHOLE), packages.join("\n")).expect("the environment takes files");
}

fn run(command: &mut Command, doing: &str) {
    let ended = command.output().unwrap_or_else(|error| panic!("cannot {doing}: {error}"));
    assert!(ended.status.success(), "cannot {doing}: {}", String::from_utf8_lossy(&ended.stderr));
}
