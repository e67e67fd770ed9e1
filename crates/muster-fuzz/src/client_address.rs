//! Which address a request is counted against.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, HeaderValue};
use muster_http::{ClientAddress, TrustedProxies};

use crate::taken::Taken;

const HEADER: &str = "x-forwarded-for";
const TRUSTED: [&str; 4] = ["", "10.0.0.0/8", "10.0.0.0/8,fd00::/8,192.0.2.7", "10.1.0.0/16, 2001:db8::/32"];
const PEERS: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9)),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
    IpAddr::V6(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001)),
];

/// The address is that of the peer, or one a trusted proxy vouched for; nothing a client adds on the left moves it.
pub fn client_address(data: &[u8]) {
    let mut taken = Taken::from(data);
    let text = TRUSTED[usize::from(taken.byte()) % TRUSTED.len()];
    let peer = PEERS[usize::from(taken.byte()) % PEERS.len()];
    let lines: Vec<&[u8]> = taken.rest().split(|byte| *byte == b'\n').collect();
    let lines: Vec<HeaderValue> =
        lines.into_iter().filter_map(|line| HeaderValue::from_bytes(line).ok()).collect();
    let trusted: TrustedProxies = text.parse().expect("the list above");
    let found = of(peer, &lines, &trusted).0;

    let vouched = vouched_for(peer, &lines, text);
    assert_eq!(found, *vouched.last().expect("at least the peer"), "{text} {peer} {lines:?}");
    if !is_trusted(text, peer.to_canonical()) {
        assert_eq!(found, peer.to_canonical(), "a header of a stranger was believed");
    }
    if !is_trusted(text, found) {
        let mut with_a_lie = vec![HeaderValue::from_static("198.51.100.66, 10.0.0.9")];
        with_a_lie.extend(lines);
        assert_eq!(of(peer, &with_a_lie, &trusted).0, found, "what a client wrote moved its address");
    }
}

fn of(peer: IpAddr, lines: &[HeaderValue], trusted: &TrustedProxies) -> ClientAddress {
    let mut headers = HeaderMap::new();
    for line in lines {
        headers.append(HEADER, line.clone());
    }
    ClientAddress::of(SocketAddr::new(peer, 40_000), &headers, trusted)
}

/// The chain of addresses from the peer outwards, each vouched for by the one before it: written a second time, from
/// the definition.
fn vouched_for(peer: IpAddr, lines: &[HeaderValue], text: &str) -> Vec<IpAddr> {
    let joined: Vec<u8> = lines.iter().map(HeaderValue::as_bytes).collect::<Vec<_>>().join(&b',');
    let mut hops: Vec<&[u8]> = joined.split(|byte| *byte == b',').collect();
    let mut chain = vec![peer.to_canonical()];
    while is_trusted(text, *chain.last().expect("it begins with the peer")) {
        let Some(hop) = hops.pop() else { break };
        let Ok(hop) = std::str::from_utf8(hop) else { break };
        let hop = hop.trim_matches([' ', '\t', '\n', '\r', '\u{c}']);
        let address = hop.parse::<IpAddr>().ok();
        let address = address.or_else(|| hop.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
        let Some(address) = address else { break };
        chain.push(address.to_canonical());
    }
    chain
}

fn is_trusted(text: &str, address: IpAddr) -> bool {
    let networks = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    networks.into_iter().any(|network| {
        let (base, length) = network.split_once('/').unwrap_or((network, ""));
        match (base.parse().expect("the list above"), address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                let shift = 32 - length.parse::<u32>().unwrap_or(32);
                base.to_bits() >> shift == address.to_bits() >> shift
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let shift = 128 - length.parse::<u32>().unwrap_or(128);
                base.to_bits() >> shift == address.to_bits() >> shift
            }
            _ => false,
        }
    })
}

/// A list of proxies that is accepted never lets a whole family of addresses through by one network, and trusts the
/// addresses it names.
pub fn trusted_proxies(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(trusted) = text.parse::<TrustedProxies>() else { return };
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        let (base, length) = part.split_once('/').unwrap_or((part, "128"));
        assert_ne!(length.parse::<u32>(), Ok(0), "{part} is everybody");
        let base: IpAddr = base.parse().expect("an accepted network begins with an address");
        let stranger = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 99));
        let found = of(base, &[HeaderValue::from_static("192.0.2.99")], &trusted).0;
        assert_eq!(found, stranger, "{part} is on the list and not trusted");
    }
}
