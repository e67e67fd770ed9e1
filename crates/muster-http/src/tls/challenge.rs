//! What the listener shows whoever checks that a name is this server's (RFC 8737): a certificate that says nothing but that.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, CustomExtension, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::ClientHello;
use rustls::sign::CertifiedKey;

use super::TlsError;

/// The protocol of such a check. A connection that speaks it ends after its handshake.
pub const CHALLENGE_PROTOCOL: &[u8] = b"acme-tls/1";

/// The answers to checks that are under way, by name. Clones share them.
#[derive(Clone, Default)]
pub struct Challenges(Arc<RwLock<HashMap<String, Arc<CertifiedKey>>>>);

impl fmt::Debug for Challenges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Challenges")
    }
}

impl Challenges {
    /// Answers the check of `name` with SHA-256 of the key authorization, until [`Self::clear`].
    pub fn answer(&self, name: &str, digest: &[u8; 32]) -> Result<(), TlsError> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(TlsError::Certificate)?;
        let mut params = CertificateParams::new([name.to_owned()]).map_err(TlsError::Certificate)?;
        params.distinguished_name = DistinguishedName::new();
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let certified = self_signed(&params, &key)?;
        let mut answers = self.0.write().unwrap_or_else(PoisonError::into_inner);
        answers.insert(name.to_ascii_lowercase(), Arc::new(certified));
        Ok(())
    }

    /// Answers nothing any more.
    pub fn clear(&self) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).clear();
    }

    pub(super) fn answer_to(&self, hello: &ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name()?.to_ascii_lowercase();
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&name).cloned()
    }
}

/// Whether a hello is a check and nothing else.
pub(super) fn is_check(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(CHALLENGE_PROTOCOL) && offered.next().is_none()
}

pub(super) fn self_signed(params: &CertificateParams, key: &KeyPair) -> Result<CertifiedKey, TlsError> {
    let certificate = params.self_signed(key).map_err(TlsError::Certificate)?;
    let private_key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    // Not compared with the certificate, as `from_der` does: webpki reads none whose critical extension it does not know.
    let signer = provider.key_provider.load_private_key(private_key).map_err(TlsError::Config)?;
    Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
}
