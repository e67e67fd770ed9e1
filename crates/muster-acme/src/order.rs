//! One order: names are proven, a request is signed, a chain comes back.

use std::fmt;
use std::time::Duration;

use instant_acme::{AuthorizationStatus, ChallengeType, Identifier, NewOrder, OrderStatus, RetryPolicy};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PKCS_ECDSA_P256_SHA256};
use zeroize::Zeroizing;

use crate::account::Account;
use crate::error::{AcmeError, said};

/// How long a directory may take to look at the listener, and again to sign.
const DONE_WITHIN: Duration = Duration::from_secs(60);
const RETRIES: RetryPolicy =
    RetryPolicy::new().initial_delay(Duration::from_millis(500)).backoff(1.5).timeout(DONE_WITHIN);

/// What a listener must show for a name while the directory looks (RFC 8737, section 3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The name.
    pub name: String,
    /// SHA-256 of the key authorization, for the extension `acmeIdentifier`.
    pub digest: [u8; 32],
}

/// A P-256 key, and the request for its certificate.
pub struct KeyAndRequest {
    /// The key in PEM.
    pub key_pem: Zeroizing<String>,
    request: Vec<u8>,
}

impl fmt::Debug for KeyAndRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyAndRequest").finish_non_exhaustive()
    }
}

impl KeyAndRequest {
    /// Makes a key for these names.
    pub fn new(names: &[String]) -> Result<Self, AcmeError> {
        Self::of(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(AcmeError::Request)?, names)
    }

    /// Makes a request for these names with a key that exists, in PEM.
    pub fn with_key(key_pem: &str, names: &[String]) -> Result<Self, AcmeError> {
        Self::of(&KeyPair::from_pem(key_pem).map_err(AcmeError::Request)?, names)
    }

    fn of(key: &KeyPair, names: &[String]) -> Result<Self, AcmeError> {
        let mut params = CertificateParams::new(names).map_err(AcmeError::Request)?;
        params.distinguished_name = DistinguishedName::new();
        let request = params.serialize_request(key).map_err(AcmeError::Request)?;
        Ok(Self { key_pem: Zeroizing::new(key.serialize_pem()), request: request.der().to_vec() })
    }
}

impl Account {
    /// Orders a certificate for these names and returns its chain in PEM, leaf first. `show` is told what the listener must show
    /// before the directory looks; it may show something else once this returns.
    pub async fn obtain(
        &self,
        names: &[String],
        request: &KeyAndRequest,
        show: impl Fn(Proof) -> Result<(), AcmeError>,
    ) -> Result<String, AcmeError> {
        let identifiers: Vec<Identifier> = names.iter().cloned().map(Identifier::Dns).collect();
        let mut order = self.inner.new_order(&NewOrder::new(&identifiers)).await?;
        prove(&mut order, names, show).await?;
        if order.state().status != OrderStatus::Ready {
            match order.poll_ready(&RETRIES).await {
                Ok(OrderStatus::Ready) => {}
                ended => {
                    let otherwise = ended.map_or_else(AcmeError::from, |_| AcmeError::Invalid);
                    return Err(why_not_verified(&mut order).await.unwrap_or(otherwise));
                }
            }
        }
        order.finalize_csr(&request.request).await?;
        Ok(order.poll_certificate(&RETRIES).await?)
    }
}

async fn prove(
    order: &mut instant_acme::Order,
    names: &[String],
    show: impl Fn(Proof) -> Result<(), AcmeError>,
) -> Result<(), AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status == AuthorizationStatus::Valid {
            continue;
        }
        let name = match authorization.identifier().identifier {
            Identifier::Dns(name) if names.contains(name) => name.clone(),
            _ => return Err(AcmeError::OtherName),
        };
        let Some(mut challenge) = authorization.challenge(ChallengeType::TlsAlpn01) else {
            return Err(AcmeError::NoChallenge { name });
        };
        let mut digest = [0; 32];
        digest.copy_from_slice(challenge.key_authorization().digest().as_ref());
        show(Proof { name, digest })?;
        challenge.set_ready().await?;
    }
    Ok(())
}

/// Asks what the directory found at the listener.
async fn why_not_verified(order: &mut instant_acme::Order) -> Option<AcmeError> {
    let mut authorizations = order.authorizations();
    while let Some(Ok(mut authorization)) = authorizations.next().await {
        let Ok(state) = authorization.refresh().await else { continue };
        let problem = state.challenges.iter().find_map(|challenge| challenge.error.as_ref());
        if let (Identifier::Dns(name), Some(problem)) = (state.identifier().identifier, problem) {
            return Some(AcmeError::NotVerified { name: name.clone(), said: said(problem) });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_made_for_the_key_that_is_given() {
        let names = ["muster.example".to_owned(), "muster.example.net".to_owned()];
        let new = KeyAndRequest::new(&names).expect("made");
        let again = KeyAndRequest::with_key(&new.key_pem, &names).expect("made");
        assert_eq!(new.key_pem, again.key_pem);
        assert!(!format!("{new:?}").contains("PRIVATE"));
        assert!(matches!(KeyAndRequest::with_key("no key", &names), Err(AcmeError::Request(_))));
    }
}
