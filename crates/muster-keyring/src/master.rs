//! The master key: 32 random bytes in one file, or in one systemd credential.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use muster_edge::Entropy;
use zeroize::Zeroizing;

/// Length of the master key, and of its file, in bytes.
pub const MASTER_KEY_LEN: usize = 32;

const GROUP_AND_OTHERS: u32 = 0o077;
const OTHERS: u32 = 0o007;

/// Why there is no master key; every text says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeyError {
    /// The database was written with a key that is not here.
    #[error(
        "the master key file {} is missing, but the database already holds data; put the file back from your \
         copy of it, or start with an empty database",
        .0.display()
    )]
    MissingOverData(PathBuf),
    /// The credential does not exist; a credential is never made by the server.
    #[error("the master key credential {} is missing; set it with LoadCredential in the unit", .0.display())]
    MissingCredential(PathBuf),
    /// Others on the machine can read the key.
    #[error(
        "the master key file {} is open to other users (mode {mode:03o}); if nobody read it, run chmod 600",
        path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path names a folder, a device or a pipe.
    #[error("the master key {} is not a regular file; put the key file there", .0.display())]
    NotAFile(PathBuf),
    /// The content is no master key.
    #[error(
        "the master key file {} has {found} bytes instead of 32; put the file back from its backup, or delete it if \
         the database is still empty",
        path.display()
    )]
    WrongLength {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        found: u64,
    },
    /// The operating system refused.
    #[error("reading or writing the master key file {} failed", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// The key from which all others are derived; wiped on drop, never printed.
pub struct MasterKey(Zeroizing<[u8; MASTER_KEY_LEN]>);

impl MasterKey {
    /// Wraps the bytes, for a restore and for tests.
    pub fn from_bytes(bytes: [u8; MASTER_KEY_LEN]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes, which open everything the server holds.
    pub fn expose(&self) -> &[u8; MASTER_KEY_LEN] {
        &self.0
    }

    /// Loads the key file at `path`, or makes one (mode 0600, on disk before it is used) when the database is
    /// empty.
    ///
    /// A missing file over a database that holds data is an error: a new key could not open what the old one
    /// sealed.
    pub fn load_or_create(
        path: &Path,
        database_has_data: bool,
        entropy: &Entropy,
    ) -> Result<Self, MasterKeyError> {
        match File::open(path) {
            Ok(file) => Self::read(file, path, GROUP_AND_OTHERS),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path)(error)),
            Err(_) if database_has_data => Err(MasterKeyError::MissingOverData(path.to_owned())),
            Err(_) => Self::create(path, entropy),
        }
    }

    /// Loads the key file at `path`; never makes one.
    pub fn load(path: &Path) -> Result<Self, MasterKeyError> {
        let file = File::open(path).map_err(failed(path))?;
        Self::read(file, path, GROUP_AND_OTHERS)
    }

    /// Loads the key from a systemd credential; never makes one.
    ///
    /// The service manager grants its user access through an ACL, whose mask shows as group bits: only
    /// others' bits count.
    pub fn load_credential(path: &Path) -> Result<Self, MasterKeyError> {
        match File::open(path) {
            Ok(file) => Self::read(file, path, OTHERS),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(MasterKeyError::MissingCredential(path.to_owned()))
            }
            Err(error) => Err(failed(path)(error)),
        }
    }

    fn read(mut file: File, path: &Path, refused_bits: u32) -> Result<Self, MasterKeyError> {
        let metadata = file.metadata().map_err(failed(path))?;
        if !metadata.is_file() {
            return Err(MasterKeyError::NotAFile(path.to_owned()));
        }
        let mode = metadata.mode() & 0o777;
        if mode & refused_bits != 0 {
            return Err(MasterKeyError::Exposed { path: path.to_owned(), mode });
        }
        if metadata.len() != MASTER_KEY_LEN as u64 {
            return Err(MasterKeyError::WrongLength { path: path.to_owned(), found: metadata.len() });
        }
        let mut bytes = Zeroizing::new([0; MASTER_KEY_LEN]);
        file.read_exact(bytes.as_mut()).map_err(failed(path))?;
        Ok(Self(bytes))
    }

    fn create(path: &Path, entropy: &Entropy) -> Result<Self, MasterKeyError> {
        let key = Self::from_bytes(entropy.bytes());
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed(path))?;
        file.write_all(key.expose()).and_then(|()| file.sync_all()).map_err(failed(path))?;
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed(path))?;
        Ok(key)
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> MasterKeyError {
    let path = path.to_owned();
    move |source| MasterKeyError::Io { path, source }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}
