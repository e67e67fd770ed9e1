//! The identity a server makes itself: a key that is pinned, the next one in advance, and a certificate of years.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use muster_ids::Timestamp;
use rcgen::{
    CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::{TlsError, TlsIdentity, identity, pin_of, read_key};

/// The key in use, in its folder.
pub const KEY_FILE: &str = "tls.key";
/// The key that takes its place, announced in advance.
pub const NEXT_KEY_FILE: &str = "next.key";
pub(super) const CERTIFICATE_FILE: &str = "tls.crt";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const VALID_FOR: Duration = Duration::from_secs(3650 * 24 * 60 * 60);
const RENEW_BEFORE: Duration = Duration::from_secs(90 * 24 * 60 * 60);

/// An identity the server made, and the one it will show next.
#[derive(Debug, Clone)]
pub struct OwnIdentity {
    /// What the listener shows.
    pub identity: TlsIdentity,
    /// The pin of the key that takes the place of this one: known before it is ever shown.
    pub next_pin: String,
}

/// Loads the identity in `dir`, making what is missing.
///
/// The keys are made once: agents pin them, and only [`switch`] replaces one by the other. The certificate is made
/// again, by the same key, when `names` (host names and addresses) change, when it nears its end, or when it was made
/// by a clock gone wrong.
pub fn load_or_create(dir: &Path, names: &[String], now: Timestamp) -> Result<OwnIdentity, TlsError> {
    let key = load_or_create_key(&dir.join(KEY_FILE))?;
    let next = load_or_create_key(&dir.join(NEXT_KEY_FILE))?;
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
        .map_err(|_| TlsError::Content { what: "private key", path: dir.join(KEY_FILE) })?;
    let identity = identity(vec![certificate], private_key, &certificate_path)?;
    Ok(OwnIdentity { identity, next_pin: pin_of(&next.subject_public_key_info()) })
}

/// Puts the next key in the place of the one in use, makes its certificate, and another next key. The former key is
/// gone. Interrupted at any point, [`load_or_create`] finds one whole identity, and the next call finishes what this one
/// began: it never goes one key further than what is `shown`.
///
/// Refused when the key to be shown is none of those that were `announced`: no agent would know it.
pub fn switch(
    dir: &Path,
    names: &[String],
    now: Timestamp,
    shown: &str,
    announced: &[String],
) -> Result<OwnIdentity, TlsError> {
    let (key, next) = (dir.join(KEY_FILE), dir.join(NEXT_KEY_FILE));
    let must_be_announced = |pin: Option<String>, path: &Path| match pin {
        Some(pin) if announced.contains(&pin) => Ok(()),
        _ => Err(TlsError::Unannounced { path: path.to_owned() }),
    };
    let in_place = stored_pin(&key)?;
    if in_place.as_deref().is_none_or(|pin| pin == shown) {
        must_be_announced(stored_pin(&next)?, &next)?;
        let failed = |source| TlsError::File { action: "replace", path: key.clone(), source };
        fs::rename(&next, &key).and_then(|()| File::open(dir)?.sync_all()).map_err(failed)?;
    } else {
        must_be_announced(in_place, &key)?;
    }
    load_or_create(dir, names, now)
}

fn stored_pin(path: &Path) -> Result<Option<String>, TlsError> {
    Ok(load_key(path)?.map(|key| pin_of(&key.subject_public_key_info())))
}

fn load_key(path: &Path) -> Result<Option<KeyPair>, TlsError> {
    let Some(pem) = read_key(path)? else { return Ok(None) };
    let damaged = |_| TlsError::Content { what: "private key", path: path.to_owned() };
    KeyPair::from_pem(&pem).map(Some).map_err(damaged)
}

fn load_or_create_key(path: &Path) -> Result<KeyPair, TlsError> {
    match load_key(path)? {
        Some(key) => Ok(key),
        None => create_key(path),
    }
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

pub(super) fn write_synced(
    path: &Path,
    bytes: &[u8],
    mode: u32,
    place: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), TlsError> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = (|| {
        // One that was left by a process of the same number, as each is in a container.
        match fs::remove_file(&draft) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
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
        && parsed.public_key().raw == key.subject_public_key_info()
        && validity.not_before.timestamp() <= now.as_secs()
        && validity.not_after.timestamp() > now.plus(RENEW_BEFORE).as_secs()
}

pub(super) fn names_of(certificate: &X509Certificate<'_>) -> Vec<String> {
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
