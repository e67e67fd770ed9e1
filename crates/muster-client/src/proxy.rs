//! Which proxy stands between this machine and a server: `HTTPS_PROXY` and `NO_PROXY`, parsed without side effects.

use std::net::IpAddr;

use data_encoding::BASE64;
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

/// A proxy that is asked to `CONNECT`.
#[derive(Debug, Clone)]
pub struct Proxy {
    /// Its host name or address, without brackets.
    pub host: String,
    /// Its port.
    pub port: u16,
    authorization: Option<SecretString>,
}

impl Proxy {
    /// Host and port, for messages.
    pub fn authority(&self) -> String {
        crate::dialer::join_authority(&self.host, self.port)
    }

    /// The value of `Proxy-Authorization`, if the proxy wants one.
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.authorization.as_ref().map(ExposeSecret::expose_secret)
    }
}

/// What the environment says about proxies.
#[derive(Debug, Clone, Default)]
pub struct ProxyRules {
    proxy: Option<Proxy>,
    exceptions: Vec<Exception>,
}

/// The environment names a proxy that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProxyError {
    /// Not a URL with a host.
    #[error("HTTPS_PROXY is not a proxy address such as http://proxy.example:3128")]
    Malformed,
    /// Another kind of proxy.
    #[error("HTTPS_PROXY uses `{0}://`; only http:// proxies are supported")]
    Scheme(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Exception {
    Everything,
    Domain { name: String, port: Option<u16> },
    Network { base: u128, mask: u128, is_v4: bool, port: Option<u16> },
}

impl ProxyRules {
    /// No proxy for anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// Reads `HTTPS_PROXY` and `NO_PROXY` (or their lower-case forms, which win) of this process.
    pub fn from_env() -> Result<Self, ProxyError> {
        let read = |lower: &str, upper: &str| {
            std::env::var(lower).or_else(|_| std::env::var(upper)).unwrap_or_default()
        };
        Self::parse(&read("https_proxy", "HTTPS_PROXY"), &read("no_proxy", "NO_PROXY"))
    }

    /// Parses the two variables; an empty proxy means none.
    pub fn parse(https_proxy: &str, no_proxy: &str) -> Result<Self, ProxyError> {
        let https_proxy = https_proxy.trim();
        let proxy = if https_proxy.is_empty() { None } else { Some(parse_proxy(https_proxy)?) };
        let exceptions = no_proxy.split([',', ' ']).filter_map(parse_exception).collect();
        Ok(Self { proxy, exceptions })
    }

    /// Whether there is a proxy for anything.
    pub fn is_set(&self) -> bool {
        self.proxy.is_some()
    }

    /// Returns the proxy to a server; never one for plain HTTP or for this machine itself.
    pub fn for_url(&self, url: &Url) -> Option<&Proxy> {
        let proxy = self.proxy.as_ref()?;
        let host = url.host()?;
        let is_tls = matches!(url.scheme(), "https" | "wss") && !names_this_machine(&host);
        let port = url.port_or_known_default();
        let is_excepted = self.exceptions.iter().any(|exception| exception.covers(&host, port));
        (is_tls && !is_excepted).then_some(proxy)
    }
}

/// Tells whether a host is a loopback address or `localhost`.
pub(crate) fn names_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => name.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}

fn parse_proxy(text: &str) -> Result<Proxy, ProxyError> {
    let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&with_scheme).map_err(|_| ProxyError::Malformed)?;
    if url.scheme() != "http" {
        return Err(ProxyError::Scheme(url.scheme().to_owned()));
    }
    let host = match url.host().ok_or(ProxyError::Malformed)? {
        Host::Domain(name) => name.to_owned(),
        Host::Ipv4(address) => address.to_string(),
        Host::Ipv6(address) => address.to_string(),
    };
    let has_user = !url.username().is_empty() || url.password().is_some();
    let authorization = has_user.then(|| {
        let plain =
            [decode(url.username()), b":".to_vec(), decode(url.password().unwrap_or_default())].concat();
        SecretString::from(format!("Basic {}", BASE64.encode(&plain)))
    });
    Ok(Proxy { host, port: url.port_or_known_default().ok_or(ProxyError::Malformed)?, authorization })
}

/// Undoes the percent-encoding of a user name or password; a broken escape stays as it is.
fn decode(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let (mut decoded, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let escape = text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        let (byte, step) = match escape {
            Some(byte) if bytes[at] == b'%' => (byte, 3),
            _ => (bytes[at], 1),
        };
        decoded.push(byte);
        at += step;
    }
    decoded
}

fn parse_exception(text: &str) -> Option<Exception> {
    let text = text.trim();
    if text.is_empty() {
        return None;
    }
    if text == "*" {
        return Some(Exception::Everything);
    }
    let (host, port) = split_port(text);
    if let Some(network) = parse_network(host, port) {
        return Some(network);
    }
    let name = host.trim_start_matches("*.").trim_matches('.').to_ascii_lowercase();
    (!name.is_empty()).then_some(Exception::Domain { name, port })
}

fn split_port(text: &str) -> (&str, Option<u16>) {
    let bare = |host: &str| host.is_empty() || (host.contains(':') && !host.ends_with(']'));
    match text.rsplit_once(':') {
        Some((host, port)) if !bare(host) => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

fn parse_network(text: &str, port: Option<u16>) -> Option<Exception> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let (bits, is_v4) = bits_of(address.trim_matches(['[', ']']).parse().ok()?);
    let width = if is_v4 { 32_u32 } else { 128 };
    let length = length.map_or(Some(width), |digits| digits.parse().ok())?;
    let mask = u128::MAX.checked_shl(width.checked_sub(length)?).unwrap_or(0);
    Some(Exception::Network { base: bits & mask, mask, is_v4, port })
}

fn bits_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

impl Exception {
    fn covers(&self, host: &Host<&str>, port: Option<u16>) -> bool {
        let same_port = |wanted: &Option<u16>| wanted.is_none() || *wanted == port;
        match self {
            Self::Everything => true,
            Self::Domain { name, port } => {
                let Host::Domain(host) = host else { return false };
                let host = host.trim_end_matches('.').to_ascii_lowercase();
                let is_below = host.strip_suffix(name.as_str()).is_some_and(|rest| rest.ends_with('.'));
                (host == *name || is_below) && same_port(port)
            }
            Self::Network { base, mask, is_v4, port } => {
                let address: IpAddr = match host {
                    Host::Domain(_) => return false,
                    Host::Ipv4(address) => (*address).into(),
                    Host::Ipv6(address) => (*address).into(),
                };
                let (bits, host_is_v4) = bits_of(address);
                host_is_v4 == *is_v4 && bits & mask == *base && same_port(port)
            }
        }
    }
}

#[cfg(test)]
mod tests;
