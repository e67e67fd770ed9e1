//! A directory, and the account this server has there.

use std::fmt;
use std::time::Duration;

use muster_ids::Timestamp;
use muster_outbound::Allowed;
use rustls::pki_types::CertificateDer;
use serde::Deserialize;
use zeroize::Zeroizing;

use crate::error::AcmeError;
use crate::http::Http;

/// Where certificates are ordered.
#[derive(Debug, Clone)]
pub struct Directory {
    url: String,
    http: Http,
}

/// What an account is used with: its address and its key. To be kept where nobody else reads it.
#[derive(Clone)]
pub struct Credentials(Zeroizing<Vec<u8>>);

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

impl Credentials {
    /// Takes what was kept.
    pub fn kept(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Returns what is to be kept.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

/// What of the credentials is no secret.
#[derive(Deserialize)]
struct Place {
    directory: String,
}

/// An account at a directory.
#[derive(Clone)]
pub struct Account {
    pub(crate) inner: instant_acme::Account,
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").field("id", &self.inner.id()).finish()
    }
}

impl Directory {
    /// Names a directory; `extra_roots` vouch for it beside the platform's certificates. Its answers may lead to itself, to public
    /// addresses and to those `allowed`.
    pub fn new(
        url: &str,
        extra_roots: Vec<CertificateDer<'static>>,
        allowed: Allowed,
    ) -> Result<Self, AcmeError> {
        Ok(Self { url: url.to_owned(), http: Http::new(url, extra_roots, allowed)? })
    }

    /// Returns how long the last refusal said to wait, and forgets it.
    pub fn retry_after(&self, now: Timestamp) -> Option<Duration> {
        self.http.retry_after(now)
    }

    /// Makes an account with a key of its own, which agrees to the terms of the directory.
    pub async fn sign_up(&self, contact: Option<&str>) -> Result<(Account, Credentials), AcmeError> {
        let contact = contact.map(|mail| format!("mailto:{mail}"));
        let contact: Vec<&str> = contact.as_deref().into_iter().collect();
        let new = instant_acme::NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let builder = instant_acme::Account::builder_with_http(Box::new(self.http.clone()));
        let (inner, credentials) = builder.create(&new, self.url.clone(), None).await?;
        let bytes = serde_json::to_vec(&credentials).map_err(|_| AcmeError::Credentials)?;
        Ok((Account { inner }, Credentials::kept(Zeroizing::new(bytes))))
    }

    /// Uses an account that was made before; `None`: it is one of another directory.
    pub async fn sign_in(&self, credentials: &Credentials) -> Result<Option<Account>, AcmeError> {
        let unreadable = |_| AcmeError::Credentials;
        let place: Place = serde_json::from_slice(&credentials.0).map_err(unreadable)?;
        if place.directory != self.url {
            return Ok(None);
        }
        let credentials = serde_json::from_slice(&credentials.0).map_err(unreadable)?;
        let builder = instant_acme::Account::builder_with_http(Box::new(self.http.clone()));
        Ok(Some(Account { inner: builder.from_credentials(credentials).await? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_of_another_directory_is_none_and_a_damaged_one_is_said() {
        let directory =
            Directory::new("https://acme.example/new", Vec::new(), Allowed::public_only()).expect("made");
        let other = br#"{"id":"i","key_pkcs8":"","directory":"https://acme.example/old"}"#;
        let found = directory.sign_in(&Credentials::kept(other.to_vec().into())).await.expect("read");
        assert!(found.is_none());
        let damaged = directory.sign_in(&Credentials::kept(b"{".to_vec().into())).await;
        assert!(matches!(damaged, Err(AcmeError::Credentials)));
        assert_eq!(format!("{:?}", Credentials::kept(b"canary".to_vec().into())), "Credentials");
    }
}
