//! Where a URL leads, read strictly: what two readers could read differently is refused.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::Uri;

use crate::address::{self, Allowed};
use crate::error::OutboundError;

/// Most characters of a name in DNS.
const MAX_NAME: usize = 253;

/// The parts of a URL that decide where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: Host,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
}

/// Who is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Name(String),
    Ip(IpAddr),
}

impl std::fmt::Display for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// Parses a URL that requests may be sent to: `http` or `https`, no user, no password, no odd spelling of an address.
pub fn parse_url(text: &str) -> Result<Uri, OutboundError> {
    let uri: Uri = text.parse().map_err(|_| unusable("it is not a URL"))?;
    Target::of(&uri)?;
    Ok(uri)
}

/// Checks, without looking at any name, that requests may be sent to a URL: what [`parse_url`] checks, and that an
/// address it spells out is allowed.
pub fn check_url(text: &str, allowed: &Allowed) -> Result<(), OutboundError> {
    match Target::of(&parse_url(text)?)?.host {
        Host::Name(_) => Ok(()),
        Host::Ip(ip) => {
            address::judge(ip, allowed).map_err(|why| OutboundError::Refused { host: ip.to_string(), why })
        }
    }
}

/// Returns the address that a URL names, if it names one and not a name.
pub fn address_of(text: &str) -> Option<IpAddr> {
    match Target::of(&text.parse().ok()?).ok()?.host {
        Host::Ip(ip) => Some(ip),
        Host::Name(_) => None,
    }
}

impl Target {
    pub(crate) fn of(uri: &Uri) -> Result<Self, OutboundError> {
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(unusable("only http and https are spoken")),
        };
        let authority = uri.authority().ok_or_else(|| unusable("it names no host"))?;
        if authority.as_str().contains('@') {
            return Err(unusable("it carries a user or a password"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            Some("") => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            _ => authority.port_u16().filter(|port| *port > 0).ok_or_else(|| unusable("its port is none"))?,
        };
        Ok(Self { host: Host::parse(authority.host())?, port, is_tls })
    }
}

impl Host {
    /// Parses a host: a name of DNS, four decimal numbers, or IPv6, with or without brackets.
    pub(crate) fn parse(text: &str) -> Result<Self, OutboundError> {
        let inner = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        if inner.contains(':') {
            let ip: Ipv6Addr = inner.parse().map_err(|_| unusable("its IPv6 address is none"))?;
            return Ok(Self::Ip(ip.into()));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Ok(Self::Ip(ip.into()));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let is_label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if name.len() > MAX_NAME || !name.split('.').all(is_label) {
            return Err(unusable("its host is no name"));
        }
        // Resolvers read `0x7f.1`, `2130706433` and `127.1` as addresses (inet_aton).
        let last = name.rsplit('.').next().unwrap_or(name);
        let is_hex = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X")).is_some();
        if is_hex || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(unusable("its host is an address in an odd spelling"));
        }
        Ok(Self::Name(name.to_ascii_lowercase()))
    }
}

fn unusable(why: &'static str) -> OutboundError {
    OutboundError::Url { why }
}

#[cfg(test)]
mod tests;
