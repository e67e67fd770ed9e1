use std::io;
use std::path::PathBuf;

use rustix::io::Errno;

/// Why the state folder could not be used; every text says what to do next.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// Nothing can be written, found out before anything was sent.
    #[error("the state folder {} cannot be written ({}): nothing was sent, {} and run the same command again",
        folder.display(), in_words(cause), remedy(cause))]
    Unwritable {
        /// The folder.
        folder: PathBuf,
        /// What the operating system answered.
        cause: io::Error,
    },
    /// A file could not be stored; the former one is untouched.
    #[error("{} could not be stored ({}): the former content is untouched, {} and try again",
        file.display(), in_words(cause), remedy(cause))]
    NotStored {
        /// The file.
        file: PathBuf,
        /// What the operating system answered.
        cause: io::Error,
    },
    /// A file could not be read.
    #[error("{} could not be read ({}): run the agent as the user that owns it", file.display(), in_words(cause))]
    Unreadable {
        /// The file or folder.
        file: PathBuf,
        /// What the operating system answered.
        cause: io::Error,
    },
    /// A file holds something else than it should.
    #[error("the state file {} is damaged ({damage}): restore it from a copy, or run `muster-agent reset` and join again \
        with a new ticket", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// Where it stops making sense; never its content.
        damage: Damage,
    },
    /// Another agent holds the folder.
    #[error("another muster-agent uses the state folder {}: stop it, or give this one a folder of its own", folder.display())]
    InUse {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder is another user's.
    #[error("the state folder {} belongs to user id {owner}: run the agent as that user, or give it a folder of its own",
        folder.display())]
    ForeignOwner {
        /// The folder.
        folder: PathBuf,
        /// Who owns it.
        owner: u32,
    },
    /// Others may enter the folder.
    #[error("the state folder {} is open to other users (mode {mode:04o}): run `chmod 0700 {}` after you made sure that \
        nobody read it", folder.display(), folder.display())]
    OpenToOthers {
        /// The folder.
        folder: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The path names a file.
    #[error("{} is not a folder: give the agent a state folder", folder.display())]
    NotAFolder {
        /// The path.
        folder: PathBuf,
    },
}

/// Where a file stops making sense. Holds no content: the file may be secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
    /// It is empty.
    #[error("it is empty")]
    Empty,
    /// It is larger than any such file can be.
    #[error("it is too large")]
    TooLarge,
    /// It has the wrong length.
    #[error("it has the wrong length")]
    Length,
    /// It does not parse.
    #[error("line {line}, column {column}")]
    At {
        /// The line, from 1.
        line: usize,
        /// The column, from 0.
        column: usize,
    },
}

fn in_words(cause: &io::Error) -> String {
    match cause.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC) => "no space left on device".to_owned(),
        Some(Errno::ROFS) => "read-only file system".to_owned(),
        Some(Errno::DQUOT) => "disk quota exceeded".to_owned(),
        Some(Errno::ACCESS | Errno::PERM) => "permission denied".to_owned(),
        Some(Errno::IO) => "input/output error".to_owned(),
        Some(_) => cause.to_string().to_lowercase(),
        None => cause.kind().to_string(),
    }
}

fn remedy(cause: &io::Error) -> &'static str {
    match cause.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOSPC | Errno::DQUOT) => "free space",
        Some(Errno::ROFS) => "remount it for writing",
        Some(Errno::ACCESS | Errno::PERM) => "use the user that owns it",
        _ => "check the disk",
    }
}
