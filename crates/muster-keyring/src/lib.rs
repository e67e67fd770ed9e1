//! The server's keys: everything is derived from one master key that never lies in the database (DESIGN §3,
//! §6).
//!
//! Randomness and time come in as values; the one exception is making the master key itself. No derived key
//! is ever printed, returned or compared in variable time: a MAC leaves this crate as bytes to store or
//! enters it to be judged.
//!
//! To add a use, add a label to [`Keyring::derive`] and a module with its own methods on [`Keyring`]: one
//! key, one use.

mod audit;
mod backup;
mod bearer;
mod blob;
mod cursor;
mod framed;
mod generation;
mod keyring;
mod mac;
mod master;
mod nonce;
mod people;
mod seal;

pub use audit::AuditEnd;
pub use cursor::MAX_CURSOR_CHARS;
pub use keyring::Keyring;
pub use master::{MASTER_KEY_LEN, MasterKey, MasterKeyError};
pub use nonce::NONCE_BUCKET;
pub use seal::{KeyId, NONCE_LEN, OwnerKind, SealContext, SealError, TeamKey};
