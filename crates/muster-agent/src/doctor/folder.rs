//! The state folder: whether the agent could work in it, found out without holding it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use muster_ids::Timestamp;
use serde::Serialize;

use super::Check;
use crate::state::{StateError, StateView};

const FOLDER: &str = "state folder";
const LOCK: &str = "lock";
/// Removed by the next start of an agent, should this process die at the wrong moment.
const PROBE: &str = ".doctor.new";
const PROBE_BYTES: usize = 64 * 1024;
const OTHERS: u32 = 0o077;
const MIB: u64 = 1 << 20;
/// Less than this holds no configuration of a usual size together with its successor.
const TOO_FEW: u64 = 8 * MIB;
const FEW: u64 = 64 * MIB;

/// A file of the state folder, by everything but its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateFile {
    /// Its name.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Its permission bits, in octal.
    pub mode: String,
    /// Who owns it.
    pub owner: u32,
    /// When it was last written.
    pub modified_at: Timestamp,
}

pub(super) fn opened(path: &Path, checks: &mut Vec<Check>) -> Option<StateView> {
    match StateView::open(path) {
        Ok(Some(view)) => Some(view),
        Ok(None) => {
            checks.push(Check::warn(
                FOLDER,
                path.display(),
                "there is none yet: `muster-agent join` makes it",
            ));
            None
        }
        Err(cause) => {
            checks.push(Check::fail(FOLDER, path.display(), cause));
            None
        }
    }
}

pub(super) fn checks(view: &StateView, root: &Path) -> Vec<Check> {
    let path = view.path();
    let holder = holder(path, root);
    let held = match holder {
        Some(pid) => format!("yours, mode 0700; a muster-agent uses it (process {pid})"),
        None => "yours, mode 0700; no muster-agent uses it now".to_owned(),
    };
    vec![Check::ok(FOLDER, path.display(), held), writing(path), space(path), files(view)]
}

fn writing(path: &Path) -> Check {
    const CHECK: &str = "writing";
    match probe(path) {
        Ok(()) => Check::ok(CHECK, path.display(), "written, synced and removed a file"),
        Err(cause) => {
            let cause = StateError::Unwritable { folder: path.to_owned(), cause };
            Check::fail(CHECK, path.display(), cause)
        }
    }
}

fn probe(path: &Path) -> io::Result<()> {
    let file = path.join(PROBE);
    let written =
        File::options().write(true).create_new(true).mode(0o600).open(&file).and_then(|mut probe| {
            probe.write_all(&[0; PROBE_BYTES])?;
            probe.sync_all()
        });
    if matches!(&written, Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists) {
        return Ok(());
    }
    let removed = match fs::remove_file(&file) {
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    };
    written.and(removed)
}

fn space(path: &Path) -> Check {
    const CHECK: &str = "disk space";
    let free = match rustix::fs::statvfs(path) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(cause) => return Check::fail(CHECK, path.display(), format!("cannot be told: {cause}")),
    };
    let said = format!("{} MiB are free", free / MIB);
    match free {
        ..TOO_FEW => Check::fail(CHECK, path.display(), format!("{said}: free some, nothing can be stored")),
        TOO_FEW..FEW => Check::warn(CHECK, path.display(), format!("{said}: free some soon")),
        _ => Check::ok(CHECK, path.display(), said),
    }
}

fn files(view: &StateView) -> Check {
    const CHECK: &str = "state files";
    let about = view.path().display();
    let read = [
        view.identity().map(drop),
        view.host_key().map(drop),
        view.next_key().map(drop),
        view.fork_key().map(drop),
        view.generation().map(drop),
        view.config().map(drop),
        view.attempts().map(drop),
        view.last_channel().map(drop),
        view.uid_random().map(drop),
    ];
    if let Some(cause) = read.into_iter().find_map(Result::err) {
        return Check::fail(CHECK, about, cause);
    }
    let files = state_files(view.path());
    let open =
        files.iter().find(|file| u32::from_str_radix(&file.mode, 8).is_ok_and(|mode| mode & OTHERS != 0));
    match open {
        Some(file) => Check::warn(
            CHECK,
            about,
            format!("{} is open to other users (mode {}): run `chmod 0600` on it", file.name, file.mode),
        ),
        None => Check::ok(CHECK, about, format!("{} files, readable, whole and private", files.len())),
    }
}

/// Lists the files of the state folder, without their contents.
pub fn state_files(path: &Path) -> Vec<StateFile> {
    let Ok(entries) = fs::read_dir(path) else { return Vec::new() };
    let described = entries.flatten().filter_map(|entry| {
        let found = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some(StateFile {
            name: crate::visible::line::<64>(&entry.file_name().to_string_lossy())?.to_string(),
            bytes: found.len(),
            mode: format!("{:04o}", found.mode() & 0o7777),
            owner: found.uid(),
            modified_at: Timestamp::from_millis(found.mtime().saturating_mul(1000)),
        })
    });
    let mut files: Vec<StateFile> = described.collect();
    files.sort_by(|one, other| one.name.cmp(&other.name));
    files
}

/// Returns the process that holds the folder, as the kernel lists it: trying the lock would keep an agent out that
/// starts at this moment.
fn holder(path: &Path, root: &Path) -> Option<u32> {
    let lock = fs::metadata(path.join(LOCK)).ok()?;
    let (major, minor) = (rustix::fs::major(lock.dev()), rustix::fs::minor(lock.dev()));
    let place = format!("{major:02x}:{minor:02x}:{}", lock.ino());
    let locks = fs::read_to_string(root.join("proc/locks")).ok()?;
    // `1: FLOCK  ADVISORY  WRITE 4711 08:01:1234 0 EOF`, see proc_locks(5).
    locks.lines().find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place.as_str());
        if is_it { words.get(4)?.parse().ok() } else { None }
    })
}
