//! The server's TLS identity: a P-256 key and a certificate made at first start, pinned by the key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;
use muster_ids::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

const KEY_FILE: &str = "tls.key";
const CERTIFICATE_FILE: &str = "tls.crt";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const VALID_FOR: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

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
    /// No certificate can be made for these names.
    #[error("cannot make a certificate for the configured names")]
    Certificate(#[source] rcgen::Error),
    /// Key and certificate do not go together.
    #[error("the key and the certificate cannot be used together")]
    Config(#[source] rustls::Error),
}

/// A key with its certificate chain.
#[derive(Debug, Clone)]
pub struct TlsIdentity {
    /// What the listener presents.
    pub config: Arc<ServerConfig>,
    /// SHA-256 of the leaf's SubjectPublicKeyInfo, base64url: what agents pin.
    pub spki_pin: String,
}

impl TlsIdentity {
    /// Returns the acceptor of [`Server`](crate::Server).
    pub fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

/// Loads the identity in `dir`, making what is missing.
///
/// The key is made once and never replaced: agents pin it. The certificate is made again, by the same key, when
/// `names` (host names and addresses) change, when it nears its end, or when it was made by a clock gone wrong.
pub fn load_or_create(dir: &Path, names: &[String], now: Timestamp) -> Result<TlsIdentity, TlsError> {
    let key_path = dir.join(KEY_FILE);
    let key = match read_key(&key_path)? {
        Some(pem) => KeyPair::from_pem(&pem)
            .map_err(|_| TlsError::Content { what: "private key", path: key_path.clone() })?,
        None => create_key(&key_path)?,
    };
    let certificate_path = dir.join(CERTIFICATE_FILE);
    let present = match fs::read(&certificate_path) {
        Ok(pem) => CertificateDer::from_pem_slice(&pem).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => return Err(TlsError::File { action: "read", path: certificate_path, source }),
    };
    let certificate = match present.filter(|present| is_current(present, &key, names, now)) {
        Some(present) => present,
        None => create_certificate(&certificate_path, &key, names, now)?,
    };
    let private_key = PrivateKeyDer::try_from(key.serialize_der())
        .map_err(|_| TlsError::Content { what: "private key", path: key_path })?;
    identity(vec![certificate], private_key, CERTIFICATE_FILE.as_ref())
}

/// Loads a certificate chain and key that the operator keeps.
pub fn load(certificate_path: &Path, key_path: &Path) -> Result<TlsIdentity, TlsError> {
    let pem = fs::read(certificate_path).map_err(|source| TlsError::File {
        action: "read",
        path: certificate_path.into(),
        source,
    })?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|_| TlsError::Content { what: "certificate chain", path: certificate_path.into() })?;
    let missing = io::Error::from(io::ErrorKind::NotFound);
    let key = read_key(key_path)?.ok_or_else(|| TlsError::File {
        action: "read",
        path: key_path.into(),
        source: missing,
    })?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| TlsError::Content { what: "private key", path: key_path.into() })?;
    identity(chain, key, certificate_path)
}

fn identity(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    path: &Path,
) -> Result<TlsIdentity, TlsError> {
    let unusable = || TlsError::Content { what: "certificate", path: path.into() };
    let leaf = chain.first().ok_or_else(unusable)?;
    let spki_pin = spki_pin(leaf).ok_or_else(unusable)?;
    let config = server_config(chain, key).map_err(TlsError::Config)?;
    Ok(TlsIdentity { config: Arc::new(config), spki_pin })
}

/// Makes the TLS configuration of a listener: TLS 1.2 and 1.3, `http/1.1` only.
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the pin of a certificate: SHA-256 of its SubjectPublicKeyInfo, base64url without padding.
pub fn spki_pin(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    Some(BASE64URL_NOPAD.encode(digest(&SHA256, parsed.public_key().raw).as_ref()))
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

fn create_key(path: &Path) -> Result<KeyPair, TlsError> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Certificate)?;
    // A hard link never replaces: of two servers starting in one folder, the second fails instead of changing the pin.
    write_synced(path, key.serialize_pem().as_bytes(), 0o600, |draft, path| fs::hard_link(draft, path))?;
    Ok(key)
}

fn create_certificate(
    path: &Path,
    key: &KeyPair,
    names: &[String],
    now: Timestamp,
) -> Result<CertificateDer<'static>, TlsError> {
    let mut params = CertificateParams::new(names).map_err(TlsError::Certificate)?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "muster");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let at = |moment: Timestamp| {
        rcgen::date_time_ymd(1970, 1, 1) + Duration::from_secs(u64::try_from(moment.as_secs()).unwrap_or(0))
    };
    params.not_before = at(now.minus(DAY));
    params.not_after = at(now.plus(VALID_FOR));
    let certificate = params.self_signed(key).map_err(TlsError::Certificate)?;
    write_synced(path, certificate.pem().as_bytes(), 0o644, |draft, path| fs::rename(draft, path))?;
    Ok(certificate.into())
}

fn write_synced(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), TlsError> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&draft)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        place(&draft, path)
    })();
    // Absent already when it was renamed; left over when a step failed.
    let _ = fs::remove_file(&draft);
    written
        .and_then(|()| File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all())
        .map_err(|source| TlsError::File { action: "write", path: path.into(), source })
}

fn is_current(certificate: &CertificateDer<'_>, key: &KeyPair, names: &[String], now: Timestamp) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else {
        return false;
    };
    let validity = parsed.validity();
    let mut wanted: Vec<String> = names.to_vec();
    let mut present = names_of(&parsed);
    wanted.sort();
    present.sort();
    wanted == present
        && parsed.public_key().raw == rcgen::PublicKeyData::subject_public_key_info(key)
        && validity.not_before.timestamp() <= now.as_secs()
        && validity.not_after.timestamp() > now.plus(RENEW_BEFORE).as_secs()
}

fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    let names = extension.value.general_names.iter();
    names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
                _ => <[u8; 16]>::try_from(*bytes).ok().map(|b| IpAddr::from(b).to_string()),
            },
            _ => None,
        })
        .collect()
}

#[cfg(test)]
mod tests;
