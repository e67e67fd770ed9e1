//! Orders certificates from an ACME directory (RFC 8555), proving names by `tls-alpn-01` (RFC 8737).
//!
//! Knows nothing of listeners, files and clocks: whoever orders says what the directory sees at the listener, keeps what is
//! to be kept, and decides when to try again ([`Directory::retry_after`]). What a directory says is a stranger's text: no error of
//! this crate holds any of it before it was made one short line.

mod account;
mod error;
mod http;
mod order;

pub use account::{Account, Credentials, Directory};
pub use error::AcmeError;
pub use order::{KeyAndRequest, Proof};

pub use muster_outbound::Allowed;

/// The directory of Let's Encrypt.
pub const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";
