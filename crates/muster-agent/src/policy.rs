//! The machine's own policy: which kinds of jobs its owner lets the server run here (DESIGN §7).
//!
//! Read at each job. A file that is wrong in any way allows nothing: its owner meant to limit something. To add a
//! kind, add it to [`JobKind`].

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use muster_wire::bounds::Few;
use muster_wire::text::Tag;
use serde::Deserialize;

/// Where the policy lies.
pub const DEFAULT_PATH: &str = "/etc/muster/policy.toml";
const MAX_BYTES: u64 = 64 * 1024;
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// Declares the kinds of jobs with their words.
macro_rules! job_kinds {
    ($($(#[$doc:meta])* $kind:ident = $word:literal;)+) => {
        /// A kind of job a policy may allow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
        pub enum JobKind {$(
            $(#[$doc])*
            #[serde(rename = $word)]
            $kind,
        )+}

        impl JobKind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            /// The word in the policy and on the wire.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $word,)+
                }
            }
        }
    };
}

job_kinds! {
    /// Saves paths to the host's repository.
    Backup = "backup";
    /// Lists snapshots.
    Snapshots = "snapshots";
    /// Lists the files of a snapshot.
    Browse = "browse";
    /// Checks the repository.
    Check = "check";
    /// Restores below the restore folder.
    Restore = "restore";
    /// Restores anywhere.
    RestoreElsewhere = "restore_elsewhere";
    /// Runs a command.
    Command = "command";
    /// Forgets snapshots.
    Forget = "forget";
    /// Removes unused data from the repository.
    Prune = "prune";
    /// Removes locks of others.
    Unlock = "unlock";
    /// Opens a terminal.
    Terminal = "terminal";
    /// Copies files.
    Copy = "copy";
    /// Forwards connections.
    Forward = "forward";
}

const ALLOWED_BY_DEFAULT: [JobKind; 5] =
    [JobKind::Backup, JobKind::Snapshots, JobKind::Browse, JobKind::Check, JobKind::Restore];

/// What the machine's owner allows, as the file says now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    path: PathBuf,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Allow(BTreeSet<JobKind>),
    Broken(Flaw),
}

/// Why a job is refused; its text is meant for the operator and says what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The policy does not name the kind.
    #[error("this machine's policy does not allow `{kind}`: write `{line}` below `[jobs]` in {}", path.display())]
    NotAllowed {
        /// The kind.
        kind: &'static str,
        /// The line that would allow it.
        line: String,
        /// The file.
        path: PathBuf,
    },
    /// No such kind is known here.
    #[error("this agent does not know this kind of job: upgrade muster-agent")]
    UnknownKind,
    /// The policy cannot be relied on.
    #[error("this machine's policy allows no job: {} {flaw}", path.display())]
    Broken {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        flaw: Flaw,
    },
}

/// What is wrong with a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// It could not be read.
    #[error("cannot be read ({0})")]
    Unreadable(io::ErrorKind),
    /// It is a folder or a device.
    #[error("is not a file")]
    NotAFile,
    /// It is too large to be one.
    #[error("is too large")]
    TooLarge,
    /// Another user owns it.
    #[error("belongs to user id {0}: run `chown root` on it")]
    ForeignOwner(u32),
    /// Other users may write it.
    #[error("can be written by other users (mode {0:04o}): run `chmod 0644` on it")]
    WritableByOthers(u32),
    /// It is not a policy.
    #[error(
        "is not a policy (line {line}): it holds `[jobs]` and `allow = [...]` with known kinds, nothing else"
    )]
    Malformed {
        /// The line, from 1.
        line: usize,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    jobs: Jobs,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jobs {
    allow: BTreeSet<JobKind>,
}

impl Policy {
    /// Reads the policy at `path`; without a file the default holds, a broken file allows nothing.
    pub fn read(path: &Path) -> Self {
        let rule = match File::open(path) {
            Ok(file) => parse(&file).map_or_else(Rule::Broken, Rule::Allow),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Rule::Allow(ALLOWED_BY_DEFAULT.into()),
            Err(cause) => Rule::Broken(Flaw::Unreadable(cause.kind())),
        };
        Self { path: path.to_owned(), rule }
    }

    /// Judges a kind of job by its word.
    pub fn judge(&self, kind: &str) -> Result<(), Denied> {
        let allowed = match &self.rule {
            Rule::Allow(allowed) => allowed,
            Rule::Broken(flaw) => return Err(Denied::Broken { path: self.path.clone(), flaw: flaw.clone() }),
        };
        let kind =
            JobKind::ALL.iter().copied().find(|known| known.as_str() == kind).ok_or(Denied::UnknownKind)?;
        if allowed.contains(&kind) {
            return Ok(());
        }
        let wider: BTreeSet<JobKind> = allowed.iter().copied().chain([kind]).collect();
        Err(Denied::NotAllowed { kind: kind.as_str(), line: allow_line(&wider), path: self.path.clone() })
    }

    /// Returns the allowed kinds, to report.
    pub fn summary(&self) -> Few<Tag, 32> {
        match &self.rule {
            Rule::Allow(allowed) => {
                allowed.iter().filter_map(|kind| Tag::parse(kind.as_str()).ok()).collect()
            }
            Rule::Broken(_) => Few::default(),
        }
    }
}

fn parse(file: &File) -> Result<BTreeSet<JobKind>, Flaw> {
    let unreadable = |cause: io::Error| Flaw::Unreadable(cause.kind());
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Flaw::NotAFile);
    }
    if metadata.uid() != 0 && metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(Flaw::ForeignOwner(metadata.uid()));
    }
    if metadata.mode() & WRITABLE_BY_OTHERS != 0 {
        return Err(Flaw::WritableByOthers(metadata.mode() & 0o7777));
    }
    if metadata.len() > MAX_BYTES {
        return Err(Flaw::TooLarge);
    }
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).map_err(unreadable)?;
    let policy: PolicyFile =
        toml::from_str(&text).map_err(|cause| Flaw::Malformed { line: line_of(&text, &cause) })?;
    Ok(policy.jobs.allow)
}

fn line_of(text: &str, cause: &toml::de::Error) -> usize {
    let at = cause.span().map_or(0, |span| span.start.min(text.len()));
    1 + text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count()
}

fn allow_line(kinds: &BTreeSet<JobKind>) -> String {
    let words: Vec<String> = kinds.iter().map(|kind| format!("\"{}\"", kind.as_str())).collect();
    format!("allow = [{}]", words.join(", "))
}
