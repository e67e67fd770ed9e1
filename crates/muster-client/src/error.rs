//! Why a server could not be spoken to, in words, each with the next step.

use std::io;
use std::time::Duration;

use http::StatusCode;

use crate::exchange::Response;
use crate::pins::PinMismatch;
use crate::proxy::ProxyError;

/// Why a request got no answer. The texts are for the person at the terminal; the source says it in the system's words.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The URL is not one this dialer speaks.
    #[error("cannot use {url}: the address must begin with https:// and name a host")]
    Url {
        /// The URL, without its query.
        url: String,
    },
    /// Plain HTTP to another machine.
    #[error(
        "refusing to speak plain http to {authority}: use the server's https:// address; \
         http:// is for a server on this machine only"
    )]
    PlainHttp {
        /// Host and port.
        authority: String,
    },
    /// A pin is not the SHA-256 of a key.
    #[error("the pin `{pin}` is not a base64url SHA-256; copy the join string again")]
    Pin {
        /// The pin as given.
        pin: String,
    },
    /// The environment names a proxy that cannot be used.
    #[error("cannot use the configured proxy; correct HTTPS_PROXY or NO_PROXY")]
    ProxySetting(#[from] ProxyError),
    /// The trust store of this machine cannot be read.
    #[error(
        "cannot read this machine's trusted certificates; install ca-certificates or pin the server's key"
    )]
    TrustStore(#[source] rustls::Error),
    /// The name has no address.
    #[error("cannot find the address of {host}; check the name and this machine's DNS")]
    Resolve {
        /// The name.
        host: String,
        /// The resolver's answer.
        #[source]
        source: Option<io::Error>,
    },
    /// Nobody listens there.
    #[error("{authority} refused the connection; is the server running at {authority}?")]
    Refused {
        /// Host and port.
        authority: String,
        /// The system's answer.
        source: io::Error,
    },
    /// No way there.
    #[error("cannot reach {authority}; check the network, the firewall and the proxy")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A deadline passed.
    #[error("{authority} took longer than {} s to {step}; it may be overloaded or filtered: try again later", within.as_secs())]
    TimedOut {
        /// Host and port.
        authority: String,
        /// What was waited for.
        step: &'static str,
        /// How long.
        within: Duration,
    },
    /// Another key than the pinned one; nothing was sent.
    #[error(
        "{authority} is not the server this machine knows: nothing was sent; if its key was replaced on purpose, \
         take a new join string from it"
    )]
    PinMismatch {
        /// Host and port.
        authority: String,
        /// Expected and presented pins.
        source: PinMismatch,
    },
    /// TLS failed for another reason.
    #[error(
        "no trusted TLS connection to {authority}; check that this is the server's TLS port and certificate"
    )]
    Tls {
        /// Host and port.
        authority: String,
        /// What TLS says.
        source: io::Error,
    },
    /// The proxy answered with a refusal.
    #[error("the proxy {proxy} {}", proxy_in_words(*status, authority))]
    ProxyRefused {
        /// The proxy's host and port.
        proxy: String,
        /// The server's host and port.
        authority: String,
        /// The proxy's status.
        status: StatusCode,
    },
    /// There is no way to the proxy itself.
    #[error("cannot reach the proxy {proxy}; check HTTPS_PROXY, or name the server in NO_PROXY")]
    ProxyUnreachable {
        /// The proxy's host and port.
        proxy: String,
        /// The system's answer.
        #[source]
        source: Option<io::Error>,
    },
    /// The proxy does not speak HTTP.
    #[error("the proxy {proxy} gave no answer that makes sense; check HTTPS_PROXY")]
    ProxyBroken {
        /// The proxy's host and port.
        proxy: String,
        /// The system's answer.
        #[source]
        source: Option<io::Error>,
    },
    /// Whatever listens there is no Muster server.
    #[error("{authority} does not answer in HTTP; check the port")]
    NotHttp {
        /// Host and port.
        authority: String,
        /// What the parser says.
        source: hyper::Error,
    },
    /// The connection broke before the answer was whole; the request may have been carried out.
    #[error("the connection to {authority} broke before the answer arrived; try again")]
    Broken {
        /// Host and port.
        authority: String,
        /// What the connection says.
        source: hyper::Error,
    },
    /// The answer is larger than any Muster sends.
    #[error("{authority} sent an answer larger than {limit} bytes; is this the right server?")]
    TooLarge {
        /// Host and port.
        authority: String,
        /// The limit, in bytes.
        limit: usize,
    },
}

impl DialError {
    /// Tells of the way to a proxy what was found out on the way to it.
    pub(crate) fn of_proxy(self, proxy: &str) -> Self {
        let proxy = proxy.to_owned();
        match self {
            Self::Refused { source, .. } | Self::Unreachable { source, .. } => {
                Self::ProxyUnreachable { proxy, source: Some(source) }
            }
            Self::Resolve { source, .. } => Self::ProxyUnreachable { proxy, source },
            Self::TimedOut { .. } => {
                Self::ProxyUnreachable { proxy, source: Some(io::ErrorKind::TimedOut.into()) }
            }
            other => other,
        }
    }
}

/// What a proxy's refusal means, and whose it is to mend.
fn proxy_in_words(status: StatusCode, authority: &str) -> String {
    match status {
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            format!(
                "wants a user and a password ({status}); put them into HTTPS_PROXY: http://user:password@proxy:port"
            )
        }
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => format!(
            "cannot reach {authority} ({status}); is the server running, and does the proxy know its name?"
        ),
        StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED => format!(
            "does not allow connections to {authority} ({status}); have it allowed there, or name the server in NO_PROXY"
        ),
        _ => format!("refused to connect to {authority} ({status}); check HTTPS_PROXY"),
    }
}

/// Why there is no WebSocket.
#[derive(Debug, thiserror::Error)]
pub enum WsDialError {
    /// No answer at all.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The server answered the upgrade with a refusal; its body may be a problem or a signed `revoked`.
    #[error("the server refused the channel ({})", .0.status)]
    Refused(Box<Response>),
    /// The server said yes to something else.
    #[error("{authority} answered the upgrade without speaking WebSocket; check the proxy in front of it")]
    NotWebSocket {
        /// Host and port.
        authority: String,
    },
}
