use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::ops::Deref;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use zeroize::Zeroizing;

use super::error::{Damage, StateError};

const LOCK: &str = "lock";
const PROBE: &str = ".probe";
const TEMPORARY: &str = ".new";
/// More than a join writes, so that a probe that fits promises that a join fits.
const PROBE_BYTES: usize = 64 * 1024;
const MAX_FILE_BYTES: u64 = 4 * 1024 * 1024;
const FOLDER_MODE: u32 = 0o700;
const OTHERS: u32 = 0o077;

/// The state folder as anyone with the right to read sees it, without holding it.
#[derive(Debug)]
pub struct StateView {
    pub(super) path: PathBuf,
    folder: OwnedFd,
}

/// The state folder, held by this process alone; writes are atomic and on disk when they return.
#[derive(Debug)]
pub struct StateDir {
    view: StateView,
    _lock: OwnedFd,
}

impl Deref for StateDir {
    type Target = StateView;
    fn deref(&self) -> &StateView {
        &self.view
    }
}

impl StateView {
    /// Opens an existing state folder to read it; `None` when there is none.
    pub fn open(path: &Path) -> Result<Option<Self>, StateError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, flags, Mode::empty()) {
            Ok(folder) => {
                let view = Self { path: path.to_owned(), folder };
                view.refuse_others()?;
                Ok(Some(view))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::NOTDIR) => Err(StateError::NotAFolder { folder: path.to_owned() }),
            Err(cause) => Err(StateError::Unreadable { file: path.to_owned(), cause: cause.into() }),
        }
    }

    /// Returns the path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn refuse_others(&self) -> Result<(), StateError> {
        let stat = rustix::fs::fstat(&self.folder)
            .map_err(|cause| StateError::Unreadable { file: self.path.clone(), cause: cause.into() })?;
        if stat.st_uid != rustix::process::geteuid().as_raw() {
            return Err(StateError::ForeignOwner { folder: self.path.clone(), owner: stat.st_uid });
        }
        let mode = stat.st_mode & 0o7777;
        if mode & OTHERS != 0 {
            return Err(StateError::OpenToOthers { folder: self.path.clone(), mode });
        }
        Ok(())
    }

    /// Reads a whole file; `None` when there is none.
    pub(super) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let unreadable = |cause: io::Error| StateError::Unreadable { file: self.path.join(name), cause };
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.folder, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(cause) => return Err(unreadable(cause.into())),
        };
        let length = file.metadata().map_err(unreadable)?.len();
        let damaged = |damage| StateError::Damaged { file: self.path.join(name), damage };
        if length > MAX_FILE_BYTES {
            return Err(damaged(Damage::TooLarge));
        }
        // Room for all of it at once: a buffer that grows leaves copies of secrets behind.
        let mut content = Zeroizing::new(Vec::with_capacity(length as usize + 1));
        file.take(MAX_FILE_BYTES).read_to_end(&mut content).map_err(unreadable)?;
        if content.is_empty() { Err(damaged(Damage::Empty)) } else { Ok(Some(content)) }
    }
}

impl StateDir {
    /// Opens the state folder, made if missing, and holds it until dropped.
    ///
    /// Refuses a folder that others own, may enter, or hold.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let unwritable = |cause| StateError::Unwritable { folder: path.to_owned(), cause };
        make_folder(path).map_err(unwritable)?;
        let view = StateView::open(path)?.ok_or_else(|| unwritable(io::ErrorKind::NotFound.into()))?;
        let lock = rustix::fs::openat(&view.folder, LOCK, writing(), owner_only())
            .map_err(|cause| unwritable(cause.into()))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(StateError::InUse { folder: path.to_owned() }),
            Err(cause) => return Err(unwritable(cause.into())),
        }
        let state = Self { view, _lock: lock };
        state.clear_leftovers().map_err(unwritable)?;
        Ok(state)
    }

    /// Writes, syncs and removes a probe: to be called before a ticket is presented, so that none is spent in vain.
    pub fn probe_writable(&self) -> Result<(), StateError> {
        self.probe().map_err(|cause| StateError::Unwritable { folder: self.path.clone(), cause })
    }

    fn probe(&self) -> io::Result<()> {
        let written = self.write_synced(PROBE, &[0; PROBE_BYTES]);
        let removed = self.unlink(PROBE);
        written?;
        removed?;
        self.sync_folder()
    }

    /// Replaces a file: afterwards either the new or the former content is there, whatever happens.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<(), StateError> {
        let temporary = format!(".{name}{TEMPORARY}");
        self.replace(&temporary, name, content).map_err(|cause| {
            // The write failed already; a temporary file that cannot be removed goes at the next start.
            let _ = self.unlink(&temporary);
            StateError::NotStored { file: self.path.join(name), cause }
        })
    }

    fn replace(&self, temporary: &str, name: &str, content: &[u8]) -> io::Result<()> {
        self.write_synced(temporary, content)?;
        rustix::fs::renameat(&self.folder, temporary, &self.folder, name)?;
        self.sync_folder()
    }

    /// Gives a file the name of another one, which it replaces.
    pub(super) fn rename(&self, from: &str, to: &str) -> Result<(), StateError> {
        let renamed = rustix::fs::renameat(&self.folder, from, &self.folder, to).map_err(io::Error::from);
        renamed
            .and_then(|()| self.sync_folder())
            .map_err(|cause| StateError::NotStored { file: self.path.join(to), cause })
    }

    fn write_synced(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let mut file =
            File::from(rustix::fs::openat(&self.folder, name, writing() | OFlags::TRUNC, owner_only())?);
        file.write_all(content)?;
        file.sync_all()
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, name: &str) -> Result<(), StateError> {
        self.unlink(name)
            .and_then(|()| self.sync_folder())
            .map_err(|cause| StateError::NotStored { file: self.path.join(name), cause })
    }

    fn unlink(&self, name: impl rustix::path::Arg) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(cause) => Err(cause.into()),
        }
    }

    fn sync_folder(&self) -> io::Result<()> {
        Ok(rustix::fs::fsync(&self.folder)?)
    }

    /// Removes what a crash between write and rename left behind.
    fn clear_leftovers(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            if is_leftover(&name) {
                self.unlink(&name)?;
            }
        }
        Ok(())
    }
}

fn is_leftover(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    name == PROBE || (name.starts_with('.') && name.ends_with(TEMPORARY))
}

fn make_folder(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(FOLDER_MODE).create(path) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => Err(cause),
        _ => Ok(()),
    }
}

fn writing() -> OFlags {
    OFlags::WRONLY | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn owner_only() -> Mode {
    Mode::RUSR | Mode::WUSR
}
