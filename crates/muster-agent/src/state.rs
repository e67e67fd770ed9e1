//! The state folder: host key, identity, generation, configuration and what is known of job attempts.
//!
//! One agent at a time holds it. Files are 0600 in a folder of 0700, replaced whole and on disk before a call returns;
//! a file that does not parse is an error that names it, never a reason to begin anew. To keep one more thing, add a
//! file name and a pair of methods to `records.rs`.

mod error;
mod folder;
mod identity;
mod records;
#[cfg(test)]
mod tests;

pub use error::{Damage, StateError};
pub use folder::{StateDir, StateView};
pub use identity::{Admitted, CopyOf, IdentityState, Membership, Waiting};
pub(crate) use records::AttemptsRecord;
pub use records::LastChannel;
