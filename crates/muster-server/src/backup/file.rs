//! Files that are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use muster_edge::Entropy;
use rustix::fs::{CWD, RenameFlags, renameat_with};

/// The ending of files that are not done yet.
pub(super) const PARTIAL: &str = ".partial";

/// A file on its way to its name, for its owner alone; gone when it is dropped before it arrived.
pub(super) struct Partial {
    pub(super) file: File,
    path: PathBuf,
    to: PathBuf,
    arrived: bool,
}

impl Partial {
    /// Makes a file beside `to`.
    pub(super) fn beside(to: &Path, entropy: &Entropy) -> io::Result<Self> {
        let name = to.file_name().ok_or_else(|| io::Error::other("this names no file"))?;
        let name = format!(".{}.{}{PARTIAL}", name.to_string_lossy(), entropy.public_id());
        let path = folder_of(to).join(name);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self { file, path, to: to.to_owned(), arrived: false })
    }

    /// Gives the file its name once it is on disk. Without `replace`, one that is there stays.
    pub(super) fn arrive(mut self, replace: bool) -> io::Result<()> {
        self.file.sync_all()?;
        if replace {
            fs::rename(&self.path, &self.to)?;
        } else {
            renameat_with(CWD, &self.path, CWD, &self.to, RenameFlags::NOREPLACE)?;
        }
        self.arrived = true;
        sync_folder(folder_of(&self.to))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.arrived {
            // It may be gone already, and an error is on its way.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Writes a small file; without `replace` it must not be there.
pub(super) fn write(to: &Path, content: &[u8], replace: bool, entropy: &Entropy) -> io::Result<()> {
    let mut partial = Partial::beside(to, entropy)?;
    io::Write::write_all(&mut partial.file, content)?;
    partial.arrive(replace)
}

/// Removes a file for good.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => sync_folder(folder_of(path)),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_arrives_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("kept");
        let names = || fs::read_dir(folder.path()).unwrap().count();
        drop(Partial::beside(&to, &Entropy).unwrap());
        assert_eq!(names(), 0);
        write(&to, b"one", false, &Entropy).unwrap();
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o777, 0o600);
        assert_eq!(write(&to, b"two", false, &Entropy).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&to).unwrap(), names()), (b"one".to_vec(), 1));
        let mut other = Partial::beside(&to, &Entropy).unwrap();
        other.file.write_all(b"three").unwrap();
        other.arrive(true).unwrap();
        assert_eq!((fs::read(&to).unwrap(), names()), (b"three".to_vec(), 1));
        remove(&to).unwrap();
        remove(&to).unwrap();
        assert_eq!(names(), 0);
    }
}
