//! The lock beside the file: one server at a time.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::connection::make_file;
use crate::StoreError;

/// Holds the lock; the end of the process lets go of it, too.
pub(super) struct Alone(#[expect(dead_code, reason = "the lock goes with the open file")] File);

impl Alone {
    /// Takes the lock of a database file, which is made when it is absent.
    pub(super) fn take(file: &Path) -> Result<Self, StoreError> {
        make_file(file)?;
        let refused = |error| StoreError::database("lock the database file", error);
        let path = lock_file(file).map_err(refused)?;
        let mut options = OpenOptions::new();
        let lock =
            options.create(true).truncate(false).write(true).mode(0o600).open(path).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self(lock)),
            Err(TryLockError::WouldBlock) => Err(StoreError::Occupied),
            Err(TryLockError::Error(error)) => Err(refused(error)),
        }
    }
}

/// Returns `<file>.lock` beside the file itself, whatever links lead to it.
fn lock_file(file: &Path) -> std::io::Result<PathBuf> {
    let mut name: OsString = fs::canonicalize(file)?.into_os_string();
    name.push(".lock");
    Ok(PathBuf::from(name))
}
