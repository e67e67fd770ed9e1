//! Why a request got no answer. Never repeats a path or a query: they carry the credentials of receivers.

use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::address::Unreachable;

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The URL is not one that requests go to.
    #[error("the URL cannot be used: {why}")]
    Url {
        /// What is wrong with it.
        why: &'static str,
    },
    /// The name, or the address, leads to where requests do not go.
    #[error("{host} is a {why} address, which is not allowed")]
    Refused {
        /// The host of the URL.
        host: String,
        /// What kind of address it is, or resolves to.
        why: Unreachable,
    },
    /// The name does not resolve.
    #[error("the name {host} does not resolve")]
    Resolve {
        /// The host of the URL.
        host: String,
        /// The resolver's answer; `None`: it knows no address.
        source: Option<io::Error>,
    },
    /// No address of the host takes connections.
    #[error("cannot connect to {host}")]
    Connect {
        /// The host of the URL.
        host: String,
        /// The last attempt's end; `None`: it took too long.
        source: Option<io::Error>,
    },
    /// The platform's trusted certificates cannot be read.
    #[error("the trusted certificates cannot be read")]
    TrustStore(#[source] rustls::Error),
    /// The TLS handshake failed.
    #[error("the TLS handshake with {host} failed")]
    Tls {
        /// The host of the URL.
        host: String,
        /// What failed.
        source: io::Error,
    },
    /// The peer does not speak HTTP, or broke off.
    #[error("{host} broke off, or does not speak HTTP/1.1")]
    Broken {
        /// The host of the URL.
        host: String,
        /// What failed.
        source: hyper::Error,
    },
    /// The answer's body is longer than may be.
    #[error("the answer of {host} is longer than {limit} bytes")]
    TooLarge {
        /// The host of the URL.
        host: String,
        /// The status, which came before the body.
        status: StatusCode,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The deadline passed.
    #[error("no whole answer within {} s", within.as_secs())]
    TimedOut {
        /// The deadline.
        within: Duration,
    },
}

impl OutboundError {
    /// A stable code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Url { .. } => "url_unusable",
            Self::Refused { .. } => "address_not_allowed",
            Self::Resolve { .. } => "name_does_not_resolve",
            Self::Connect { .. } => "cannot_connect",
            Self::TrustStore(_) => "no_trusted_certificates",
            Self::Tls { .. } => "tls_failed",
            Self::Broken { .. } => "broken_off",
            Self::TooLarge { .. } => "answer_too_large",
            Self::TimedOut { .. } => "timed_out",
        }
    }
}
