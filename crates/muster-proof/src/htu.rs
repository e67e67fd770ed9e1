//! The `htu` claim: a request's URL in the one form that is compared (RFC 9449 §4.3, RFC 3986 §6.2).

use std::fmt;

use url::Url;

use crate::ProofError::{self, Invalid};

/// A normalised URL: `wss` is `https` and `ws` is `http`, scheme and host in lower case, no default port, no
/// query, no fragment, no user name.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct HtuUrl(String);

impl HtuUrl {
    /// Normalises an absolute URL; one with a query, a fragment or a user name is refused.
    pub fn parse(text: &str) -> Result<Self, ProofError> {
        // The parser repairs blanks, control characters and backslashes; a proof that needs repair is
        // refused.
        if !text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
            return Err(Invalid("htu holds characters that no URL has"));
        }
        let url = Url::parse(text).map_err(|_| Invalid("htu is not an absolute URL"))?;
        let scheme = match url.scheme() {
            "https" | "wss" => "https",
            "http" | "ws" => "http",
            _ => return Err(Invalid("htu is neither http nor https")),
        };
        if url.query().is_some() || url.fragment().is_some() {
            return Err(Invalid("htu has a query or a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Invalid("htu has a user name"));
        }
        let host = url.host_str().ok_or(Invalid("htu has no host"))?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Self(format!("{scheme}://{host}{port}{}", url.path())))
    }

    /// Normalises `path` below one of the server's public URLs, which may have a path of its own.
    pub fn below(public_url: &str, path: &str) -> Result<Self, ProofError> {
        Self::parse(&format!("{}/{}", public_url.trim_end_matches('/'), path.trim_start_matches('/')))
    }

    /// Returns the normalised text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HtuUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for HtuUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
