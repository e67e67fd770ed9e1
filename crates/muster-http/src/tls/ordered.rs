//! A certificate that was ordered, and its key: one file, so that there is never half a pair. And what is shown while
//! there is none.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use muster_ids::Timestamp;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use super::challenge::self_signed;
use super::own::{names_of, write_synced};
use super::{TlsError, TlsIdentity, parse, read_key, spki_pin, validity};

/// Begins the first line of the file; PEM ignores what stands outside of its sections (RFC 7468, section 2).
const ORDERED_FROM: &str = "Ordered-From: ";

/// A certificate that was ordered.
#[derive(Debug, Clone)]
pub struct Ordered {
    /// The pair.
    pub identity: TlsIdentity,
    /// Where it was ordered.
    pub from: String,
}

impl Ordered {
    /// Loads what [`Self::write`] wrote. Refused when it is not valid at `now`.
    pub fn load(path: &Path, now: Timestamp) -> Result<Self, TlsError> {
        let absent = || TlsError::File {
            action: "read",
            path: path.into(),
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        let text = Zeroizing::new(read_key(path)?.ok_or_else(absent)?);
        let identity = parse(text.as_bytes(), text.as_bytes(), path, path, now)?;
        let from = text.lines().next().and_then(|line| line.strip_prefix(ORDERED_FROM)).unwrap_or_default();
        Ok(Self { identity, from: from.to_owned() })
    }

    /// Takes a pair for [`Self::write`], if it is whole and valid at `now`.
    pub fn parse(
        path: &Path,
        from: &str,
        key_pem: &str,
        chain_pem: &str,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let identity = parse(chain_pem.as_bytes(), key_pem.as_bytes(), path, path, now)?;
        Ok(Self { identity, from: from.to_owned() })
    }

    /// Puts a pair in the place of the one before, if it is whole and valid at `now`.
    pub fn write(
        path: &Path,
        from: &str,
        key_pem: &str,
        chain_pem: &str,
        now: Timestamp,
    ) -> Result<Self, TlsError> {
        let ordered = Self::parse(path, from, key_pem, chain_pem, now)?;
        let text = Zeroizing::new(format!("{ORDERED_FROM}{from}\n{key_pem}{chain_pem}"));
        write_private(path, text.as_bytes())?;
        Ok(ordered)
    }
}

impl TlsIdentity {
    /// Makes one for these names that nobody trusts and that is written nowhere.
    pub fn temporary(names: &[String]) -> Result<Self, TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Certificate)?;
        let params = CertificateParams::new(names).map_err(TlsError::Certificate)?;
        let certified = self_signed(&params, &key)?;
        let unusable = || TlsError::Certificate(rcgen::Error::CouldNotParseCertificate);
        let leaf = certified.cert.first().ok_or_else(unusable)?;
        let (not_before, not_after) = validity(leaf).ok_or_else(unusable)?;
        let spki_pin = spki_pin(leaf).ok_or_else(unusable)?;
        Ok(Self { certified: Arc::new(certified), spki_pin, not_before, not_after })
    }

    /// Returns the names and addresses the certificate is for.
    pub fn names(&self) -> Vec<String> {
        let leaf = self.certified.cert.first().map(|leaf| X509Certificate::from_der(leaf));
        match leaf {
            Some(Ok((_, parsed))) => names_of(&parsed),
            _ => Vec::new(),
        }
    }
}

/// Reads a file that nobody else may read; `None`: there is none.
pub fn read_private(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, TlsError> {
    Ok(read_key(path)?.map(|text| Zeroizing::new(text.into_bytes())))
}

/// Puts a file that nobody else may read in the place of the one before: all of it, or nothing.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), TlsError> {
    write_synced(path, bytes, 0o600, |draft, path| fs::rename(draft, path))
}
