//! Which addresses a request may go to: the public ones, and those an operator listed.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;

use ipnet::IpNet;

/// Why an address is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// `0.0.0.0/8`, `::`.
    Unspecified,
    /// `127.0.0.0/8`, `::1`.
    Loopback,
    /// RFC 1918, RFC 4193 and what was in their place before.
    Private,
    /// `169.254.0.0/16`, `fe80::/10`: also the metadata of clouds.
    LinkLocal,
    /// `100.64.0.0/10`.
    SharedByCarrier,
    /// `224.0.0.0/4`, `ff00::/8`.
    Multicast,
    /// Documentation and benchmarks.
    Documentation,
    /// Reserved, or given to protocols.
    Reserved,
    /// An address of the machine this server runs on, whatever network it is of.
    ThisMachine,
}

impl Unreachable {
    /// The stable code.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Loopback => "loopback",
            Self::Private => "private",
            Self::LinkLocal => "link_local",
            Self::SharedByCarrier => "shared_by_carrier",
            Self::Multicast => "multicast",
            Self::Documentation => "documentation",
            Self::Reserved => "reserved",
            Self::ThisMachine => "local",
        }
    }
}

impl fmt::Display for Unreachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Networks that may be reached although they are not public. Clones share the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allowed(Arc<[IpNet]>);

impl Allowed {
    /// Allows these networks.
    pub fn networks(networks: &[IpNet]) -> Self {
        Self(networks.into())
    }

    /// Allows public addresses only.
    pub fn public_only() -> Self {
        Self::default()
    }

    /// Whether an operator listed this address.
    pub fn covers(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.0.iter().any(|network| network.contains(&ip))
    }
}

/// Judges one address. An IPv4 address in the dress of IPv6 (`::ffff:0:0/96`) is the IPv4 address.
pub fn judge(ip: IpAddr, allowed: &Allowed) -> Result<(), Unreachable> {
    let ip = ip.to_canonical();
    if allowed.covers(ip) {
        return Ok(());
    }
    match ip {
        IpAddr::V4(ip) => judge_v4(ip),
        IpAddr::V6(ip) => judge_v6(ip),
    }
}

/// Whether an address is one of this machine: what is sent there comes from there. Sends nothing.
pub(crate) fn is_of_this_machine(ip: IpAddr) -> bool {
    let unspecified: IpAddr = match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let from = UdpSocket::bind(SocketAddr::new(unspecified, 0)).and_then(|socket| {
        // A socket without connections only picks its route.
        socket.connect(SocketAddr::new(ip, 9))?;
        socket.local_addr()
    });
    // Where no way leads, no connection leads either.
    from.is_ok_and(|from| from.ip() == ip)
}

fn judge_v4(ip: Ipv4Addr) -> Result<(), Unreachable> {
    let why = match ip.octets() {
        [0, ..] => Unreachable::Unspecified,
        [127, ..] => Unreachable::Loopback,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Unreachable::Private,
        [169, 254, ..] => Unreachable::LinkLocal,
        [100, 64..=127, ..] => Unreachable::SharedByCarrier,
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [198, 18..=19, ..] => {
            Unreachable::Documentation
        }
        // Protocol assignments, and the relays of 6to4 that are no more.
        [192, 0, 0, _] | [192, 88, 99, _] => Unreachable::Reserved,
        [224..=239, ..] => Unreachable::Multicast,
        [240..=255, ..] => Unreachable::Reserved,
        _ => return Ok(()),
    };
    Err(why)
}

fn judge_v6(ip: Ipv6Addr) -> Result<(), Unreachable> {
    let why = match ip.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0] => Unreachable::Unspecified,
        [0, 0, 0, 0, 0, 0, 0, 1] => Unreachable::Loopback,
        // NAT64 (RFC 6052) and 6to4 (RFC 3056): as good as the IPv4 address that is reached through them.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => {
            return judge_v4(embedded(high, low));
        }
        [0xff00..=0xffff, ..] => Unreachable::Multicast,
        [0xfe80..=0xfebf, ..] => Unreachable::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] => Unreachable::Private,
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Unreachable::Documentation,
        // Protocol assignments: Teredo, benchmarks, ORCHID.
        [0x2001, 0..=0x01ff, ..] => Unreachable::Reserved,
        [0x2000..=0x3fff, ..] => return Ok(()),
        // Nothing else is routed; IPv4-compatible addresses and local NAT64 prefixes are among it.
        _ => Unreachable::Reserved,
    };
    Err(why)
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    Ipv4Addr::from((u32::from(high) << 16) | u32::from(low))
}

#[cfg(test)]
mod tests;
