//! Where a backup goes, checked again on the machine that acts on it.

use std::fmt;

use muster_wire::secret::RepoSecret;
use muster_wire::text::AbsolutePath;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Schemes whose credentials restic takes from its environment alone.
const ENVIRONMENT_SCHEMES: [&str; 4] = ["b2", "azure", "gs", "swift"];
const MAX_SHOWN_CHARS: usize = 160;

/// A repository and what opens it. Never printed.
#[derive(Clone)]
pub struct Repository {
    shown: String,
    url: SecretString,
    password: SecretString,
    server_password: Option<SecretString>,
    key_file: Option<SecretString>,
}

/// Why a repository is refused before anything runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RepositoryRefused {
    /// The scheme is not on the list.
    #[error(
        "its URL must begin with rest:http://, rest:https://, s3:, b2:, azure:, gs:, swift: or be an absolute path"
    )]
    Scheme,
    /// The URL is not one.
    #[error("its URL is malformed")]
    Malformed,
    /// The URL holds a user name or password.
    #[error("its URL holds a user name or password: put them into the fields `user` and `http_password`")]
    CredentialsInUrl,
    /// Only one half of the credentials is there.
    #[error("`user` and `http_password` go together: set both or neither")]
    HalfCredentials,
    /// The scheme takes no credentials this way.
    #[error("`user` and `http_password` work with rest: and s3: repositories only")]
    CredentialsUnsupported,
    /// The credentials hold characters no access key has.
    #[error("`user` and `http_password` of an s3: repository must be an access key id and its secret")]
    MalformedAccessKey,
}

impl Repository {
    /// Checks a `repo` secret and takes it apart.
    pub fn parse(secret: &RepoSecret) -> Result<Self, RepositoryRefused> {
        let url = secret.url.as_str();
        let credentials = match (&secret.user, &secret.http_password) {
            (Some(user), Some(password)) => Some((user.as_str(), password.as_str())),
            (None, None) => None,
            _ => return Err(RepositoryRefused::HalfCredentials),
        };
        if !url.bytes().all(is_url_byte) && !url.starts_with('/') {
            return Err(RepositoryRefused::Malformed);
        }
        let mut key_file = None;
        let full = match url.split_once(':') {
            _ if url.starts_with('/') => local(url, credentials)?,
            Some(("rest", address)) => rest(address, credentials)?,
            Some(("s3", bucket)) => {
                bucket_named(bucket)?;
                key_file = credentials.map(|(id, key)| s3_key_file(id, key)).transpose()?;
                url.to_owned()
            }
            Some((scheme, bucket)) if ENVIRONMENT_SCHEMES.contains(&scheme) => {
                bucket_named(bucket)?;
                refuse_credentials(credentials)?;
                url.to_owned()
            }
            _ => return Err(RepositoryRefused::Scheme),
        };
        Ok(Self {
            shown: url.chars().take(MAX_SHOWN_CHARS).collect(),
            url: full.into(),
            password: secret.password.as_str().into(),
            server_password: credentials.map(|(_, password)| password.into()),
            key_file,
        })
    }

    /// Returns the URL without credentials, cut to a length that fits a sentence.
    pub fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn url(&self) -> &SecretString {
        &self.url
    }

    pub(super) fn password(&self) -> &SecretString {
        &self.password
    }

    /// Returns the AWS credentials file of an s3: repository.
    pub(super) fn key_file(&self) -> Option<&SecretString> {
        self.key_file.as_ref()
    }

    pub(super) fn secrets(&self) -> Vec<&str> {
        [Some(&self.password), self.server_password.as_ref()]
            .into_iter()
            .flatten()
            .map(ExposeSecret::expose_secret)
            .collect()
    }
}

impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Repository({})", self.shown)
    }
}

/// Encodes a user name or password for the user information of a URL: all but the unreserved characters of RFC 3986.
pub(super) fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// Bytes RFC 3986 allows in a URL; parsers disagree on the others.
fn is_url_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte)
}

fn rest(address: &str, credentials: Option<(&str, &str)>) -> Result<String, RepositoryRefused> {
    let (scheme, after) = address.split_once("://").ok_or(RepositoryRefused::Scheme)?;
    if scheme != "http" && scheme != "https" {
        return Err(RepositoryRefused::Scheme);
    }
    let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return Err(RepositoryRefused::CredentialsInUrl);
    }
    let parsed = Url::parse(address).map_err(|_| RepositoryRefused::Malformed)?;
    // The parser skips an empty authority and takes the path for a host.
    if authority.is_empty() || parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(RepositoryRefused::Malformed);
    }
    Ok(match credentials {
        Some((user, password)) => {
            format!("rest:{scheme}://{}:{}@{after}", percent_encoded(user), percent_encoded(password))
        }
        None => format!("rest:{address}"),
    })
}

fn local(path: &str, credentials: Option<(&str, &str)>) -> Result<String, RepositoryRefused> {
    refuse_credentials(credentials)?;
    AbsolutePath::parse(path).map_err(|_| RepositoryRefused::Malformed)?;
    Ok(path.to_owned())
}

fn refuse_credentials(credentials: Option<(&str, &str)>) -> Result<(), RepositoryRefused> {
    credentials.map_or(Ok(()), |_| Err(RepositoryRefused::CredentialsUnsupported))
}

fn bucket_named(bucket: &str) -> Result<(), RepositoryRefused> {
    if bucket.contains('@') {
        return Err(RepositoryRefused::CredentialsInUrl);
    }
    if bucket.trim_matches(['/', ':']).is_empty() { Err(RepositoryRefused::Malformed) } else { Ok(()) }
}

fn s3_key_file(id: &str, key: &str) -> Result<SecretString, RepositoryRefused> {
    let good =
        |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=_.-".contains(&byte));
    if !good(id) || !good(key) {
        return Err(RepositoryRefused::MalformedAccessKey);
    }
    Ok(format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = {key}\n").into())
}
