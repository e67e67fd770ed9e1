//! Which address a request is counted against: the right-most hop that no trusted proxy vouches for.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::request::Parts;

use crate::Problem;

const FORWARDED_FOR: &str = "x-forwarded-for";

/// The networks whose `X-Forwarded-For` is believed. Nobody's, unless configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    base: u128,
    mask: u128,
    is_v4: bool,
}

/// The text is not a comma-separated list of addresses and CIDR networks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("trusted proxies must be addresses or networks such as 10.0.0.0/8, and never everybody")]
pub struct ParseProxiesError;

impl TrustedProxies {
    /// Trusts no proxy: the address is that of the connection, whatever any header says.
    pub fn none() -> Self {
        Self::default()
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits_of(address);
        self.0.iter().any(|network| network.is_v4 == is_v4 && bits & network.mask == network.base)
    }
}

fn bits_of(address: IpAddr) -> (u128, bool) {
    match address.to_canonical() {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()), true),
        IpAddr::V6(v6) => (v6.to_bits(), false),
    }
}

impl FromStr for TrustedProxies {
    type Err = ParseProxiesError;

    fn from_str(text: &str) -> Result<Self, ParseProxiesError> {
        let networks = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        networks.map(parse_network).collect::<Option<_>>().map(Self).ok_or(ParseProxiesError)
    }
}

fn parse_network(text: &str) -> Option<Network> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let (bits, is_v4) = bits_of(address.parse().ok()?);
    let width = if is_v4 { 32_u32 } else { 128 };
    let length = match length {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => width,
    };
    // Who trusts everybody lets every client choose the address it is counted by.
    let host_bits = width.checked_sub(length).filter(|host_bits| *host_bits < width)?;
    let mask = u128::MAX.checked_shl(host_bits).unwrap_or(0);
    // A base with host bits set is a typing error that would trust another network than the one meant.
    (bits & mask == bits).then_some(Network { base: bits, mask, is_v4 })
}

/// The address a request is counted against, IPv4-mapped addresses as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// Walks from the connection's peer to the left as long as the hop is a trusted proxy.
    pub fn of(peer: SocketAddr, headers: &HeaderMap, trusted: &TrustedProxies) -> Self {
        let mut address = peer.ip().to_canonical();
        // By bytes, from the right: whatever the client itself wrote must not hide what the proxy added after it.
        let lines = headers.get_all(FORWARDED_FOR).iter().rev();
        let mut hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while trusted.contains(address) {
            match hops.next().map(parse_hop) {
                Some(Some(hop)) => address = hop,
                Some(None) | None => break,
            }
        }
        Self(address)
    }

    /// Returns what limits are counted by: the address, or its /64 for IPv6.
    pub fn bucket(self) -> AddressBucket {
        AddressBucket(match self.0 {
            IpAddr::V4(v4) => IpAddr::V4(v4),
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 64))),
        })
    }
}

fn parse_hop(bytes: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(bytes.trim_ascii()).ok()?;
    let bare = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|socket| socket.ip()));
    bare.ok().map(|address| address.to_canonical())
}

impl fmt::Display for ClientAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// An IPv4 address or an IPv6 /64: one customer of one provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AddressBucket(pub IpAddr);

impl<S: Sync> FromRequestParts<S> for ClientAddress {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().copied();
        found.ok_or_else(|| Problem::internal("the request did not come through the accept loop"))
    }
}

impl aide::OperationInput for ClientAddress {}

#[cfg(test)]
mod tests;
