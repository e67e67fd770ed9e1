use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderValue};

use super::{ClientAddress, TrustedProxies};

fn check(trusted: &str, peer: &str, forwarded: &[&str], expected: &str) {
    let trusted: TrustedProxies = trusted.parse().expect("proxies");
    let peer = SocketAddr::new(peer.parse().expect("peer"), 40_000);
    let mut headers = HeaderMap::new();
    for line in forwarded {
        headers.append("x-forwarded-for", HeaderValue::from_bytes(line.as_bytes()).expect("header"));
    }
    let expected: IpAddr = expected.parse().expect("address");
    assert_eq!(ClientAddress::of(peer, &headers, &trusted), ClientAddress(expected), "{peer} {forwarded:?}");
}

#[test]
fn nobody_is_believed_unless_configured() {
    check("", "203.0.113.9", &["1.2.3.4"], "203.0.113.9");
    check("10.0.0.0/8", "203.0.113.9", &["1.2.3.4"], "203.0.113.9");
}

#[test]
fn the_right_most_hop_no_proxy_vouches_for_counts() {
    check("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 1.2.3.4"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["6.6.6.6", "1.2.3.4"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["1.2.3.4:5678"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["[2001:db8::1]:5678"], "2001:db8::1");
    check("10.0.0.0/8", "10.0.0.1", &["1.2.3.4, unknown"], "10.0.0.1");
    check("10.0.0.0/8", "10.0.0.1", &[], "10.0.0.1");
    check("10.0.0.0/8,fd00::/8", "fd00::1", &["1.2.3.4, 10.1.1.1"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3");
}

/// SECURITY B9: what a client wrote itself hides nothing of what its proxy wrote.
#[test]
fn b09_odd_bytes_of_a_client_hide_no_hop() {
    check("10.0.0.0/8", "10.0.0.1", &["caf\u{e9}", "1.2.3.4"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["\u{e9}, 1.2.3.4"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["9.9.9.9", "\u{e9}", "1.2.3.4, 10.0.0.2"], "1.2.3.4");
    check("10.0.0.0/8", "10.0.0.1", &["9.9.9.9, \u{e9}"], "10.0.0.1");
    check("10.0.0.0/8", "10.0.0.1", &["9.9.9.9", "\u{e9}", "10.0.0.2"], "10.0.0.2");
}

#[test]
fn mapped_addresses_are_ipv4() {
    check("10.0.0.0/8", "::ffff:10.0.0.1", &["::ffff:1.2.3.4"], "1.2.3.4");
    check("", "::ffff:1.2.3.4", &[], "1.2.3.4");
}

#[test]
fn limits_count_ipv6_by_64() {
    let bucket = |text: &str| ClientAddress(text.parse().expect("address")).bucket();
    assert_eq!(bucket("2001:db8:1:2:3::1"), bucket("2001:db8:1:2:ffff::9"));
    assert_ne!(bucket("2001:db8:1:2::1"), bucket("2001:db8:1:3::1"));
    assert_ne!(bucket("1.2.3.4"), bucket("1.2.3.5"));
}

#[test]
fn a_mistyped_network_is_refused() {
    for bad in ["10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "*", "all", "::/129", "10.0.0.0/8;"] {
        assert!(bad.parse::<TrustedProxies>().is_err(), "{bad}");
    }
    assert_eq!("".parse(), Ok(TrustedProxies::none()));
    for everybody in ["0.0.0.0/0", "::/0", "10.0.0.0/8,0.0.0.0/0", "::ffff:0.0.0.0/0"] {
        assert!(everybody.parse::<TrustedProxies>().is_err(), "{everybody}");
    }
}
