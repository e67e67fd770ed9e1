//! The server's TLS identity: made at first start and pinned by its key, kept by the operator in files, or ordered.

mod challenge;
mod ordered;
mod own;
mod shown;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::CertifiedKey;
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, X509Certificate};

pub use challenge::{CHALLENGE_PROTOCOL, Challenges};
pub use ordered::{Ordered, read_private, write_private};
pub use own::{KEY_FILE, NEXT_KEY_FILE, OwnIdentity, load_or_create, switch};
pub use shown::Shown;

/// Why there is no TLS identity.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file of the identity cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
    /// Others on this machine may read the key.
    #[error("the key {} may be read by others: set its mode to 0600", path.display())]
    KeyMode {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else.
    #[error("{} does not hold a usable {what}", path.display())]
    Content {
        /// What was expected.
        what: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// The certificate is not valid any more.
    #[error("the certificate in {} expired at {at}: put a renewed one there", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// The certificate is not valid yet.
    #[error("the certificate in {} is valid from {at} on only: is the clock of this machine right?", path.display())]
    NotYet {
        /// The file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// The key belongs to another certificate.
    #[error("the key does not belong to the first certificate in {}", path.display())]
    Mismatch {
        /// The file of the certificate.
        path: PathBuf,
    },
    /// Agents were never told of the key.
    #[error("{} does not hold the key that was announced to the hosts", path.display())]
    Unannounced {
        /// The file.
        path: PathBuf,
    },
    /// No certificate can be made for these names.
    #[error("cannot make a certificate for the configured names")]
    Certificate(#[source] rcgen::Error),
    /// Key and certificate do not go together.
    #[error("the key and the certificate cannot be used together")]
    Config(#[source] rustls::Error),
}

impl TlsError {
    /// Whether a file is not there.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::File { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

/// A key with its certificate chain.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    certified: Arc<CertifiedKey>,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, base64url: what agents pin.
    pub spki_pin: String,
    /// From when on the leaf is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
}

impl TlsIdentity {
    /// Returns an acceptor of [`Server`](crate::Server) that shows this identity and no other.
    pub fn acceptor(&self) -> Result<TlsAcceptor, TlsError> {
        Shown::new(self.clone()).acceptor()
    }
}

/// Loads a certificate chain and key that the operator keeps, in PEM. Refused when they do not belong together or the
/// certificate is not valid at `now`.
pub fn load(certificate_path: &Path, key_path: &Path, now: Timestamp) -> Result<TlsIdentity, TlsError> {
    let pem = read(certificate_path)?;
    let missing = io::Error::from(io::ErrorKind::NotFound);
    let key = read_key(key_path)?.ok_or_else(|| TlsError::File {
        action: "read",
        path: key_path.into(),
        source: missing,
    })?;
    parse(&pem, key.as_bytes(), certificate_path, key_path, now)
}

fn parse(
    chain: &[u8],
    key: &[u8],
    certificate_path: &Path,
    key_path: &Path,
    now: Timestamp,
) -> Result<TlsIdentity, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Content { what: "certificate chain", path: certificate_path.into() })?;
    let key = PrivateKeyDer::from_pem_slice(key)
        .map_err(|_| TlsError::Content { what: "private key", path: key_path.into() })?;
    let identity = identity(chain, key, certificate_path)?;
    if identity.not_after <= now {
        return Err(TlsError::Expired { path: certificate_path.into(), at: identity.not_after });
    }
    if identity.not_before > now {
        return Err(TlsError::NotYet { path: certificate_path.into(), at: identity.not_before });
    }
    Ok(identity)
}

/// Returns the pins of the keys in a PEM file: of every certificate and every public key in it.
pub fn pins_in(path: &Path) -> Result<Vec<String>, TlsError> {
    let pem = read(path)?;
    let unusable = || TlsError::Content { what: "certificate or public key", path: path.into() };
    let mut pins = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|_| unusable())?;
        pins.push(spki_pin(&certificate).ok_or_else(unusable)?);
    }
    for key in SubjectPublicKeyInfoDer::pem_slice_iter(&pem) {
        pins.push(pin_of(&key.map_err(|_| unusable())?));
    }
    if pins.is_empty() { Err(unusable()) } else { Ok(pins) }
}

/// Returns the pin of a certificate: SHA-256 of its SubjectPublicKeyInfo, base64url without padding.
pub fn spki_pin(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(pin_of(parsed.public_key().raw))
}

fn pin_of(spki: &[u8]) -> String {
    BASE64URL_NOPAD.encode(digest(&SHA256, spki).as_ref())
}

fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<TlsIdentity, TlsError> {
    let unusable = || TlsError::Content { what: "certificate", path: path.into() };
    let leaf = chain.first().ok_or_else(unusable)?;
    let spki_pin = spki_pin(leaf).ok_or_else(unusable)?;
    let (not_before, not_after) = validity(leaf).ok_or_else(unusable)?;
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { path: path.into() },
        error => TlsError::Config(error),
    })?;
    Ok(TlsIdentity { certified: Arc::new(certified), spki_pin, not_before, not_after })
}

fn validity(certificate: &CertificateDer<'_>) -> Option<(Timestamp, Timestamp)> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let at = |seconds: i64| Timestamp::from_millis(seconds.saturating_mul(1000));
    let validity = parsed.validity();
    Some((at(validity.not_before.timestamp()), at(validity.not_after.timestamp())))
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::File { action: "read", path: path.into(), source })
}

fn read_key(path: &Path) -> Result<Option<String>, TlsError> {
    let failed = |source| TlsError::File { action: "read", path: path.into(), source };
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
        Ok(metadata) if metadata.permissions().mode() & 0o077 != 0 => {
            return Err(TlsError::KeyMode { path: path.into() });
        }
        Ok(_) => {}
    }
    fs::read_to_string(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests;
